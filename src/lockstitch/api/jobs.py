"""Replication jobs, started and stopped by hand (`spec/connect-api.md` section 11)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from litestar import delete, post

from lockstitch.api.answers import threaded
from lockstitch.control import runs
from lockstitch.control.server import Server


@post("/v4/sources/{source_id:int}/sync", status_code=200)
@threaded
def start_job(server: Server, account_id: int, now: datetime, source_id: int) -> dict[str, Any]:
    with server.write() as db:
        return runs.start(db, server.store.insert_new, account_id, source_id, now)


@delete("/v4/sources/{source_id:int}/sync", status_code=200)
@threaded
def stop_job(server: Server, account_id: int, now: datetime, source_id: int) -> dict[str, Any]:
    with server.write() as db:
        runs.stop(db, account_id, source_id, now)
    return {"status": 200}


ROUTES = [start_job, stop_job]
