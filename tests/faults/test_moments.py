"""Killed from outside at random moments: each dump lands whole, and each row once.

A failure tells its seed; `FAULT_SEED=<it>` draws the same moments again.
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest

from faults.dumps import DUMPS
from faults.rig import Rig
from faults.warehouses import DuckDBFile

#: Kills in a round: one test, which carries all dumps.
KILLS = 5
#: Rounds for each destination: 20 kills in all with `make test`, 300 with `make test-long`.
ROUNDS = [pytest.param(number, marks=[pytest.mark.long] if number >= 2 else []) for number in range(30)]


@pytest.fixture(scope="module")
def usual_seconds(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Return how long a run takes here and now, when nobody kills it."""
    folder: Path = tmp_path_factory.mktemp("undisturbed")
    with closing(Rig(folder, DuckDBFile(folder / "warehouse.duckdb"))) as rig:
        rig.bucket.write(next(iter(DUMPS)))
        began = time.monotonic()
        rig.run_to_the_end()
        return time.monotonic() - began


@pytest.mark.parametrize("round_number", ROUNDS)
def test_killed_at_random_moments(rig: Rig, round_number: int, usual_seconds: float) -> None:
    seed = int(os.environ.get("FAULT_SEED") or random.randrange(10**9))
    print(f"round {round_number}: FAULT_SEED={seed}")
    dice = random.Random(seed)
    # Which dump is under way at each kill; the first fill is the longest.
    victims = sorted(dice.choices(list(DUMPS), weights=[3, 2, 2], k=KILLS))
    places: dict[str, int] = {}
    for dump in DUMPS:
        rig.bucket.write(dump)
        for _ in range(victims.count(dump)):
            places = _kill(rig, dice, usual_seconds, places)
        rig.run_to_the_end()
        rig.check()


def _kill(rig: Rig, dice: random.Random, usual_seconds: float, places: dict[str, int]) -> dict[str, int]:
    """Kill a run at a random moment; one that was faster than that is no kill, and the next one ends sooner."""
    while True:
        moment = dice.uniform(0.1, 1.0) * usual_seconds
        ended = rig.start(traced=True).kill_after(moment)
        places = rig.check_between(places)
        print(f"after {moment:.3f} s: {ended.code}, points {ended.trace[-2:]}")
        if ended.code == -signal.SIGKILL:
            return places
        assert ended.code == 0, str(ended)
        usual_seconds *= 0.7
