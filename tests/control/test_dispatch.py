"""The clock: ticks, handing out, the living and the dead; on SQLite and PostgreSQL, without any real worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from tests.control.stored import NOON, add_sources, begin_check, begin_run, check_row, minutes, opened, run_row, source

from lockstitch.control import runs, sources
from lockstitch.control.dispatch import Dispatcher
from lockstitch.control.durable import Durable
from lockstitch.control.server import Server
from lockstitch.control.store.tables import checks, workers
from lockstitch.control.store.tables import connections as table
from lockstitch.control.store.tables import runs as run_table


@dataclass
class FakeDurable:
    """Keeps who carries out what, as the real one does, but nobody carries it out. May be shared."""

    jobs: dict[str, str] = field(default_factory=dict[str, str])
    over: set[str] = field(default_factory=set[str])
    busy: set[str] = field(default_factory=set[str])
    taken_over: list[str] = field(default_factory=list[str])
    forgotten: list[datetime] = field(default_factory=list[datetime])

    def enqueue(self, kind: str, name: str) -> None:
        self.jobs.setdefault(name, kind)

    def are_over(self, names: Any) -> dict[str, bool]:
        return {name: name in self.over for name in names if name in self.jobs}

    def executors(self) -> set[str]:
        return self.busy

    def take_over(self, executor: str) -> int:
        self.taken_over.append(executor)
        return 1

    def forget(self, before: datetime) -> int:
        self.forgotten.append(before)
        return 0


@pytest.fixture(params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Server]:
    url = request.getfixturevalue("postgres").uri if request.param == "postgres" else None
    with opened(tmp_path / "home", url) as made:
        yield made


def dispatcher(server: Server, durable: FakeDurable | None = None, name: str = "a", silence: float = 60) -> Dispatcher:
    return Dispatcher(server.store, cast("Durable", durable or FakeDurable()), name, server.inboxes, silence)


def all_runs(server: Server) -> list[Any]:
    with server.store.read() as db:
        return list(db.execute(sa.select(run_table).order_by(run_table.c.created_at)))


def together(*deeds: Callable[[], None]) -> None:
    barrier = threading.Barrier(len(deeds))

    def do(deed: Callable[[], None]) -> None:
        barrier.wait()
        deed()

    threads = [threading.Thread(target=do, args=(deed,)) for deed in deeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_two_dispatchers_fire_each_tick_once(server: Server):
    ids = add_sources(server, 20, next_fire_at=NOON)
    durable = FakeDurable()
    pair = [dispatcher(server, durable, name) for name in "ab"]
    together(*(lambda one=one: one.turn(NOON) for one in pair))
    for one in pair:
        one.turn(NOON)
    found = all_runs(server)
    assert sorted(row.source_id for row in found) == ids
    assert {row.tick for row in found} == {NOON}
    assert durable.jobs == {f"{row.name}#1": "runs" for row in found}


def test_a_tick_is_skipped_while_a_run_is_under_way(server: Server):
    (source_id,) = add_sources(server, next_fire_at=NOON)
    clock = dispatcher(server)
    clock.turn(NOON)
    clock.turn(NOON + minutes(30))
    (run,) = all_runs(server)
    with server.store.begin() as db:
        assert source(db, source_id).next_fire_at == NOON + minutes(60)
        assert runs.take(db, run.name, "a", NOON) is not None
        assert runs.finish(db, run.name, "a", {}, NOON + minutes(31))
    clock.turn(NOON + minutes(60))
    assert {row.tick for row in all_runs(server)} == {NOON, NOON + minutes(60)}


def test_ticks_missed_while_nobody_worked_fire_once_and_the_grid_goes_on(server: Server):
    (source_id,) = add_sources(server, next_fire_at=NOON)
    late = NOON + minutes(100)
    dispatcher(server).turn(late)
    (run,) = all_runs(server)
    assert run.tick == NOON
    with server.store.read() as db:
        assert source(db, source_id).next_fire_at == NOON + minutes(120)


def test_a_paused_source_does_not_fire(server: Server):
    (source_id,) = add_sources(server, next_fire_at=NOON)
    with server.store.begin() as db:
        db.execute(sa.update(table).where(table.c.id == source_id).values(paused_at="2026-01-01T00:00:00Z"))
    dispatcher(server).turn(NOON)
    assert all_runs(server) == []


def test_one_source_that_cannot_fire_does_not_hold_up_the_others(
    server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    bad, good = add_sources(server, 2, next_fire_at=NOON)
    reschedule = sources.reschedule

    def fail_for_one(db: sa.Connection, row: Any, now: datetime, *, fired: bool = False) -> None:
        if row.id == bad:
            raise LookupError("a bug")
        reschedule(db, row, now, fired=fired)

    monkeypatch.setattr(sources, "reschedule", fail_for_one)
    clock = dispatcher(server)
    clock.turn(NOON)
    clock.turn(NOON)
    assert [row.source_id for row in all_runs(server)] == [good]
    assert len([one for one in caplog.records if f"source {bad}" in one.message]) == 1
    with server.store.read() as db:
        assert source(db, bad).next_fire_at == NOON


def test_open_work_that_nobody_carries_out_any_more_is_asked_for_anew(server: Server):
    (source_id,) = add_sources(server)
    run, check = begin_run(server, source_id), begin_check(server, source_id)
    durable = FakeDurable()
    dispatcher(server, durable).turn(NOON)
    assert durable.jobs == {f"{run}#1": "runs", f"{check}#1": "checks"}

    durable.over = {f"{run}#1", f"{check}#1"}
    again = dispatcher(server, durable, silence=0)
    again.turn(NOON)
    again.turn(NOON)
    assert (run_row(server, run).attempt, check_row(server, check).attempt) == (2, 2)
    again.turn(NOON)
    assert durable.jobs.keys() == {f"{name}#{attempt}" for name in (run, check) for attempt in (1, 2)}


def test_work_that_the_durable_side_has_never_heard_of_is_asked_for_anew(server: Server):
    (source_id,) = add_sources(server)
    run, durable = begin_run(server, source_id), FakeDurable()
    clock = dispatcher(server, durable, silence=0)
    clock.turn(NOON)
    durable.jobs.clear()  # jobs.sqlite was deleted, say
    clock.turn(NOON)
    assert durable.jobs == {f"{run}#1": "runs"}


def test_ended_work_is_not_asked_for(server: Server):
    (source_id,) = add_sources(server)
    run, durable = begin_run(server, source_id), FakeDurable()
    clock = dispatcher(server, durable, silence=0)
    clock.turn(NOON)
    with server.store.begin() as db:
        runs.take(db, run, "a", NOON)
        runs.finish(db, run, "a", {}, NOON)
    durable.over = {f"{run}#1"}
    clock.turn(NOON)
    clock.turn(NOON)
    assert run_row(server, run).attempt == 1
    assert len(durable.jobs) == 1


def test_a_silent_workers_work_is_taken_over_and_a_living_ones_is_not(server: Server):
    durable = FakeDurable(busy={"a", "b", "dead"})
    a, b = (dispatcher(server, durable, name, silence=0.4) for name in "ab")
    dead = dispatcher(server, durable, "dead", silence=0.4)
    for one in (a, b, dead):
        one.join(alone=False)
    ends = time.monotonic() + 1.2
    while time.monotonic() < ends:
        a.turn(NOON + timedelta(seconds=time.monotonic()))
        b.turn(NOON + timedelta(seconds=time.monotonic()))
        time.sleep(0.02)
    assert set(durable.taken_over) == {"dead"}
    with server.store.read() as db:
        assert set(db.execute(sa.select(workers.c.executor_id)).scalars()) == {"a", "b"}


def test_one_that_was_asleep_itself_takes_nobody_for_dead(server: Server):
    durable = FakeDurable(busy={"a", "b"})
    a, b = (dispatcher(server, durable, name, silence=0.2) for name in "ab")
    b.join(alone=False)
    a.turn(NOON)
    time.sleep(0.5)  # no beat of anyone is heard, ours included
    a.turn(NOON + minutes(1))
    assert durable.taken_over == []


def test_alone_nobody_else_on_the_list_can_be_alive(server: Server):
    durable = FakeDurable(busy={"before"})
    dispatcher(server, durable, "before").join(alone=True)
    clock = dispatcher(server, durable, "a")
    clock.join(alone=True)
    clock.turn(NOON)
    assert durable.taken_over == ["before"]


def test_a_failing_duty_keeps_no_other_from_its_turn(server: Server, monkeypatch: pytest.MonkeyPatch):
    (source_id,) = add_sources(server)
    run, durable = begin_run(server, source_id), FakeDurable()

    def broken(_: Dispatcher, __: datetime) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Dispatcher, "_fire", broken)
    monkeypatch.setattr(Dispatcher, "_look_after_workers", broken)
    dispatcher(server, durable).turn(NOON)
    assert durable.jobs == {f"{run}#1": "runs"}


def test_what_is_no_longer_shown_is_deleted_and_each_connection_keeps_its_newest_check(server: Server):
    (source_id,) = add_sources(server)
    durable, later = FakeDurable(), NOON + runs.KEPT + minutes(120)
    with server.store.begin() as db:
        for number, ended in enumerate((NOON, later)):
            given = {"account_id": 1, "source_id": source_id, "created_at": ended, "completion_time": ended}
            db.execute(sa.insert(run_table).values(name=f"run {number}", **given))
        for number in range(2):
            moment = NOON + minutes(number)
            given = {"connection_id": source_id, "start_time": moment, "completion_time": moment}
            db.execute(sa.insert(checks).values(name=f"check {number}", **given))
    open_run = begin_run(server, source_id)
    dispatcher(server, durable).turn(later)
    assert {row.name for row in all_runs(server)} == {"run 1", open_run}
    with server.store.read() as db:
        assert list(db.execute(sa.select(checks.c.name)).scalars()) == ["check 1"]
    assert durable.forgotten == [later - timedelta(days=1)]


def test_a_turn_stays_cheap_with_a_thousand_sources_and_a_hundred_thousand_runs(tmp_path: Path):
    with opened(tmp_path / "home") as server:
        ids = add_sources(server, 1000, next_fire_at=NOON + minutes(60))
        ended = [
            {
                "name": f"1.{ids[number % 1000]}.sync.{number}",
                "account_id": 1,
                "source_id": ids[number % 1000],
                "created_at": NOON,
                "completion_time": NOON,
            }
            for number in range(100_000)
        ]
        with server.store.begin() as db:
            db.execute(sa.insert(run_table), ended)
        clock = dispatcher(server)
        clock.turn(NOON)
        begun = time.process_time()
        for _ in range(20):
            clock.turn(NOON)
        assert (time.process_time() - begun) / 20 < 0.01  # of each second
        begun = time.monotonic()
        clock.turn(NOON + minutes(60))
        assert time.monotonic() - begun < 60
        with server.store.read() as db:
            assert len(runs.waiting(db)) == 1000
