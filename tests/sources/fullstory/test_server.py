"""FullStory through a server: made, checked and run by the Connect API; nothing is to be selected."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from tests.control.serving import check_ended, extraction_of, job_of, serving

from lockstitch.testing.vendors.fullstory import FullStoryServer
from lockstitch.testing.vendors.fullstory_account import make_account
from sources.fullstory.account import KEY, START


def test_a_job_through_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTITCH_ALLOW_NETWORKS", "127.0.0.0/8")
    path = tmp_path / "warehouse.duckdb"
    # One bundle, as another one would have to wait for half a minute.
    account = make_account(seed=3, bundles=1, events=9, users=3)
    with FullStoryServer(account, key=KEY) as vendor, serving(tmp_path / "home") as served:
        served.call("POST", "/v4/destinations", {"type": "duckdb", "properties": {"path": str(path)}})
        properties = {
            "api_key": KEY,
            "start_date": START,
            "frequency_in_minutes": "30",
            "base_url": vendor.url,
            "export_base_url": vendor.url,
        }
        source = served.call(
            "POST", "/v4/sources", {"type": "platform.fullstory", "display_name": "FullStory", "properties": properties}
        )
        assert check_ended(served, "source", source["id"])["status"] == "succeeded"
        for _ in range(2):
            name = job_of(served, source["id"])
            extraction = extraction_of(served, name)
            assert extraction["tap_exit_status"] == extraction["target_exit_status"] == 0, extraction
        assert served.stop() == 0
        truth = vendor.data.truth("events")
        with duckdb.connect(str(path), read_only=True) as warehouse:
            found = warehouse.execute(
                "select count(*), count(distinct __sdc_primary_key) from fullstory.events"
            ).fetchall()
            pages = warehouse.execute("select PageId from fullstory.events").fetchall()
    assert found == [(len(truth), len(truth))]
    assert sorted(page for (page,) in pages) == sorted(int(event["PageId"]) for event in truth)
    assert len([one for one in vendor.requests if "export/get" in one.request.path]) == 1
