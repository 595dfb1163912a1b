"""Destinations, version 4 and the older version 3 (`spec/connect-api.md` sections 4 and 9)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from litestar import Request, delete, get, post, put

from lockstitch.api.answers import parsed, threaded
from lockstitch.control import checks, destinations
from lockstitch.control.server import Server


@post("/v4/destinations", status_code=200)
@threaded
def create_destination(server: Server, account_id: int, now: datetime, body: bytes) -> dict[str, Any]:
    with server.write() as db:
        return destinations.create(db, server.custody, account_id, parsed(body), now)


@get("/v4/destinations")
@threaded
def list_destinations(server: Server, account_id: int, request: Request[Any, Any, Any]) -> list[dict[str, Any]]:
    with server.read() as db:
        return destinations.listed(db, account_id, dict(request.query_params.items()))


@get("/v4/destinations/{destination_id:int}")
@threaded
def read_destination(server: Server, account_id: int, destination_id: int) -> dict[str, Any]:
    with server.read() as db:
        return destinations.read(db, account_id, destination_id)


@put("/v4/destinations/{destination_id:int}")
@threaded
def change_destination(
    server: Server, account_id: int, now: datetime, destination_id: int, body: bytes
) -> dict[str, Any]:
    with server.write() as db:
        return destinations.change(db, server.custody, account_id, destination_id, parsed(body), now)


@delete("/v4/destinations/{destination_id:int}", status_code=200)
@threaded
def delete_destination(server: Server, account_id: int, now: datetime, destination_id: int) -> dict[str, Any]:
    with server.write() as db:
        destinations.delete(db, account_id, destination_id, now)
    return {}


@get("/v4/destinations/{destination_id:int}/last-connection-check")
@threaded
def read_destination_check(server: Server, account_id: int, destination_id: int) -> dict[str, Any]:
    with server.read() as db:
        destinations.read(db, account_id, destination_id)
        return checks.last(db, destination_id)


@post("/v3/destinations", status_code=200)
@threaded
def create_destination_v3(server: Server, account_id: int, now: datetime, body: bytes) -> dict[str, Any]:
    with server.write() as db:
        return destinations.create_v3(db, server.custody, account_id, parsed(body), now)


@get("/v3/destinations")
@threaded
def list_destinations_v3(server: Server, account_id: int) -> list[dict[str, Any]]:
    with server.read() as db:
        return destinations.listed_v3(db, account_id)


@put("/v3/destinations/{destination_id:int}")
@threaded
def change_destination_v3(
    server: Server, account_id: int, now: datetime, destination_id: int, body: bytes
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
