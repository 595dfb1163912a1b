"""Killed at every named point of a load: each dump lands whole, and each row once."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import pytest

from faults.dumps import DUMPS
from faults.rig import Rig
from faults.warehouses import DuckDBFile
from lockstitch.core.points import Point
from lockstitch.testing.faults import POINTS, Fault

#: A kill in the first load of a run, and one when other loads and lanes are behind it.
FIRST, FOURTH = 1, 4


def test_without_a_kill_each_dump_lands(rig: Rig) -> None:
    places: dict[str, int] = {}
    for dump in DUMPS:
        rig.bucket.write(dump)
        rig.run_to_the_end()
        rig.check()
        places = rig.check_between(places)
    assert places == {table: len(states) - 1 for table, states in rig.bucket.states.items()}


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_point(rig: Rig, point: Point) -> None:
    """Once in each dump; where one destination is killed at the first hit, the other is at the fourth."""
    hits = [FIRST, FOURTH, FIRST] if isinstance(rig.warehouse, DuckDBFile) else [FOURTH, FIRST, FOURTH]
    check_that_kills_change_nothing(rig, [[Fault(point, hit)] for hit in hits])


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS)
def test_killed_twice_at_a_point(rig: Rig, point: Point) -> None:
    check_that_kills_change_nothing(rig, [[Fault(point, FIRST), Fault(point, FOURTH)]] * len(DUMPS))


def check_that_kills_change_nothing(rig: Rig, kills: Sequence[Sequence[Fault]]) -> None:
    """`kills` says for each dump what happens to the runs that carry it."""
    places: dict[str, int] = {}
    for dump, faults in zip(DUMPS, kills, strict=True):
        rig.bucket.write(dump)
        for fault in faults:
            rig.run_killed(fault)
            places = rig.check_between(places)
        rig.run_to_the_end()
        rig.check()


@pytest.mark.long
@pytest.mark.parametrize("point", ["batch spooled", "mark written", "load committed"])
def test_killed_in_every_load(rig: Rig, point: Point) -> None:
    """Each run carries one load, or two, and is killed in the next, until nothing is left to do."""
    places: dict[str, int] = {}
    for dump, deliveries in DUMPS.items():
        rig.bucket.write(dump)
        for _ in range(sum(len(one.files) for one in deliveries.values())):
            ended = rig.start(Fault(point, hit=2)).end()
            places = rig.check_between(places)
            if ended.code == 0:
                break
            assert ended.code == -signal.SIGKILL, str(ended)
        rig.run_to_the_end()
        rig.check()


@pytest.mark.parametrize("point", ["rows staged", "load committed"])
def test_a_newer_full_dump(rig: Rig, point: Point) -> None:
    """A version that is half filled when a newer one comes is given up; nothing of it is ever seen, or left."""
    first, *others = DUMPS
    rig.bucket.write(first)
    rig.run_killed(Fault(point, hit=2))
    rig.check_between({})
    for dump in others:
        rig.bucket.write(dump)
        rig.run_killed(Fault(point, hit=6))
        rig.check_between({})
    rig.run_to_the_end()
    rig.check()
