"""The whole way: a job of a real server ends, and a real hook is called or a notification raised."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa
from tests.control.notifications.servers import HookServer, hook_server
from tests.control.serving import (
    Served,
    check_ended,
    extraction_of,
    heap_properties,
    selected,
    serving,
    until,
    write_bucket,
)

from lockstitch.control.store.database import Store
from lockstitch.control.store.tables import deliveries, notifications


def test_a_load_calls_the_hook_with_what_landed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOCKSTITCH_ALLOW_NETWORKS", "127.0.0.0/8")
    monkeypatch.setenv("LOCKSTITCH_PLAIN_HOOKS", "on")
    warehouse = tmp_path / "warehouse.duckdb"
    with hook_server() as hook, serving(tmp_path / "home") as served:
        source_id = _source(served, tmp_path, warehouse)
        body = {"type": "post_load", "config": {"url": hook.url}}
        served.call("POST", "/notifications/public/v1/api/hooks", body)
        selected(served, source_id, "users", "sessions")
        job = _job(served, source_id)
        assert extraction_of(served, job)["target_exit_status"] == 0
        told = until(lambda: _told(hook, 2), "both calls")
        assert served.stop() == 0
    with duckdb.connect(str(warehouse), read_only=True) as db:
        for name in ("users", "sessions"):
            payload = told[name]
            (row,) = db.execute(f"select count(*), epoch_us(min(_sdc_batched_at)) // 1000 from heap.{name}").fetchall()
            assert payload["tables"][0]["num_rows"] == row[0] > 0
            assert payload["integration_name"] == "heap"
            assert payload["minimum_sdc_batched_at"] == _told_at(row[1])
            assert payload["tables"][0]["max_time_extracted"] <= payload["minimum_sdc_batched_at"]


def test_a_job_that_fails_is_raised_and_its_mail_waits(tmp_path: Path):
    with serving(tmp_path / "home") as served:
        source_id = _source(served, tmp_path, tmp_path / "warehouse.duckdb")
        selected(served, source_id, "users")
        shutil.rmtree(tmp_path / "bucket")
        text = extraction_of(served, _job(served, source_id))["discovery_description"]
        assert served.stop() == 0
    store = Store(f"sqlite:///{tmp_path}/home/control.sqlite")
    with store.read() as db:
        raised = db.execute(sa.select(notifications)).one()
        (waiting,) = db.execute(sa.select(deliveries)).all()
    store.close()
    assert (raised.event, raised.connection_id, raised.error) == ("platform.exit_status", source_id, text)
    assert raised.subject == "We're encountering some errors with your Heap integration"
    assert (waiting.kind, waiting.notification_id) == ("mail", raised.id)
    assert waiting.due_at - raised.raised_at == timedelta(hours=1)


def _source(served: Served, folder: Path, warehouse: Path) -> int:
    destination = served.call("POST", "/v4/destinations", {"type": "duckdb", "properties": {"path": str(warehouse)}})
    assert check_ended(served, "destination", destination["id"])["status"] == "succeeded"
    properties = heap_properties(write_bucket(folder / "bucket", 1))
    source = served.call(
        "POST", "/v4/sources", {"type": "platform.heap", "display_name": "Heap", "properties": properties}
    )
    check = check_ended(served, "source", source["id"])
    assert check["status"] == "succeeded", check
    served.call("PUT", f"/v4/sources/{source['id']}", {"paused_at": "2026-01-01T00:00:00Z"})
    return source["id"]


def _job(served: Served, source_id: int) -> str:
    return served.call("POST", f"/v4/sources/{source_id}/sync")["job_name"]


def _told_at(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03}Z"


def _told(hook: HookServer, count: int) -> dict[str, Any] | None:
    """Return the calls by root table once there are enough."""
    payloads = [json.loads(body) for _, _, body in hook.requests]
    return {one["source_root_table_name"]: one for one in payloads} if len(payloads) >= count else None
