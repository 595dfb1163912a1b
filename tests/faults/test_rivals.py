"""Runs of one pipeline at the same time, and one that was stopped and wakes up late: nothing doubles."""

from __future__ import annotations

import re
import time

import pytest

from faults.dumps import DUMPS
from faults.rig import Ended, Rig
from faults.warehouses import DuckDBFile
from lockstitch.core.points import Point
from lockstitch.testing.faults import Fault


def check_verdict(ended: Ended, *codes: int) -> None:
    assert ended.code in codes, str(ended)
    assert "Traceback" not in ended.err
    if ended.code == 75:
        assert "\nhint: " in ended.err


@pytest.mark.parametrize("rivals", [2, pytest.param(4, marks=pytest.mark.long)])
def test_runs_at_once(rig: Rig, rivals: int) -> None:
    places: dict[str, int] = {}
    for dump in DUMPS:
        rig.bucket.write(dump)
        for ended in [run.end() for run in [rig.start() for _ in range(rivals)]]:
            check_verdict(ended, 0, 75)
        places = rig.check_between(places)
        rig.run_to_the_end()
        rig.check()


LATE = ["load begun", *(pytest.param(point, marks=pytest.mark.long) for point in ("load cut", "rows staged"))]


@pytest.mark.parametrize("point", LATE)
def test_a_zombie_on_postgres_is_refused(into_postgres: Rig, point: Point) -> None:
    """It wakes up in the second load of its lane, after another run has carried everything."""
    check_that_a_zombie_is_refused(into_postgres, Fault(point, hit=2, how="stop"))


def test_a_zombie_on_duckdb_is_refused(into_duckdb: Rig) -> None:
    """This is where it does not hold the file."""
    check_that_a_zombie_is_refused(into_duckdb, Fault("load cut", hit=1, how="stop"))


def check_that_a_zombie_is_refused(rig: Rig, fault: Fault) -> None:
    for dump in DUMPS:
        rig.bucket.write(dump)
        zombie = rig.start(fault)
        zombie.wait_until_stopped()
        rig.run_to_the_end()
        before = rig.marks()
        zombie.wake()
        ended = zombie.end()
        check_verdict(ended, 75)
        assert "another run has " in ended.err
        assert rig.marks() == before
        rig.check()


@pytest.mark.parametrize("point", ["rows staged", "mark written"])
def test_a_run_waits_for_one_that_is_slow(rig: Rig, point: Point) -> None:
    """DuckDB's file is held by a load, PostgreSQL's mark by a commit. Who comes later waits, and one of them wins."""
    rig.bucket.write(next(iter(DUMPS)))
    slow = rig.start(Fault(point, hit=2, how="stop"))
    slow.wait_until_stopped()
    other = rig.start()
    time.sleep(2.0)
    slow.wake()
    for running in (slow, other):
        check_verdict(running.end(), 0, 75)
    rig.run_to_the_end()
    rig.check()


@pytest.mark.long
@pytest.mark.parametrize("point", ["rows staged", "mark written"])
def test_a_run_that_has_waited_in_vain_says_so(rig: Rig, point: Point) -> None:
    """As long as a zombie holds the file, or the mark, a run can only wait; a zombie that wakes up goes on."""
    rig.bucket.write(next(iter(DUMPS)))
    zombie = rig.start(Fault(point, hit=2, how="stop"))
    zombie.wait_until_stopped()
    waited = rig.start().end(patience=600.0)
    zombie.wake()
    check_verdict(zombie.end(), 0, 75)
    into_file = isinstance(rig.warehouse, DuckDBFile)
    if into_file or point == "mark written":
        check_verdict(waited, 75)
        assert re.search("waiting.* in use by .*" if into_file else "waiting: .*lock timeout", waited.err), str(waited)
    else:
        check_verdict(waited, 0)  # rows that are only staged are in nobody's way
    if into_file:
        assert f"process {zombie.process.pid}" in waited.err
    rig.run_to_the_end()
    rig.check()
