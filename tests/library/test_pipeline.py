"""A pipeline as an object: each verb does what the command of its name does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import lockstitch
from lockstitch.engine.events import Event, LaneFinished, LoadCommitted
from lockstitch.library.pipeline import Streams
from lockstitch.library.shown import Shown
from lockstitch.pipeline_file import connection_id
from lockstitch.testing.heap_bucket import DumpTable, write_dump
from lockstitch.testing.postgres_server import PostgresDatabase


def test_five_lines_bring_a_bucket_into_a_data_frame(bucket: Path) -> None:
    run = lockstitch.pipeline(
        "heap", source="platform.heap", properties={"bucket_url": bucket.as_uri()}, dataset="heap_data"
    ).run()
    frame = run.dataset().sessions.df()
    assert sorted(frame["country"]) == ["DE", "FR", "FR"]
    assert (run.verdict, run.rows, run.loads, run.errors, run.warnings) == ("ok", 7, 2, {}, ())
    assert run.tables["users"] == {
        "read": 4, "inserted": 4, "updated": 0, "superseded": 0, "rejected": 0, "adjusted": 0
    }  # fmt: skip


def test_nothing_is_shown_where_nobody_looks(heap: lockstitch.Pipeline, capfd: pytest.CaptureFixture[str]) -> None:
    assert heap.run().rows == 7
    assert capfd.readouterr() == ("", "")


def test_plain_progress_is_lines_on_stderr(heap: lockstitch.Pipeline, capfd: pytest.CaptureFixture[str]) -> None:
    heap.run(progress="plain")
    out, err = capfd.readouterr()
    assert out == ""
    assert "users: load 1 committed, users 4 rows" in err.splitlines()


def test_in_a_terminal_a_run_is_a_live_table(
    heap: lockstitch.Pipeline, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    heap.run()
    out, err = capfd.readouterr()
    assert out == ""
    assert "rows/s" in err
    assert "users: created" in err


def test_runs_in_threads_leave_the_log_as_it_was(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    del folder
    both = threading.Barrier(2)

    def run(name: str) -> str:
        def rows() -> Iterator[dict[str, int]]:
            both.wait(60)
            if name == "first":
                ended.wait(60)  # began first, and ends last
            yield {"id": 1}

        verdict = lockstitch.pipeline(name, source=lockstitch.stream(rows)).run(progress="plain").verdict
        ended.set()
        return verdict

    ended = threading.Event()
    logger = logging.getLogger("lockstitch")
    before = logger.handlers, logger.propagate
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(run, ("first", "second"))) == ["ok", "ok"]
    assert (logger.handlers, logger.propagate) == before
    assert capfd.readouterr().err.count("rows: load 1 committed") == 2


def test_a_progress_that_there_is_not_is_refused(heap: lockstitch.Pipeline) -> None:
    with pytest.raises(lockstitch.SettingsError, match="progress is 'loud'"):
        heap.run(progress="loud")  # pyright: ignore[reportArgumentType]


def test_events_are_handed_on(heap: lockstitch.Pipeline) -> None:
    events: list[Event] = []
    heap.run(events=events.append)
    assert sum(isinstance(event, LoadCommitted) for event in events) == 2
    assert {event.lane for event in events if isinstance(event, LaneFinished)} == {"users", "sessions"}


def test_a_second_run_carries_what_is_new(heap: lockstitch.Pipeline, bucket: Path) -> None:
    heap.run()
    assert heap.run().tables == {}
    more = pa.table({"user_id": pa.array([4, 5], pa.int64()), "visits": pa.array([1, 1])})
    write_dump(bucket, 101, {"users": DumpTable(more)})
    run = heap.run()
    assert (run.tables["users"]["inserted"], run.tables["users"]["updated"]) == (1, 1)
    assert "2 rows read, 1 load committed" in repr(run)


def test_the_verbs_that_look(heap: lockstitch.Pipeline) -> None:
    heap.check()
    assert {stream.name: stream.key for stream in heap.discover()} == {"sessions": ("event_id",), "users": ("user_id",)}
    assert all(one.creates for one in heap.plan().streams)
    heap.run()
    assert not any(one.reads for one in heap.plan().streams)
    assert {verdict.table: (verdict.grade, verdict.holds) for verdict in heap.verify()} == {
        "sessions": ("source", True),
        "users": ("source", True),
    }


def test_a_reset_stream_is_read_again(heap: lockstitch.Pipeline) -> None:
    heap.run()
    assert heap.reset("users").streams == ("users",)
    assert set(heap.run().tables) == {"users"}
    with pytest.raises(lockstitch.SettingsError, match="no selected stream is called 'usrs'"):
        heap.reset("usrs")


def test_a_failed_check_raises_and_tells_of_both_ends(folder: Path) -> None:
    pipeline = lockstitch.pipeline(
        "heap",
        source="platform.heap",
        properties={"bucket_url": (folder / "empty").as_uri()},
        destination_properties={"path": str(folder / "no folder" / "x.duckdb")},
    )
    (folder / "empty").mkdir()
    with pytest.raises(lockstitch.SettingsError, match="No streams found") as refused:
        pipeline.check()
    assert "the folder of" in refused.value.__notes__[0]


def lose_a_file(bucket: Path, table: str) -> None:
    next((bucket / "sync_100" / table).glob("part-00000-*")).unlink()


def test_an_error_is_raised_when_all_others_have_landed(heap: lockstitch.Pipeline, bucket: Path) -> None:
    lose_a_file(bucket, "sessions")
    with pytest.raises(lockstitch.LockstitchError, match="which is not in the bucket") as failed:
        heap.run()
    assert failed.value.hint
    assert "stream sessions" in failed.value.__notes__[0]
    assert heap.dataset().tables == ("users",)


def test_or_it_is_in_the_result(heap: lockstitch.Pipeline, bucket: Path) -> None:
    lose_a_file(bucket, "sessions")
    run = heap.run(raise_errors=False)
    assert (run.verdict, set(run.errors), run.rows) == ("user", {"sessions"}, 4)
    assert "which is not in the bucket" in run._repr_html_()


@pytest.mark.parametrize(
    ("streams", "tables"),
    [
        ("*", ("sessions", "users")),
        (["users"], ("users",)),
        ({"users": "*"}, ("users",)),
        ({"users": ["visits"]}, ("users",)),
    ],
)
def test_streams_are_chosen(bucket: Path, streams: Streams, tables: tuple[str, ...]) -> None:
    properties = {"bucket_url": bucket.as_uri()}
    run = lockstitch.pipeline("heap", source="platform.heap", properties=properties, streams=streams).run()
    assert run.dataset().tables == tables


@pytest.mark.parametrize("streams", [None, 5, [], "users"])
def test_what_chooses_no_streams_is_refused(streams: Any, bucket: Path) -> None:
    with pytest.raises(lockstitch.SettingsError, match=r"source\.streams is"):
        lockstitch.pipeline("h", source="platform.heap", properties={"bucket_url": bucket.as_uri()}, streams=streams)


def test_a_stream_that_there_is_not_is_refused(bucket: Path) -> None:
    properties = {"bucket_url": bucket.as_uri()}
    with pytest.raises(lockstitch.SettingsError, match="there is no stream 'usrs'"):
        lockstitch.pipeline("heap", source="platform.heap", properties=properties, streams=["usrs"]).run()
    with pytest.raises(lockstitch.SettingsError, match="streams is 'users'"):
        lockstitch.pipeline("heap", source="platform.heap", properties=properties, streams="users")


def test_progress_is_that_of_the_file_of_the_same_name(bucket: Path, folder: Path) -> None:
    properties = {"bucket_url": bucket.as_uri()}
    lockstitch.pipeline("heap", source="platform.heap", properties=properties).run()
    (folder / "pipeline.toml").write_text(
        f'[source]\ntype = "platform.heap"\nname = "heap"\n[source.properties]\nbucket_url = "{bucket.as_uri()}"\n'
        '[destination]\ntype = "duckdb"\n[destination.properties]\npath = "heap.duckdb"\n'
    )
    loaded = lockstitch.load_pipeline("pipeline.toml")
    assert loaded.run().rows == 0
    assert loaded.dataset().tables == ("sessions", "users")
    with pytest.raises(lockstitch.SettingsError, match="no such file"):
        lockstitch.load_pipeline("pipelines.toml")


def test_two_pipelines_into_one_dataset_have_a_progress_each(bucket: Path) -> None:
    def made(name: str, identity: str | None = None) -> lockstitch.Pipeline:
        properties = {"bucket_url": bucket.as_uri()}
        return lockstitch.pipeline(name, source="platform.heap", properties=properties, dataset="both", id=identity)

    names = {made("one").settings.connection, made("two").settings.connection, made("both").settings.connection}
    assert len(names) == 3
    assert made("both").settings.connection == connection_id("platform.heap", "both")
    assert made("one", "12").settings.connection == "12"


def test_a_pipeline_shows_no_secret() -> None:
    pipeline = lockstitch.pipeline(
        "heap",
        source="platform.heap",
        properties={"bucket_url": "s3://b", "aws_access_key_id": "AK", "aws_secret_access_key": "s3cret"},
    )
    assert repr(pipeline) == "<pipeline heap: platform.heap to duckdb, dataset heap>"
    assert "s3cret" not in f"{pipeline.settings!r}"


def test_into_postgresql(bucket: Path, postgres: PostgresDatabase) -> None:
    run = lockstitch.pipeline(
        "heap",
        source="platform.heap",
        properties={"bucket_url": bucket.as_uri()},
        destination="postgres",
        destination_properties=postgres.properties,
    ).run()
    dataset = run.dataset()
    assert dataset.tables == ("sessions", "users")
    assert sorted(dataset.users.arrow()["user_id"].to_pylist()) == [1, 2, 3, 4]
    frame = dataset.query("select country, count(*) as n from sessions group by 1 order by 1").pl()
    assert frame.rows() == [("DE", 1), ("FR", 2)]


def test_what_has_landed_is_shown(heap: lockstitch.Pipeline) -> None:
    assert repr(heap.show()) == "heap_data: nothing has landed yet"
    heap.run()
    shown = heap.show()
    assert {table.name: (table.rows, table.key) for table in shown.tables} == {
        "sessions": (3, ("event_id",)),
        "users": (4, ("user_id",)),
    }
    assert {(load.lane, load.number, load.row.inserted) for load in shown.loads} == {
        ("sessions", 1, 3),
        ("users", 1, 4),
    }
    assert {lane: mark.number for lane, mark in shown.marks.items()} == {"sessions": 1, "users": 1}
    assert "users  (4 rows; key user_id)" in repr(shown)
    assert shown._repr_html_().count("<table>") == 3


def test_a_notebook_is_told_what_was_set_aside_and_what_is_not_shown(heap: lockstitch.Pipeline) -> None:
    assert "nothing has landed yet" in heap.show()._repr_html_()
    heap.run()
    state = heap.show().state
    page = Shown(replace(state, rejected=3, loads=state.loads * 11))._repr_html_()
    assert "<div>3 records in heap_data._sdc_rejected, with the reasons</div>" in page
    assert "<div>2 lines before; show().loads has all</div>" in page
