"""Sources of ours in pipelines of dlt's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pyarrow as pa
import pytest
from tests.dlt.landing import MakePipeline, landed

import lockstitch
from lockstitch.core.errors import SettingsError
from lockstitch.core.model import Batch, Checkpoint, Json, Lane, Message, Part, Publish, Selected, Stream, Version
from lockstitch.core.protocols import Source
from lockstitch.dlt.offered import offered
from lockstitch.testing.heap_bucket import DumpTable, write_dump
from lockstitch.testing.lanes import LogLane, TapLane
from lockstitch.verbs import PipelineSettings

if TYPE_CHECKING:
    from dlt.extract import DltSource

USERS = pa.table({"user_id": pa.array([1, 2, 3], pa.int64()), "visits": pa.array([7, None, 2**62])})


def dumped(bucket: Path, number: int, users: pa.Table, *, incremental: bool = False) -> None:
    write_dump(bucket, number, {"users": DumpTable(users, incremental=incremental)})


@pytest.fixture
def bucket(folder: Path) -> Path:
    made = folder / "bucket"
    made.mkdir()
    dumped(made, 100, USERS)
    return made


def heap(bucket: Path, **settings: Any) -> DltSource:
    return lockstitch.dlt.source("platform.heap", properties={"bucket_url": bucket.as_uri()}, **settings)


def of(source: Source, name: str = "own") -> DltSource:
    """Offer a source that is no connector's."""
    return offered(PipelineSettings(name, name, "python", {}, "duckdb", {}, own_source=lambda: source))


# --- one stream a lane ------------------------------------------------------------------------------------------------


