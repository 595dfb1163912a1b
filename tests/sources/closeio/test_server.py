"""Close through a server: made, checked, selected and run by the Connect API, and its log read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.control.serving import Served, check_ended, extraction_of, job_of, selected, serving

from lockstitch.testing.vendors.close_account import make_account
from lockstitch.testing.vendors.faults import Failure
from sources.closeio.account import Account
from sources.closeio.pipelines import Warehouse, assert_whole


def made(served: Served, account: Account, warehouse: Path) -> dict[str, Any]:
    """Make destination and source, and wait for the source's check."""
    served.call("POST", "/v4/destinations", {"type": "duckdb", "properties": {"path": str(warehouse)}})
    properties = {
        "api_key": account.key,
        "start_date": "2026-04-20T00:00:00Z",
        "frequency_in_minutes": "30",
        "base_url": f"{account.url}/api/v1",
    }
    source = served.call(
        "POST", "/v4/sources", {"type": "platform.closeio", "display_name": "Close", "properties": properties}
    )
    check = check_ended(served, "source", source["id"])
    assert check["status"] == "succeeded", check
    return source


def test_a_job_through_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTITCH_ALLOW_NETWORKS", "127.0.0.0/8")
    monkeypatch.setenv("LOCKSTITCH_HOME", str(tmp_path / "mine"))
    path = tmp_path / "warehouse.duckdb"
    data = make_account(seed=5, leads=8, activities=12, tasks=5)
    with Account(tmp_path, data) as account, serving(tmp_path / "home") as served:
        source = made(served, account, path)
        streams = served.call("GET", f"/v4/sources/{source['id']}/streams")
        assert {one["stream_name"] for one in streams} == {
            "activities",
            "custom_fields",
            "event_log",
            "leads",
            "tasks",
            "users",
        }
        account.faults.add(Failure(status=503, on="/v1/lead/"))
        selected(served, source["id"])
        name = job_of(served, source["id"])
        extraction = extraction_of(served, name)
        assert extraction["tap_exit_status"] == extraction["target_exit_status"] == 0, extraction
        assert extraction["source_type"] == "tap-closeio"
        loads = served.call("GET", f"/v4/{served.account_id}/loads")["data"]
        assert {one["stream_name"] for one in loads} >= {"leads", "activities", "tasks", "users", "custom_fields"}
        moved = served.ask("GET", f"/v4/{served.account_id}/extractions/{name}")
        log = served.client.get(served.address + moved.headers["location"]).text
        assert "GET /lead/ answers 503: this is a test of faults; trying again in" in log
        assert "activities: Close also sends activity_at" in log
        assert "Exit status is: Discovery succeeded. Tap succeeded. Target succeeded." in log
        assert account.key not in log
        assert served.stop() == 0
        assert account.faults.met == 1
        assert_whole(account, Warehouse("duckdb", {"path": str(path)}))
