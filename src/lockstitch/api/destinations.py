"""Destinations, version 4 and the older version 3 (`spec/connect-api.md` sections 4 and 9)."""

from __future__ import annotations

from typing import Any

from litestar import Request, delete, get, post, put
from litestar.params import FromPath, RawBody

from lockstitch.api.answers import AccountId, Now, Serving, parsed, threaded
from lockstitch.control import checks, destinations


@post("/v4/destinations", status_code=200)
@threaded
def create_destination(server: Serving, account_id: AccountId, now: Now, body: RawBody) -> dict[str, Any]:
    with server.write() as db:
        return destinations.create(db, server.custody, account_id, parsed(body), now)


@get("/v4/destinations")
@threaded
def list_destinations(server: Serving, account_id: AccountId, request: Request[Any, Any, Any]) -> list[dict[str, Any]]:
    with server.read() as db:
        return destinations.listed(db, account_id, dict(request.query_params.items()))


@get("/v4/destinations/{destination_id:int}")
@threaded
def read_destination(server: Serving, account_id: AccountId, destination_id: FromPath[int]) -> dict[str, Any]:
    with server.read() as db:
        return destinations.read(db, account_id, destination_id)


@put("/v4/destinations/{destination_id:int}")
@threaded
def change_destination(
    server: Serving, account_id: AccountId, now: Now, destination_id: FromPath[int], body: RawBody
) -> dict[str, Any]:
    with server.write() as db:
        return destinations.change(db, server.custody, account_id, destination_id, parsed(body), now)


@delete("/v4/destinations/{destination_id:int}", status_code=200)
@threaded
def delete_destination(
    server: Serving, account_id: AccountId, now: Now, destination_id: FromPath[int]
) -> dict[str, Any]:
    with server.write() as db:
        destinations.delete(db, account_id, destination_id, now)
    return {}


@get("/v4/destinations/{destination_id:int}/last-connection-check")
@threaded
def read_destination_check(server: Serving, account_id: AccountId, destination_id: FromPath[int]) -> dict[str, Any]:
    with server.read() as db:
        destinations.read(db, account_id, destination_id)
        return checks.last(db, destination_id)


@post("/v3/destinations", status_code=200)
@threaded
def create_destination_v3(server: Serving, account_id: AccountId, now: Now, body: RawBody) -> dict[str, Any]:
    with server.write() as db:
        return destinations.create_v3(db, server.custody, account_id, parsed(body), now)


@get("/v3/destinations")
@threaded
def list_destinations_v3(server: Serving, account_id: AccountId) -> list[dict[str, Any]]:
    with server.read() as db:
        return destinations.listed_v3(db, account_id)


@put("/v3/destinations/{destination_id:int}")
@threaded
def change_destination_v3(
    server: Serving, account_id: AccountId, now: Now, destination_id: FromPath[int], body: RawBody
) -> dict[str, Any]:
    with server.write() as db:
        return destinations.change_v3(db, server.custody, account_id, destination_id, parsed(body), now)


ROUTES = [
    create_destination,
    list_destinations,
    read_destination,
    change_destination,
    delete_destination,
    read_destination_check,
    create_destination_v3,
    list_destinations_v3,
    change_destination_v3,
]
