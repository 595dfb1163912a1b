"""Sources, their checks and the Import API tokens of pushed ones (`spec/connect-api.md` sections 6 and 9)."""

from __future__ import annotations

from typing import Any

from litestar import delete, get, post, put
from litestar.params import FromPath, RawBody

from lockstitch.api.answers import AccountId, Now, Serving, parsed, threaded
from lockstitch.control import checks, connections, sources, tokens
from lockstitch.control.connections import Row
from lockstitch.control.refusals import coded
from lockstitch.control.times import told


@post("/v4/sources", status_code=200)
@threaded
def create_source(server: Serving, account_id: AccountId, now: Now, body: RawBody) -> dict[str, Any]:
    with server.write() as db:
        return sources.create(db, server.custody, account_id, parsed(body), now)


@get("/v4/sources")
@threaded
def list_sources(server: Serving, account_id: AccountId) -> list[dict[str, Any]]:
    with server.read() as db:
        return sources.listed(db, account_id)


@get("/v4/sources/{source_id:int}")
@threaded
def read_source(server: Serving, account_id: AccountId, source_id: FromPath[int]) -> dict[str, Any]:
    with server.read() as db:
        return sources.read(db, account_id, source_id)


@put("/v4/sources/{source_id:int}")
@threaded
def change_source(
    server: Serving, account_id: AccountId, now: Now, source_id: FromPath[int], body: RawBody
) -> dict[str, Any]:
    with server.write() as db:
        return sources.change(db, server.custody, account_id, source_id, parsed(body), now)


@delete("/v4/sources/{source_id:int}", status_code=200)
@threaded
def delete_source(server: Serving, account_id: AccountId, now: Now, source_id: FromPath[int]) -> dict[str, Any]:
    with server.write() as db:
        return sources.delete(db, account_id, source_id, now)


@get("/v4/sources/{source_id:int}/last-connection-check")
@threaded
def read_source_check(server: Serving, account_id: AccountId, source_id: FromPath[int]) -> dict[str, Any]:
    with server.read() as db:
        sources.read(db, account_id, source_id)
        return checks.last(db, source_id)


@post("/v4/sources/{source_id:int}/tokens", status_code=200)
@threaded
def create_token(server: Serving, account_id: AccountId, now: Now, source_id: FromPath[int]) -> dict[str, Any]:
    with server.write() as db:
        made = tokens.make_import_token(db, _active(db, account_id, source_id), now)
    return {"id": made.id, "access_token": made.text}


@get("/v4/sources/{source_id:int}/tokens")
@threaded
def list_tokens(server: Serving, account_id: AccountId, source_id: FromPath[int]) -> list[dict[str, Any]]:
    with server.read() as db:
        found = tokens.import_tokens(db, _active(db, account_id, source_id))
    return [{"token_id": row.id, "created_at": told(row.created_at)} for row in found]


@delete("/v4/sources/{source_id:int}/tokens/{token_id:int}", status_code=200)
@threaded
def delete_token(
    server: Serving, account_id: AccountId, now: Now, source_id: FromPath[int], token_id: FromPath[int]
) -> dict[str, Any]:
    with server.write() as db:
        tokens.delete_import_token(db, _active(db, account_id, source_id), token_id, now)
        return sources.read(db, account_id, source_id)


def _active(db: Any, account_id: int, source_id: int) -> Row:
    row = connections.one(db, account_id, "source", source_id)
    if row is None or row.deleted_at is not None:
        raise coded("InvalidId", f"source not found ({source_id})")
    return row


ROUTES = [
    create_source,
    list_sources,
    read_source,
    change_source,
    delete_source,
    read_source_check,
    create_token,
    list_tokens,
    delete_token,
]
