"""Kill servers and workers at random moments under load: nothing may be lost, doubled or stuck."""

from __future__ import annotations

import random
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from tests.control.serving import serving, start
from tests.control.test_workers import clustered
from tests.control.things import children_of, make_destination

from crash.world import World
from lockstitch.control.store.database import Store

ROUNDS = [pytest.param(3, id="3"), pytest.param(100, id="100", marks=pytest.mark.long)]
#: The longest time between two kills, in seconds.
LONGEST = 4.0


@contextmanager
def _stored(url: str) -> Generator[Store]:
    store = Store(url)
    try:
        yield store
    finally:
        store.close()


def _kill_a_child(process_id: int) -> None:
    """Kill one job's process now and then: its run ends, and nothing else."""
    for child in children_of(process_id)[: random.choice((0, 0, 1))]:
        with suppress(psutil.NoSuchProcess):
            child.kill()


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_server_killed_at_random_moments_loses_and_doubles_nothing(tmp_path: Path, acme_site: Path, rounds: int):
    del acme_site
    home, warehouse = tmp_path / "home", tmp_path / "warehouse.duckdb"
    with serving(home) as served, _stored(f"sqlite:///{home}/control.sqlite") as store:
        make_destination(served, warehouse)
        world = World(served, store, warehouse)
        world.set_up()
        for _ in range(rounds):
            world.begin_load()
            time.sleep(random.uniform(0, LONGEST))
            _kill_a_child(served.process.pid)
            served.kill()
            world.end_load()
            again = start(home)
            served.process, served.address = again.process, again.address
            again.client.close()
            world.look_at_selection()
        world.look_at_all()


@pytest.mark.parametrize("rounds", ROUNDS)
def test_workers_killed_at_random_moments_lose_and_double_nothing(tmp_path: Path, acme_site: Path, rounds: int):
    del acme_site
    warehouse = tmp_path / "warehouse.duckdb"
    with clustered(tmp_path) as cluster, _stored(cluster.url) as store:
        make_destination(cluster.served, warehouse)
        for _ in range(3):
            cluster.add_worker()
        world = World(cluster.served, store, warehouse)
        world.set_up()
        for _ in range(rounds):
            world.begin_load()
            time.sleep(random.uniform(0, LONGEST))
            victim = random.choice(list(cluster.processes().values()))
            _kill_a_child(victim.pid)
            victim.kill()
            victim.wait()
            if victim is cluster.served.process:
                world.end_load()
                cluster.start()
                world.served = cluster.served
            else:
                time.sleep(random.uniform(0, LONGEST))
                world.end_load()
                cluster.add_worker()
            world.look_at_selection()
        world.look_at_all()
