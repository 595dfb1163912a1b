"""Jobs, extractions, logs and loads: `spec/connect-api.md` sections 11 to 13, and pages (1.6)."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.api.calling import JOB, Account, now

from lockstitch.control import runs
from lockstitch.control.store.tables import connections, loads
from lockstitch.control.store.tables import runs as run_table
from lockstitch.core.loads import LedgerRow


def test_a_job_is_started_once_and_stopped(account: Account):
    account.destination()
    source = account.ready_source()
    path = f"/v4/sources/{source['id']}/sync"
    job = account.call("POST", path)
    assert list(job) == ["job_name"]
    assert re.fullmatch(rf"{account.id}\.{source['id']}\.sync\.{JOB}", job["job_name"])
    text = f"Did not create job for client-id: {account.id}; connection-id: {source['id']} because one already exists"
    assert account.call("POST", path) == {"error": {"type": "already_running", "message": text}}
    assert account.call("DELETE", path) == {"status": 200}
    with account.served.server.read() as db:
        (stopped,) = db.execute(sa.select(run_table).where(run_table.c.source_id == source["id"])).all()
    assert stopped.stop_requested_at is not None
    ended(account, job["job_name"])
    assert account.call("DELETE", path) == {"status": 200}  # nothing runs
    assert account.call("POST", path)["job_name"] != job["job_name"]


def ended(account: Account, job_name: str, at: datetime | None = None, **outcome: Any) -> None:
    """Let a job end as if a worker had carried it out."""
    server, phases = account.served.server, ("discovery", "tap", "target")
    told = {f"{phase}_exit_status": 0 for phase in phases} | outcome
    with server.write() as db:
        assert runs.take(db, job_name, "worker", at or now()) is not None
        assert runs.finish(db, job_name, "worker", told, at or now())


def test_a_paused_source_can_be_started_and_stays_paused(account: Account):
    account.destination()
    source = account.ready_source()
    account.call("PUT", f"/v4/sources/{source['id']}", {"paused_at": "2019-06-01T00:00:00Z"})
    assert "job_name" in account.call("POST", f"/v4/sources/{source['id']}/sync")
    told = account.call("GET", f"/v4/sources/{source['id']}")
    assert (told["paused_at"], told["schedule"]) == ("2019-06-01T00:00:00Z", None)


def test_what_cannot_run_is_not_started(account: Account):
    homeless = account.ready_source("Homeless")
    account.destination(ignore_unmapped_sources=True)
    incomplete, unselected = account.source("Incomplete", properties={}), account.source("Unselected")
    account.discovered(unselected)
    for source in (homeless, incomplete, unselected, account.import_source()):
        text = f"Could not create job for client-id: {account.id}; connection-id: {source['id']}"
        refused = account.call("POST", f"/v4/sources/{source['id']}/sync", status=400)
        assert refused == {"error": {"type": "generic", "message": text}}


def test_jobs_of_unknown_and_deleted_sources(account: Account):
    deleted = account.import_source()["id"]
    account.call("DELETE", f"/v4/sources/{deleted}")
    for method in ("POST", "DELETE"):
        for unknown in (0, -1, 10**12, 2**63, account.destination()["id"]):
            text = f"Unable to locate source({unknown}) for client ({account.id})"
            refused = account.call(method, f"/v4/sources/{unknown}/sync", status=400)
            assert refused == {"error": {"type": "invalid_source", "message": text}}
        refused = account.call(method, f"/v4/sources/{deleted}/sync", status=400)
        assert refused == {"error": {"type": "invalid_source", "message": "Integration is deleted."}}


# --- extractions ------------------------------------------------------------------------------------------------------


def started(account: Account, source: dict[str, Any]) -> str:
    return account.call("POST", f"/v4/sources/{source['id']}/sync")["job_name"]


def test_the_last_ended_extraction_of_each_source_is_told(account: Account):
    account.destination()
    one, two = account.ready_source("One"), account.ready_source("Two")
    begin = now().replace(microsecond=0) - timedelta(minutes=5)
    first = started(account, one)
    ended(account, first, begin)
    failed = started(account, one)
    message = "Response returned http error code 401\n401 Client Error: Unauthorized for url: ..."
    ended(account, failed, begin + timedelta(seconds=5), tap_exit_status=1, tap_description=message)
    killed = started(account, two)
    nothing = {f"{phase}_exit_status": None for phase in ("discovery", "tap", "target")}
    words = {f"{phase}_description": runs.TERMINATED for phase in ("discovery", "tap", "target")}
    ended(account, killed, begin, **nothing, **words)
    running = started(account, two)
    page = account.call("GET", f"/v4/{account.id}/extractions")
    assert (page["page"], page["total"], page["links"]) == (1, 2, {})
    moment = (begin + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert page["data"][0] == {
        "target_exit_status": 0,
        "job_name": failed,
        "start_time": moment,
        "stitch_client_id": account.id,
        "tap_exit_status": 1,
        "source_type": "tap-heap",
        "tap_name": "tap-heap",
        "target_description": None,
        "discovery_exit_status": 0,
        "discovery_description": None,
        "tap_description": message,
        "completion_time": moment,
        "source_id": one["id"],
    }
    told = page["data"][1]
    assert told["job_name"] == killed != running
    assert {told[f"{phase}_exit_status"] for phase in ("discovery", "tap", "target")} == {None}
    assert {told[f"{phase}_description"] for phase in ("discovery", "tap", "target")} == {"Terminated"}
    # Those of paused and deleted sources are told as well; those of long ago are not.
    account.call("DELETE", f"/v4/sources/{two['id']}")
    assert account.call("GET", f"/v4/{account.id}/extractions") == page
    with account.served.server.write() as db:
        old = sa.update(run_table).where(run_table.c.name == killed)
        db.execute(old.values(completion_time=now() - timedelta(days=60, seconds=1)))
    assert [one["job_name"] for one in account.call("GET", f"/v4/{account.id}/extractions")["data"]] == [failed]


def test_pages(account: Account):
    ids = _sources(account, 237)
    with account.served.server.write() as db:
        for source_id in ids:
            name = f"{account.id}.{source_id}.sync.x"
            values = {"name": name, "account_id": account.id, "source_id": source_id, "created_at": now()}
            db.execute(sa.insert(run_table).values(**values, completion_time=now()))
    path = f"/v4/{account.id}/extractions"

    def page(number: object) -> dict[str, Any]:
        return account.call("GET", f"{path}?page={number}")

    first, second, third = page(1), page(2), page(3)
    assert [one["source_id"] for one in first["data"] + second["data"] + third["data"]] == sorted(ids)
    assert [one["total"] for one in (first, second, third)] == [237] * 3
    assert first["links"] == {"next": f"{path}?page=2"}
    assert second["links"] == {"next": f"{path}?page=3", "previous": f"{path}?page=1"}
    assert third["links"] == {"previous": f"{path}?page=2"}
    for past in (4, 10**9, 10**17, 10**40):
        told = page(past)
        assert told["data"] == []
        assert told["links"] == {"previous": f"{path}?page=3"}
    assert page(4)["page"] == 4
    for senseless in ("0", "-1", "x", "", "1.5", "%00", "1e3", "%C2%B2"):
        assert page(senseless) == first
    assert account.call("GET", path) == first
    assert account.call("GET", f"{path}?unknown=1") == first


def _sources(account: Account, count: int) -> list[int]:
    """Insert sources straight into the store."""
    values = {
        "account_id": account.id,
        "kind": "source",
        "type": "platform.heap",
        "properties": {},
        "secrets": {},
        "created_at": now(),
        "updated_at": now(),
    }
    rows = [{**values, "name": f"n{one}", "mark_id": f"{account.id}.{one}"} for one in range(count)]
    with account.served.server.write() as db:
        made = db.execute(sa.insert(connections).returning(connections.c.id), rows)
        return list(made.scalars())


# --- logs -------------------------------------------------------------------------------------------------------------


def test_a_log_is_read_at_an_address_that_needs_no_token(account: Account):
    account.destination()
    job = started(account, account.ready_source())
    with account.served.server.write() as db:
        runs.append_log(db, job, ["first ü", "second"])
        runs.append_log(db, job, ["third"])
    moved = account.ask("GET", f"/v4/{account.id}/extractions/{job}")
    assert (moved.status_code, moved.content, moved.headers["content-length"]) == (302, b"", "0")
    location = moved.headers["location"]
    log = account.served.client.get(location)
    assert log.text == "first ü\nsecond\nthird\n"
    assert log.headers["content-type"] == "text/plain; charset=utf-8"
    assert log.headers["cache-control"] == "no-store"
    other = location.replace(job, job[:-1] + ("0" if job[-1] != "0" else "1"))
    for wrong in (other, location[:-1], location.replace("expires=", "expires=9"), location.partition("?")[0]):
        assert account.served.client.get(wrong).status_code == 401
    assert account.served.client.get(location + "&expires=%C2%B2&signature=%F0%9F%98%80").status_code in (200, 401)


def test_the_address_of_a_log_expires(account: Account, monkeypatch: pytest.MonkeyPatch):
    account.destination()
    job = started(account, account.ready_source())
    location = account.ask("GET", f"/v4/{account.id}/extractions/{job}").headers["location"]
    assert account.served.client.get(location).status_code == 200
    later = time.time() + 601
    monkeypatch.setattr("lockstitch.api.reports.time.time", lambda: later)
    assert account.served.client.get(location).status_code == 401


@pytest.mark.parametrize("name", ["unknown", "%00", "%ED%A0%80", "1.2.sync.x", "%F0%9F%98%80"])
def test_an_unknown_job_has_no_log(account: Account, name: str):
    assert account.call("GET", f"/v4/{account.id}/extractions/{name}", status=404)["error"] == "NotFound"


# --- loads ------------------------------------------------------------------------------------------------------------


def test_the_latest_load_of_each_table_is_told(account: Account):
    account.destination()
    server = account.served.server
    sources = [account.ready_source(name) for name in ("Beta", "Alpha")]
    for source in sources:
        job = started(account, source)
        with server.write() as db:
            run = runs.take(db, job, "worker", now())
            assert run is not None
            runs.note_loaded(db, server.store, run, [_loaded("users")], now())
    with server.write() as db:
        run = db.execute(sa.select(run_table).where(run_table.c.source_id == sources[0]["id"])).one()
        runs.note_not_loaded(db, server.store, run, ["accounts"], "establish a connection", now())
    page = account.call("GET", f"/v4/{account.id}/loads")
    assert (page["page"], page["total"], page["links"]) == (1, 3, {})
    told = [(one["stream_name"], one["source_name"]) for one in page["data"]]
    assert told == [("accounts", "beta"), ("users", "alpha"), ("users", "beta")]
    failed, fine = page["data"][0], page["data"][1]
    assert failed["last_batch_loaded_at"] is None
    assert failed["error_state"]["notification_data"]["message"] == "establish a connection"
    assert failed["error_state"]["notification_data"]["error"] == "LOADER_WAREHOUSE_ERROR"
    assert fine == {
        "stitch_client_id": account.id,
        "source_name": "alpha",
        "stream_name": "users",
        "last_batch_loaded_at": fine["last_batch_loaded_at"],
        "error_state": None,
    }
    with server.write() as db:
        runs.note_loaded(db, server.store, run, [_loaded("accounts")], now())
    mended = account.call("GET", f"/v4/{account.id}/loads")["data"][0]
    assert mended["error_state"] is None
    assert mended["last_batch_loaded_at"]
    with server.write() as db:
        long_ago = now() - timedelta(days=60, seconds=1)
        db.execute(sa.update(loads).where(loads.c.account_id == account.id).values(attempted_at=long_ago))
    assert account.call("GET", f"/v4/{account.id}/loads")["data"] == []


def _loaded(table: str) -> LedgerRow:
    return LedgerRow(table, read=3, inserted=3, updated=0, superseded=0, rejected=0, checksum=0)


# --- who may ask ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["extractions", "extractions/x", "loads"])
def test_a_foreign_client_id_is_unauthorized(account: Account, other: Account, path: str):
    for client_id in (other.id, 0, -1, 10**30):
        refused = account.call("GET", f"/v4/{client_id}/{path}", status=401)
        assert refused == {"error": "Unauthorized", "data": {"message": "invalid access token"}}