def test_each_run_goes_on_where_dlts_state_stands(bucket: Path, make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline()
    pipeline.run(heap(bucket))
    assert landed(pipeline, "users", "user_id", "visits") == [(1, 7), (2, None), (3, 2**62)]
    dumped(bucket, 101, pa.table({"user_id": [3, 4], "visits": [5, 6]}), incremental=True)
    pipeline.run(heap(bucket))
    assert landed(pipeline, "users", "user_id", "visits") == [(1, 7), (2, None), (3, 5), (4, 6)]
    assert not pipeline.run(heap(bucket)).loads_ids


def test_state_comes_back_from_the_destination(bucket: Path, folder: Path, make_pipeline: MakePipeline) -> None:
    make_pipeline().run(heap(bucket))
    shutil.rmtree(folder / "pipes")
    dumped(bucket, 101, pa.table({"user_id": [4], "visits": [6]}), incremental=True)
    pipeline = make_pipeline()
    pipeline.run(heap(bucket))
    trace = pipeline.last_trace
    assert trace is not None
    assert trace.last_normalize_info is not None
    assert trace.last_normalize_info.row_counts["users"] == 1
    assert landed(pipeline, "users", "user_id") == [(1,), (2,), (3,), (4,)]


def test_a_new_version_replaces_the_table(bucket: Path, make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline()
    pipeline.run(heap(bucket))
    dumped(bucket, 101, pa.table({"user_id": [9], "visits": [1]}))
    dumped(bucket, 102, pa.table({"user_id": [9, 10], "visits": [2, 3]}), incremental=True)
    pipeline.run(heap(bucket))
    assert landed(pipeline, "users", "user_id", "visits") == [(9, 2), (10, 3)]


def test_a_refresh_reads_from_the_beginning(bucket: Path, make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline()
    pipeline.run(heap(bucket))
    assert pipeline.run(heap(bucket), refresh="drop_sources").loads_ids
    assert pipeline.run(heap(bucket), write_disposition="replace").loads_ids
    assert landed(pipeline, "users", "user_id") == [(1,), (2,), (3,)]


def test_a_stream_is_a_resource_that_tells_its_key(bucket: Path) -> None:
    source = heap(bucket, name="clicks")
    assert source.name == "clicks"
    assert list(source.resources) == ["users"]
    table = source.users.compute_table_schema()
    assert table.get("write_disposition") == "merge"
    assert table.get("columns", {})["user_id"].get("primary_key")


def test_streams_and_fields_are_chosen(bucket: Path, make_pipeline: MakePipeline) -> None:
    with pytest.raises(SettingsError, match="no stream 'user'"):
        heap(bucket, streams=["user"])
    pipeline = make_pipeline()
    pipeline.run(heap(bucket, streams={"users": ["user_id"]}))
    assert "visits" not in pipeline.default_schema.get_table_columns("users")


def test_own_streams_are_offered_too(make_pipeline: MakePipeline) -> None:
    asked: list[Any] = []

    @lockstitch.stream(key="id", cursor="at")
    def orders(since: Any) -> Iterator[dict[str, Any]]:
        asked.append(since)
        yield {"id": 1 + len(asked), "at": len(asked), "lines": [{"sku": "a"}]}

    pipeline = make_pipeline()
    pipeline.run(lockstitch.dlt.source(orders, name="own"))
    pipeline.run(lockstitch.dlt.source([orders], name="own"))
    assert asked == [None, 1]
    assert landed(pipeline, "orders", "id", "lines") == [(2, '[{"sku": "a"}]'), (3, '[{"sku": "a"}]')]


def test_dlt_is_imported_when_it_is_used(folder: Path) -> None:
    code = "import sys, lockstitch; lockstitch.dlt.source; print('dlt' in sys.modules, 'pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    assert done.stdout.split() == ["False", "False"]


# --- several streams in one lane --------------------------------------------------------------------------------------


def test_a_log_with_many_tables_ends_as_the_database_is(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline()
    for log in (LogLane(end=60), LogLane(end=400, retained=300)):
        pipeline.run(of(log))
        for table in log.tables:
            rows = [row for row in log.rows_at(table, log.end).values() if row is not None]
            expected = sorted((row["id"], row["name"], row["amount"]) for row in rows)
            assert landed(pipeline, table, "id", "name", "amount") == expected


def test_a_tap_of_two_streams_replaces_one_and_merges_the_other(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline()
    for day in (1, 2):
        tap = TapLane(day=day)
        pipeline.run(of(tap))
        assert landed(pipeline, "users", "id", "name") == [(row["id"], row["name"]) for row in tap.users(day)]
        assert landed(pipeline, "events", "id") == [(row["id"],) for row in tap.events(day)]


# --- versions half way, and failures ----------------------------------------------------------------------------------


@dataclass
class Played:
    """A source of two streams in one lane that says what it is told to say after a cursor."""

    after: dict[int | None, Sequence[Message | Exception]]
    new_fields: ClassVar[Literal["add", "report"]] = "add"

    def check(self) -> None: ...

    def discover(self) -> Sequence[Stream]:
        return [Stream("keyed", key=("id",)), Stream("plain")]

    def lanes(self, wanted: Sequence[Selected]) -> Sequence[Lane]:
        return [Lane("both", tuple(one.stream.name for one in wanted))]

    def parts(self, lane: Lane, cursor: Json) -> Sequence[Part]:
        return ()

    def read(self, lane: Lane, cursor: Json) -> Iterator[Message]:
        assert cursor is None or isinstance(cursor, int)
        for one in self.after[cursor]:
            if isinstance(one, Exception):
                raise one
            yield one

    def committed(self, lane: Lane, cursor: Json) -> None: ...

    def close(self) -> None: ...


def rows(stream: str, *ids: int, kind: Literal["upsert", "delete"] = "upsert") -> Batch:
    return Batch(stream, pa.RecordBatch.from_pydict({"id": pa.array(ids, pa.int64())}), kind)


def test_a_version_half_way_is_not_seen_and_read_again(make_pipeline: MakePipeline) -> None:
    begun = [Version("plain", 2), rows("plain", 7), Checkpoint(2), rows("keyed", 9), Checkpoint(3)]
    source = Played(
        {
            None: [rows("plain", 1), rows("keyed", 1), Checkpoint(1)],
            1: begun,
        }
    )
    pipeline = make_pipeline()
    pipeline.run(of(source))
    pipeline.run(of(source))
    assert landed(pipeline, "plain", "id") == [(1,)]
    assert landed(pipeline, "keyed", "id") == [(1,)]
    source.after[1] = [*begun, rows("plain", 8), Publish("plain", 2), rows("plain", 8), Checkpoint(4)]
    pipeline.run(of(source))
    assert landed(pipeline, "plain", "id") == [(7,), (8,), (8,)]
    assert landed(pipeline, "keyed", "id") == [(1,), (9,)]


def test_of_two_versions_in_one_read_the_last_counts(make_pipeline: MakePipeline) -> None:
    first = [Version("keyed", 1), rows("keyed", 1, 2), Publish("keyed", 1), rows("keyed", 2), Checkpoint(1)]
    second = [rows("keyed", 3), Version("keyed", 2), rows("keyed", 4, 4, 5), Publish("keyed", 2), Checkpoint(2)]
    pipeline = make_pipeline()
    later = [rows("keyed", 4, kind="delete"), Checkpoint(3)]
    pipeline.run(of(Played({None: [*first, *second, *later]})))
    assert landed(pipeline, "keyed", "id") == [(5,)]


def test_an_empty_version_empties_the_table(make_pipeline: MakePipeline) -> None:
    emptied = [Version("plain", 1), Publish("plain", 1), Version("keyed", 1), Publish("keyed", 1), Checkpoint(2)]
    source = Played({None: [rows("plain", 1), rows("keyed", 1), Checkpoint(1)], 1: emptied})
    pipeline = make_pipeline()
    pipeline.run(of(source))
    pipeline.run(of(source))
    assert landed(pipeline, "plain", "id") == []
    assert landed(pipeline, "keyed", "id") == []


def test_a_read_that_fails_moves_nothing(make_pipeline: MakePipeline) -> None:
    from dlt.pipeline.exceptions import PipelineStepFailed

    source = Played({None: [rows("plain", 1), Checkpoint(1)], 1: [rows("plain", 2), Checkpoint(2), ValueError("cut")]})
    pipeline = make_pipeline()
    pipeline.run(of(source))
    with pytest.raises(PipelineStepFailed, match="cut"):
        pipeline.run(of(source))
    source.after[1] = [rows("plain", 2), Checkpoint(2)]
    pipeline.run(of(source))
    assert landed(pipeline, "plain", "id") == [(1,), (2,)]


@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")  # dlt itself calls it
def test_a_lost_load_is_repeated_by_dlt_and_not_doubled(make_pipeline: MakePipeline) -> None:
    source = Played({None: [rows("plain", 1), Checkpoint(1)], 1: [rows("plain", 2), Checkpoint(2)], 2: [Checkpoint(2)]})
    pipeline = make_pipeline()
    pipeline.run(of(source))
    pipeline.extract(of(source))
    pipeline.normalize()
    pipeline.run(of(source))
    assert landed(pipeline, "plain", "id") == [(1,), (2,)]
