"""A worker with children that are made up: how runs and checks end, whose they are, and what is written of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from tests.control.stored import (
    NOON,
    add_sources,
    begin_check,
    begin_run,
    check_row,
    log_text,
    opened,
    run_row,
)

from lockstitch.control import process, runs, selection, work
from lockstitch.control.messages import Assignment, Committed, Discovered, Done, Ended, Logged, Message, NotLoaded
from lockstitch.control.process import Killed
from lockstitch.control.server import Server
from lockstitch.control.store.tables import connections as table
from lockstitch.control.store.tables import loads, streams
from lockstitch.control.work import Worker
from lockstitch.core.loads import LedgerRow
from lockstitch.core.model import Field, Stream, StreamChoice

Hear = Callable[[Message], None]
Grace = Callable[[], float | None]


@dataclass
class FakeChild:
    """Says what it was given, then does as it was told; keeps what graces it was granted."""

    told: Sequence[Message] = (Ended("discovery"), Ended("tap"), Ended("target"))
    end: Callable[[Grace], Done] = lambda _: Done()
    assignments: list[Assignment] = field(default_factory=list[Assignment])

    def __call__(self, assignment: Assignment, hear: Hear, grace: Grace) -> Done:
        self.assignments.append(assignment)
        for message in self.told:
            hear(message)
        return self.end(grace)


def until_asked(grace: Grace) -> Done:
    """Go on until asked to stop, and obey."""
    while grace() is None:
        time.sleep(0.01)
    return Done()


def killed(code: int) -> Callable[[Grace], Done]:
    def end(_: Grace) -> Done:
        raise Killed(code)

    return end


@pytest.fixture(params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Server]:
    url = request.getfixturevalue("postgres").uri if request.param == "postgres" else None
    with opened(tmp_path / "home", url) as made:
        yield made


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> FakeChild:
    fake = FakeChild()
    monkeypatch.setattr(process, "carry_out", fake)
    monkeypatch.setattr(work, "_BETWEEN_TRIES", 0.05)
    return fake


@pytest.fixture
def run(server: Server) -> str:
    (source_id,) = add_sources(server)
    return begin_run(server, source_id)


def worker(server: Server, name: str = "a", leaving: threading.Event | None = None) -> Worker:
    flag = leaving or threading.Event()
    return Worker(server.store, server.custody, server.settings.home, name, flag.is_set)


def ledger_row(table_name: str, read: int) -> LedgerRow:
    return LedgerRow(
        table=table_name, read=read, inserted=read, updated=0, superseded=0, rejected=0, adjusted=0, checksum=0
    )


def test_a_run_ends_as_its_child_says(server: Server, child: FakeChild, run: str):
    child.told = [Logged("tap", "INFO", "two\nlines"), *child.told]
    worker(server).run(run)
    row = run_row(server, run)
    assert (row.discovery_exit_status, row.tap_exit_status, row.target_exit_status) == (0, 0, 0)
    assert (row.verdict, row.active_source_id) == (None, None)
    assert row.completion_time is not None
    first, second = log_text(server, run).splitlines()
    assert first.endswith("   tap - INFO two")
    assert second.endswith("   tap - INFO lines")


def test_a_type_without_a_selection_replicates_all_until_somebody_chooses(server: Server, child: FakeChild):
    (source_id,) = add_sources(server)
    form = {"api_key": "key", "start_date": "2026-01-01T00:00:00Z", "image_version": "1.latest"}
    with server.store.begin() as db:
        of_source = sa.update(table).where(table.c.id == source_id)
        db.execute(of_source.values(type="platform.fullstory", properties=form, has_selection=False))
    child.told = [Discovered((Stream("events", (Field("EventStart"),)),)), *child.told]
    worker(server).run(begin_run(server, source_id))
    with server.store.begin() as db:
        chosen = {"tap_stream_id": "events", "metadata": [_selected([]), _selected(["properties", "EventStart"])]}
        selection.choose(db, source_id, {"streams": [chosen]})
    worker(server).run(begin_run(server, source_id))
    assert [one.selection for one in child.assignments] == [None, {"events": StreamChoice(frozenset({"EventStart"}))}]


def _selected(breadcrumb: list[str]) -> dict[str, Any]:
    return {"breadcrumb": breadcrumb, "metadata": {"selected": True}}


def test_a_type_with_a_selection_replicates_nothing_until_somebody_chooses(server: Server, child: FakeChild, run: str):
    worker(server).run(run)
    assert [one.selection for one in child.assignments] == [{}]


def test_an_ended_run_is_not_carried_out_again(server: Server, child: FakeChild, run: str):
    worker(server).run(run)
    worker(server, "b").run(run)
    assert len(child.assignments) == 1


@pytest.mark.parametrize(
    ("told", "code", "line"),
    [
        ((Ended("discovery"),), -9, "Exit status is: Discovery succeeded. Tap failed with code -9. Target succeeded."),
        ((), -11, "Exit status is: Discovery failed with code -11."),
    ],
)
def test_a_killed_child_is_told_as_terminated(
    server: Server, child: FakeChild, run: str, told: tuple[Message, ...], code: int, line: str
):
    child.told, child.end = told, killed(code)
    worker(server).run(run)
    row = run_row(server, run)
    assert [getattr(row, f"{phase}_exit_status") for phase in work.PHASES] == [None] * 3
    assert [getattr(row, f"{phase}_description") for phase in work.PHASES] == ["Terminated"] * 3
    assert row.verdict == "retry"
    assert line in log_text(server, run)


def test_a_run_that_takes_too_long_is_stopped_and_told_as_terminated(server: Server, child: FakeChild, run: str):
    child.end = until_asked
    slow = worker(server)
    slow.run_limit = 0.1
    slow.run(run)
    row = run_row(server, run)
    assert (row.tap_exit_status, row.tap_description) == (None, "Terminated")
    assert runs.TIMED_OUT in log_text(server, run)


def test_a_worker_that_leaves_hands_its_run_over(server: Server, child: FakeChild, run: str):
    leaving = threading.Event()

    def leave(grace: Grace) -> Done:
        leaving.set()
        return until_asked(grace)

    child.end = leave
    worker(server, leaving=leaving).run(run)
    row = run_row(server, run)
    assert (row.completion_time, row.worker, row.attempt) == (None, None, 2)

    child.end = killed(-9)
    worker(server, leaving=leaving).run(run)  # not even begun
    assert (run_row(server, run).attempt, len(child.assignments)) == (3, 1)


def test_a_run_stopped_by_hand_is_not_handed_over_by_a_worker_that_leaves(server: Server, child: FakeChild, run: str):
    leaving = threading.Event()

    def end(grace: Grace) -> Done:
        with server.store.begin() as db:
            runs.stop(db, 1, run_row(server, run).source_id, NOON)
        assert grace() == work.GRACE
        leaving.set()
        assert grace() == work.LEAVING_GRACE
        return Done()

    child.end = end
    worker(server, leaving=leaving).run(run)
    assert run_row(server, run).completion_time is not None


@pytest.mark.parametrize("name", ["b", "a"])
def test_a_run_taken_by_another_is_void_to_the_first(server: Server, child: FakeChild, run: str, name: str):
    """Also where the other is the same process, which was taken for dead and then handed its own run."""
    (second,) = [FakeChild(told=(Ended("tap", "second"), Logged("tap", "INFO", "from the second")))]

    def end(grace: Grace) -> Done:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(process, "carry_out", second)
            worker(server, name).run(run)
        assert grace() == 0.0
        raise Killed(-9)

    child.told = (Ended("tap", "first"),)
    child.end = end
    worker(server, "a").run(run)
    assert run_row(server, run).tap_description == "second"
    assert "Tap failed" not in log_text(server, run)


def test_what_a_void_owner_still_says_is_not_written(server: Server, run: str):
    class Thief(FakeChild):
        def __call__(self, assignment: Assignment, hear: Hear, grace: Grace) -> Done:
            with server.store.begin() as db:
                assert runs.take(db, run, "thief", NOON) is not None
            hear(Committed((ledger_row("t", 5),)))
            raise AssertionError("a message of a void owner was taken")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "carry_out", Thief())
        worker(server).run(run)
    row = run_row(server, run)
    assert (row.worker, row.rows, row.completion_time) == ("thief", 0, None)


@pytest.mark.parametrize("kind", ["source", "destination"])
def test_a_run_of_a_deleted_connection_stops_and_one_not_begun_says_so(
    server: Server, child: FakeChild, run: str, kind: str
):
    def end(grace: Grace) -> Done:
        assert grace() is None
        with server.store.begin() as db:
            db.execute(sa.update(table).where(table.c.kind == kind).values(deleted_at=NOON))
        assert grace() == work.GRACE
        return Done()

    child.end = end
    worker(server).run(run)
    row = run_row(server, run)
    assert row.tap_exit_status == 0
    again = begin_run(server, row.source_id, NOON)
    worker(server).run(again)
    row = run_row(server, again)
    assert row.tap_exit_status == 1
    assert {"source": "the source is deleted", "destination": "has no destination"}[kind] in row.tap_description
    assert len(child.assignments) == 1


def test_a_failed_load_is_told_in_the_loads_until_one_succeeds(server: Server, child: FakeChild, run: str):
    text = "permission denied"
    child.told = (Ended("discovery"), NotLoaded(("users",), text), Ended("tap"), Ended("target", text))
    child.end = lambda _: Done("user")
    worker(server).run(run)
    row = run_row(server, run)
    assert (row.target_exit_status, row.target_description, row.verdict) == (1, text, "user")
    query = sa.select(loads.c.error_state)
    with server.store.read() as db:
        assert db.execute(query).scalar_one()["notification_data"]["message"] == text
    again = begin_run(server, row.source_id)
    child.told = (Committed((ledger_row("users", 7),)), Ended("tap"), Ended("target"))
    child.end = lambda _: Done()
    worker(server).run(again)
    with server.store.read() as db:
        assert db.execute(query).scalar_one_or_none() is None
    assert run_row(server, again).rows == 7


def test_a_bug_in_the_worker_ends_the_run(server: Server, child: FakeChild, run: str):
    def end(_: Grace) -> Done:
        raise RuntimeError("a bug")

    child.end = end
    worker(server).run(run)
    row = run_row(server, run)
    assert (row.verdict, row.tap_description) == ("bug", "Terminated")
    assert row.completion_time is not None


@pytest.mark.usefixtures("child")
def test_a_run_outlives_a_busy_store(tmp_path: Path):
    """Another writer holds SQLite for longer than one statement waits."""
    with opened(tmp_path / "home") as server:
        (source_id,) = add_sources(server)
        run = begin_run(server, source_id)

        def wait_less(connection: Any, _: object) -> None:
            connection.execute("PRAGMA busy_timeout = 50")

        event.listen(server.store.engine, "connect", wait_less)
        server.store.engine.dispose()
        holding, release = threading.Event(), threading.Event()

        def hold() -> None:
            with server.store.begin():
                holding.set()
                release.wait(10)

        holder = threading.Thread(target=hold)
        holder.start()
        holding.wait(10)
        threading.Timer(0.5, release.set).start()
        worker(server).run(run)
        holder.join()
        assert run_row(server, run).tap_exit_status == 0


# --- checks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def check(server: Server) -> str:
    (source_id,) = add_sources(server)
    return begin_check(server, source_id)


@pytest.mark.parametrize(
    ("told", "end", "expected"),
    [
        ((Ended("tap"), Ended("discovery")), lambda _: Done(), (0, 0, None)),
        ((Ended("tap", "no access"),), lambda _: Done("user"), (None, 1, "no access")),
        ((Ended("tap"), Ended("discovery", "no tables")), lambda _: Done("user"), (0, 1, "no tables")),
        ((), lambda _: Done("bug"), (None, 1, work._INTERNAL)),
        ((Ended("tap"),), killed(-9), (0, 1, work._INTERNAL)),
    ],
)
def test_checks_end(
    server: Server,
    child: FakeChild,
    check: str,
    told: tuple[Message, ...],
    end: Callable[[Grace], Done],
    expected: tuple[int | None, int | None, str | None],
):
    child.told, child.end = told, end
    worker(server).check(check)
    row = check_row(server, check)
    assert (row.check_exit_status, row.discovery_exit_status, row.message) == expected
    assert row.completion_time is not None


def test_a_check_that_cannot_even_begin_ends_too(server: Server, child: FakeChild, check: str):
    with server.store.begin() as db:
        db.execute(sa.update(table).values(type="acme.uninstalled"))
    worker(server).check(check)
    assert check_row(server, check).message == work._INTERNAL
    assert child.assignments == []


def test_a_worker_that_leaves_asks_for_its_check_anew(server: Server, child: FakeChild, check: str):
    leaving = threading.Event()
    leaving.set()

    def end(grace: Grace) -> Done:
        assert grace() == 0.0
        raise Killed(-9)

    child.end = end
    worker(server, leaving=leaving).check(check)
    row = check_row(server, check)
    assert (row.completion_time, row.attempt) == (None, 2)


def test_an_older_check_that_ends_last_stores_no_streams(server: Server, child: FakeChild, check: str):
    def newer(_: Grace) -> Done:
        # The source is changed while its first check goes on: another check begins, and ends before the first.
        later = begin_check(server, source_of(check), "2")
        child.told, child.end = found("new"), lambda _: Done()
        worker(server, "b").check(later)
        return Done()

    child.told, child.end = found("old"), newer
    worker(server).check(check)
    assert check_row(server, check).completion_time is not None
    assert stream_names(server, source_of(check)) == ["new"]


def found(name: str) -> tuple[Message, ...]:
    return Ended("tap"), Discovered((Stream(name),)), Ended("discovery")


def stream_names(server: Server, source_id: int) -> list[str]:
    with server.store.read() as db:
        return [row.stream_name for row in db.execute(sa.select(streams).where(streams.c.source_id == source_id))]


def source_of(check: str) -> int:
    return int(check.split(".")[1])
