"""Streams and selection (`spec/connect-api.md` section 10)."""

from __future__ import annotations

from typing import Any

from litestar import get, put
from litestar.params import FromPath, RawBody

from lockstitch.api.answers import AccountId, Now, Serving, parsed, threaded
from lockstitch.control import connections, selection, sources
from lockstitch.control.connections import Row
from lockstitch.control.refusals import Refusal
from lockstitch.control.selection import JsonText


@get("/v4/sources/{source_id:int}/streams")
@threaded
def list_streams(server: Serving, account_id: AccountId, source_id: FromPath[int]) -> list[dict[str, Any]]:
    with server.read() as db:
        _source(db, account_id, source_id, f"invalid source-id: {source_id}")
        return selection.listed(db, source_id)


@get("/v4/sources/{source_id:int}/streams/{stream_id:int}")
@threaded
def read_stream(
    server: Serving, account_id: AccountId, source_id: FromPath[int], stream_id: FromPath[int]
) -> dict[str, Any]:
    with server.read() as db:
        _source(db, account_id, source_id, f"invalid stream-id: {stream_id}")
        return selection.read(db, source_id, stream_id)


@put("/v4/sources/{source_id:int}/streams/metadata")
@threaded
def select_streams(
    server: Serving, account_id: AccountId, now: Now, source_id: FromPath[int], body: RawBody
) -> dict[str, Any]:
    with server.write() as db:
        _source(db, account_id, source_id, f"invalid source-id: {source_id}")
        selection.choose(db, source_id, parsed(body))
        sources.reschedule(db, _source(db, account_id, source_id, ""), now)
    return {"status": 200}


def _source(db: Any, account_id: int, source_id: FromPath[int], text: str) -> Row:
    row = connections.one(db, account_id, "source", source_id)
    if row is None:
        raise Refusal(400, JsonText(text))
    return row


ROUTES = [list_streams, read_stream, select_streams]
