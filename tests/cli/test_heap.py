"""The main job from the command line: a bucket in Heap's format on disk, dump by dump, into DuckDB."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from cli.conftest import Site
from lockstitch.engine.events import (
    Event,
    LaneFinished,
    LaneStarted,
    LoadCommitted,
    Progress,
    SchemaChanged,
    SourceDiscovered,
)
from lockstitch.pipeline_file import load_pipeline
from lockstitch.testing.heap_bucket import DumpTable, write_dump
from lockstitch.verbs import plan, run, verify

PIPELINE = """
[source]
type = "platform.heap"
name = "heap"
streams = "*"
[source.properties]
bucket_url = "{bucket}"
[destination]
type = "duckdb"
[destination.properties]
path = "{folder}/warehouse.duckdb"
"""


def users(ids: range, domain: str) -> pa.Table:
    return pa.table({"user_id": pa.array(ids, pa.int64()), "email": [f"{one}@{domain}" for one in ids]})


def sessions(ids: range) -> pa.Table:
    return pa.table({"event_id": pa.array(ids, pa.int64()), "time": ["2026-01-01T00:00:00Z"] * len(ids)})


@pytest.fixture
def heap(tmp_path: Path) -> Site:
    """A bucket with a first, full dump."""
    site = Site(tmp_path)
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    (tmp_path / "pipeline.toml").write_text(PIPELINE.format(bucket=bucket.as_uri(), folder=tmp_path))
    first = {
        "users": DumpTable(users(range(100), "a"), incremental=False, files=2),
        "sessions": DumpTable(sessions(range(300)), incremental=False),
    }
    write_dump(bucket, 100, first)
    return site


def add_increment(site: Site) -> None:
    second = {"users": DumpTable(users(range(50, 150), "b")), "sessions": DumpTable(sessions(range(300, 400)))}
    write_dump(site.folder / "bucket", 101, second)


def tables(site: Site) -> dict[str, dict[str, int]]:
    told = json.loads(site.call("run", "--json").out)
    assert told["verdict"] == "ok"
    return {table.pop("table"): table for table in told["tables"]}


def test_dump_by_dump(heap: Site) -> None:
    assert json.loads(heap.call("check", "--json").out)["ok"] is True
    assert [one["key"] for one in json.loads(heap.call("discover", "--json").out)["streams"]] == [
        ["event_id"],
        ["user_id"],
    ]
    first = tables(heap)
    assert (first["users"]["inserted"], first["sessions"]["inserted"]) == (100, 300)
    add_increment(heap)
    second = tables(heap)
    assert (second["users"]["inserted"], second["users"]["updated"]) == (50, 50)
    assert tables(heap) == {}
    assert heap.query("select count(*), count(distinct user_id) from heap.users where email like '%@b'") == [(100, 100)]


def test_plan_tells_increments_from_replacements(heap: Site) -> None:
    heap.call("run")
    add_increment(heap)
    anew = pa.table({"event_id": pa.array([1, 2], pa.int64()), "time": ["x", "y"], "browser": ["a", "b"]})
    write_dump(heap.folder / "bucket", 102, {"sessions": DumpTable(anew, incremental=False)})
    told = json.loads(heap.call("plan", "--json").out)
    sessions_, users_ = told["streams"]
    assert (sessions_["reads"], sessions_["files"], sessions_["replaces"]) == (True, 1, True)
    assert sessions_["columns"] == ["browser"]
    assert (users_["reads"], users_["files"], users_["replaces"], users_["columns"]) == (True, 1, False, [])
    text = heap.call("plan").out
    assert "  replaces all rows of heap.sessions, upserts by event_id\n" in text
    assert "  upserts by user_id into heap.users\n" in text
    assert "sessions, users: rows deleted at the source stay until it sends all rows anew" in text
    heap.call("run")
    assert heap.query("select event_id, browser from heap.sessions order by 1") == [(1, "a"), (2, "b")]


def test_verify_compares_with_the_dumps(heap: Site) -> None:
    import duckdb

    heap.call("run")
    assert heap.call("verify").out.splitlines() == [
        "table     grade   rows  finding",
        "sessions  source   300  holds",
        "users     source   100  holds",
    ]
    with duckdb.connect(str(heap.folder / "warehouse.duckdb")) as db:
        db.execute("delete from heap.users where user_id = 7")
        db.execute("update heap.users set email = 'x' where user_id in (8, 9)")
        db.execute("insert into heap.users (user_id) values (1000)")
    done = heap.call("verify")
    assert done.code == 3
    assert "users     source   100  1 missing, 1 too many, 2 changed" in done.out.splitlines()
    users_ = json.loads(heap.call("verify", "--json").out)["tables"][1]
    assert [users_[kind]["count"] for kind in ("missing", "extra", "changed")] == [1, 1, 2]
    assert "7" in users_["missing"]["examples"][0]


def test_verify_finds_a_lost_table(heap: Site) -> None:
    import duckdb

    heap.call("run")
    with duckdb.connect(str(heap.folder / "warehouse.duckdb")) as db:
        db.execute("drop table heap.users")
    done = heap.call("verify")
    assert done.code == 3
    assert "users     source     0  100 missing (the table is not there)" in done.out.splitlines()


def test_a_reset_table_is_replaced(heap: Site) -> None:
    heap.call("run")
    add_increment(heap)
    heap.call("run")
    heap.call("reset", "users")
    assert json.loads(heap.call("plan", "--json").out)["streams"][1]["replaces"] is True
    assert set(tables(heap)) == {"users"}
    assert heap.query("select count(*), count(distinct user_id) from heap.users") == [(150, 150)]


def test_a_missing_file_is_told_with_its_mend(heap: Site) -> None:
    next((heap.folder / "bucket" / "sync_100" / "users").glob("part-00001-*")).unlink()
    done = heap.call("run")
    assert done.code == 2
    assert "error: users: Heap manifest for dump 100 names sync_100/users/part-00001-" in done.err
    assert "which is not in the bucket\nhint: " in done.err
    assert heap.query("select count(*) from heap.sessions") == [(300,)]


def test_rejected_rows_are_counted_and_shown(heap: Site) -> None:
    rows = pa.table({"user_id": pa.array([1, None, None], pa.int64()), "email": ["a", "b", "c"]})
    write_dump(heap.folder / "bucket", 101, {"users": DumpTable(rows)})
    done = heap.call("run")
    assert done.code == 0
    assert "users      103       100        0           1         2         0" in done.out.splitlines()
    assert "2 rows rejected: table heap._sdc_rejected holds the originals and the reasons" in done.out.splitlines()
    assert heap.query("select count(*) from heap._sdc_rejected") == [(2,)]


def test_a_bucket_without_a_dump_is_a_warning_and_a_failed_check(heap: Site) -> None:
    (heap.folder / "bucket" / "manifests" / "sync_100.json").unlink()
    done = heap.call("check")
    assert done.code == 2
    assert done.err.startswith("error: source platform.heap: No streams found")
    listed = heap.call("discover")
    assert listed.out == "0 streams\n"
    assert listed.err.startswith("warning: bucket ")
    told = heap.call("discover", "--json")
    assert set(json.loads(told.err)) == {"warning"}


def test_a_run_with_nothing_new_loads_nothing_heavy(heap: Site) -> None:
    heap.call("run")
    code = "import sys; from lockstitch.cli import main; main(['run']); print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=heap.folder, env=heap.environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("nothing new (")
    assert not set(done.stdout.split()) & {"pyarrow", "datafusion", "boto3", "obstore", "rich", "numpy"}


def test_the_commands_are_functions_too(heap: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTITCH_HOME", str(heap.folder / "home"))
    pipeline = load_pipeline(heap.folder / "pipeline.toml")
    events: list[Event] = []
    result = run(pipeline, events=events.append)
    assert result.verdict is None
    assert {lane.lane: lane.rows for lane in result.lanes} == {"sessions": 300, "users": 100}
    assert {type(event) for event in events} == {
        SourceDiscovered,
        LaneStarted,
        Progress,
        SchemaChanged,
        LoadCommitted,
        LaneFinished,
    }
    assert [one.reads for one in plan(pipeline).streams] == [False, False]
    assert all(verdict.holds for verdict in verify(pipeline))
