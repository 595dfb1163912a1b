"""PostgreSQL falls in the middle of a load and comes back: the run carries its load out again, from the spool."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from faults.dumps import DUMPS
from faults.rig import Rig
from faults.test_rivals import check_verdict
from lockstitch.core.points import Point
from lockstitch.testing.faults import Fault
from lockstitch.testing.postgres_server import PostgresServer

WITHIN_A_LOAD = [
    "rows staged",
    "mark written",
    *(pytest.param(point, marks=pytest.mark.long) for point in ("load begun", "mark locked", "step applied")),
]
ROUNDS = [pytest.param(number, marks=[pytest.mark.long] if number else []) for number in range(10)]


@pytest.mark.parametrize("point", WITHIN_A_LOAD)
def test_the_server_is_killed_and_started_again(into_postgres: Rig, postgres_18: PostgresServer, point: Point) -> None:
    def fall() -> None:
        postgres_18.kill()
        postgres_18.start()

    check_that_a_run_survives(into_postgres, point, fall)


@pytest.mark.parametrize("point", WITHIN_A_LOAD)
def test_the_backend_is_killed_and_the_server_recovers(into_postgres: Rig, point: Point) -> None:
    """SIGKILL of one backend makes the server end all others, and begin anew from its log."""

    def fall() -> None:
        ours = "SELECT pid FROM pg_stat_activity WHERE application_name = 'lockstitch' AND datname = current_database()"
        with into_postgres.warehouse.reading() as read:
            backends = [row["pid"] for row in read(ours)]
        assert backends
        for backend in backends:
            os.kill(backend, signal.SIGKILL)

    check_that_a_run_survives(into_postgres, point, fall)


def check_that_a_run_survives(rig: Rig, point: Point, fall: Callable[[], None]) -> None:
    """Let the server fall while a run is stopped in its second load: the run mends that by itself."""
    for dump in DUMPS:
        rig.bucket.write(dump)
        running = rig.start(Fault(point, hit=2, how="stop"))
        running.wait_until_stopped()
        fall()
        running.wake()
        ended = running.end()
        check_verdict(ended, 0)
        assert "waiting: " in ended.err
        rig.check()


@pytest.mark.parametrize("round_number", ROUNDS)
def test_the_server_is_away_for_a_second(into_postgres: Rig, postgres_18: PostgresServer, round_number: int) -> None:
    rig = into_postgres
    seed = int(os.environ.get("FAULT_SEED") or random.randrange(10**9))
    print(f"round {round_number}: FAULT_SEED={seed}")
    dice = random.Random(seed)
    places: dict[str, int] = {}
    for dump in DUMPS:
        rig.bucket.write(dump)
        running = rig.start(traced=True)
        time.sleep(dice.uniform(0.2, 2.0))
        postgres_18.kill()
        time.sleep(1.0)
        postgres_18.start()
        check_verdict(running.end(), 0, 75)
        places = rig.check_between(places)
        rig.run_to_the_end()
        rig.check()
