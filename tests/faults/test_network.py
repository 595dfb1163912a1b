"""The network between the run and PostgreSQL is cut after any number of bytes, also in the middle of COMMIT."""

from __future__ import annotations

import os
import random
from typing import Literal

import pytest

from faults.dumps import DUMPS
from faults.rig import Rig
from faults.test_rivals import check_verdict
from faults.warehouses import PostgresTables
from lockstitch.testing.faults import Fault
from lockstitch.testing.postgres_server import PostgresDatabase
from lockstitch.testing.tcp_proxy import Fault as Cut
from lockstitch.testing.tcp_proxy import tcp_proxy

Direction = Literal["to server", "to client"]
How = Literal["reset", "close"]

#: Three cuts each: two rounds with `make test`, forty with `make test-long`.
ROUNDS = [pytest.param(number, marks=[pytest.mark.long] if number >= 2 else []) for number in range(40)]


@pytest.mark.parametrize("round_number", ROUNDS)
def test_cut_after_any_number_of_bytes(into_postgres: Rig, postgres: PostgresDatabase, round_number: int) -> None:
    rig = into_postgres
    seed = int(os.environ.get("FAULT_SEED") or random.randrange(10**9))
    print(f"round {round_number}: FAULT_SEED={seed}")
    dice = random.Random(seed)
    places: dict[str, int] = {}
    with tcp_proxy(postgres.host, postgres.port) as proxy:
        rig.write_pipeline(PostgresTables(postgres, proxy.port))
        for dump in DUMPS:
            rig.bucket.write(dump)
            direction: Direction = dice.choice(["to server", "to client"])
            how: How = dice.choice(["reset", "close"])
            # A run sends and receives up to this many bytes, so that most cuts fall into its loads.
            cut = proxy.fault = Cut(int(10 ** dice.uniform(2.0, 4.8)), direction, how)
            ended = rig.start(traced=True).end()
            print(f"{cut}: {ended.code}, points {ended.trace[-2:]}, {'not ' if proxy.fault else ''}cut")
            check_verdict(ended, 0, 75)
            places = rig.check_between(places)
            proxy.fault = None
            rig.run_to_the_end()
            rig.check()


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize(("direction", "landed"), [("to server", False), ("to client", True)])
def test_cut_in_the_middle_of_commit(
    into_postgres: Rig, postgres: PostgresDatabase, direction: Direction, how: How, landed: bool
) -> None:
    """Either COMMIT never comes to the server, or its answer never comes back: the mark tells which it was."""
    rig = into_postgres
    with tcp_proxy(postgres.host, postgres.port) as proxy:
        rig.write_pipeline(PostgresTables(postgres, proxy.port))
        for dump in DUMPS:
            rig.bucket.write(dump)
            running = rig.start(Fault("mark written", hit=2, how="stop"), traced=True)
            running.wait_until_stopped()
            proxy.fault = Cut(1, direction, how)
            running.wake()
            ended = running.end()
            check_verdict(ended, 0)
            assert proxy.fault is None
            # A load that had landed is not carried out again.
            assert ("waiting: " in ended.err) is not landed, str(ended)
            begun, committed = ended.trace.count("load begun"), ended.trace.count("load committed")
            assert begun - committed == 1
            rig.check()
