"""Replication jobs, started and stopped by hand (`spec/connect-api.md` section 11)."""

from __future__ import annotations

from typing import Any

from litestar import delete, post
from litestar.params import FromPath

from lockstitch.api.answers import AccountId, Now, Serving, threaded
from lockstitch.control import runs


@post("/v4/sources/{source_id:int}/sync", status_code=200)
@threaded
def start_job(server: Serving, account_id: AccountId, now: Now, source_id: FromPath[int]) -> dict[str, Any]:
    with server.write() as db:
        return runs.start(db, server.store.insert_new, account_id, source_id, now)


@delete("/v4/sources/{source_id:int}/sync", status_code=200)
@threaded
def stop_job(server: Serving, account_id: AccountId, now: Now, source_id: FromPath[int]) -> dict[str, Any]:
    with server.write() as db:
        runs.stop(db, account_id, source_id, now)
    return {"status": 200}


ROUTES = [start_job, stop_job]
