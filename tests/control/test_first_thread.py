"""The whole way over HTTP: a source and a destination, checks, selection, a job, its reports, and a restart."""

from __future__ import annotations

from pathlib import Path

import duckdb
from tests.control.serving import (
    check_ended,
    extraction_of,
    heap_properties,
    job_of,
    selected,
    serving,
    start,
    write_bucket,
)


def test_a_job_from_a_bucket_into_a_warehouse_outlives_a_restart(tmp_path: Path):
    warehouse, home = tmp_path / "warehouse.duckdb", tmp_path / "home"
    bucket = write_bucket(tmp_path / "bucket", 1)
    with serving(home) as served:
        destination = served.call(
            "POST", "/v4/destinations", {"type": "duckdb", "properties": {"path": str(warehouse)}}
        )
        made = {"type": "platform.heap", "display_name": "Heap", "properties": heap_properties(bucket)}
        source = served.call("POST", "/v4/sources", made)
        assert source["name"] == "heap"
        assert source["schedule"] is None
        assert check_ended(served, "destination", destination["id"])["status"] == "succeeded"
        check = check_ended(served, "source", source["id"])
        assert check["status"] == "succeeded", check
        assert check["name"] == source["check_job_name"]

        card = served.call("GET", f"/v4/sources/{source['id']}")["report_card"]
        assert card["current_step_type"] == "field_selection"
        refused = served.call("POST", f"/v4/sources/{source['id']}/sync", status=400)
        assert refused["error"]["type"] == "generic"
        selected(served, source["id"], "users", "sessions")
        told = served.call("GET", f"/v4/sources/{source['id']}")
        assert told["report_card"]["current_step_type"] == "fully_configured"
        assert told["schedule"]["type"] == "interval"

        job = job_of(served, source["id"])
        extraction = extraction_of(served, job)
        assert extraction["tap_exit_status"] == extraction["target_exit_status"] == 0, extraction
        assert extraction["source_type"] == "tap-heap"
        loads = served.call("GET", f"/v4/{served.account_id}/loads")
        assert [one["stream_name"] for one in loads["data"]] == ["sessions", "users"]
        assert all(one["error_state"] is None for one in loads["data"])
        moved = served.ask("GET", f"/v4/{served.account_id}/extractions/{job}")
        assert moved.status_code == 302
        log = served.client.get(served.address + moved.headers["location"]).text
        assert "tap - INFO Reading users" in log
        assert "Exit status is: Discovery succeeded. Tap succeeded. Target succeeded." in log
        assert served.client.get(served.address + f"/logs/{job}?expires=99999999999&signature=00").status_code == 401
        token, account = served.token, served.account_id
        assert served.stop() == 0

    with duckdb.connect(str(warehouse), read_only=True) as db:
        tables = {
            row[0] for row in db.execute("select table_name from duckdb_tables() where schema_name='heap'").fetchall()
        }
        assert tables == {"users", "sessions", "_sdc_rejected"}
        assert db.execute("select count(*) > 100 from heap.sessions").fetchall() == [(True,)]

    site = "https://app.example.com"
    again = start(home, "--origin", site)
    try:
        again.token, again.account_id = token, account
        (kept,) = [one for one in again.call("GET", "/v4/sources") if one["id"] == source["id"]]
        assert kept["report_card"]["current_step_type"] == "fully_configured"
        assert extraction_of(again, job) == extraction
        answered = again.client.get(again.address + "/v4/sources", headers={"Origin": site})
        assert answered.headers["access-control-allow-origin"] == site
        answered = again.client.get(again.address + "/v4/sources", headers={"Origin": "https://other.example.com"})
        assert "access-control-allow-origin" not in answered.headers
    finally:
        again.close()
