"""Streams and selection (`spec/connect-api.md` section 10)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from litestar import get, put

from lockstitch.api.answers import parsed, threaded
from lockstitch.control import connections, selection, sources
from lockstitch.control.connections import Row
from lockstitch.control.refusals import Refusal
from lockstitch.control.selection import JsonText
from lockstitch.control.server import Server


@get("/v4/sources/{source_id:int}/streams")
@threaded
def list_streams(server: Server, account_id: int, source_id: int) -> list[dict[str, Any]]:
    with server.read() as db:
        _source(db, account_id, source_id, f"invalid source-id: {source_id}")
        return selection.listed(db, source_id)


@get("/v4/sources/{source_id:int}/streams/{stream_id:int}")
@threaded
def read_stream(server: Server, account_id: int, source_id: int, stream_id: int) -> dict[str, Any]:
    with server.read() as db:
        _source(db, account_id, source_id, f"invalid stream-id: {stream_id}")
        return selection.read(db, source_id, stream_id)


@put("/v4/sources/{source_id:int}/streams/metadata")
@threaded
def select_streams(server: Server, account_id: int, now: datetime, source_id: int, body: bytes) -> dict[str, Any]:
    with server.write() as db:
        row = _source(db, account_id, source_id, f"invalid source-id: {source_id}")
        selection.choose(db, source_id, parsed(body))
        sources.reschedule(db, row, now)
    return {"status": 200}


def _source(db: Any, account_id: int, source_id: int, text: str) -> Row:
    row = connections.one(db, account_id, "source", source_id)
    if row is None:
        raise Refusal(400, JsonText(text))
    return row


ROUTES = [list_streams, read_stream, select_streams]
