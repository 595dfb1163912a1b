"""Several processes on one PostgreSQL: workers that die, sleep or lose the database, and what becomes of their runs."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.control import serving
from tests.control.serving import Served, account_of, environment, extraction_of, make_token, until
from tests.control.things import (
    ROWS_A_PAGE,
    begin,
    change,
    children_of,
    log_of,
    make_destination,
    reading,
    rows,
    things,
)

from lockstitch.testing.postgres_server import PostgresServer, postgres_server

SILENCE = "4"


@dataclass
class Cluster:
    """A server that answers, workers beside it, and the PostgreSQL they share."""

    folder: Path
    url: str
    postgres: PostgresServer
    served: Served
    workers: list[subprocess.Popen[str]] = field(default_factory=list[subprocess.Popen[str]])

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def log(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("*.log"))

    def add_worker(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "lockstitch", "worker", "--home", str(self.home)]
        path = self.folder / f"worker{len(self.workers)}.log"
        with path.open("a") as output:
            worker = subprocess.Popen(
                [*command, "--database-url", self.url, "--silence", SILENCE],
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment(self.home),
            )
        self.workers.append(worker)
        until(lambda: "is at work" in path.read_text(), "the worker")
        return worker

    def start(self) -> None:
        """Start the server anew on the same store."""
        before = self.served
        self.served = serving.start(self.home, "--database-url", self.url, "--silence", SILENCE)
        self.served.token, self.served.account_id = before.token, before.account_id
        before.client.close()

    def processes(self) -> dict[int, subprocess.Popen[str]]:
        return {one.pid: one for one in (self.served.process, *self.workers) if one.poll() is None}

    def worker_of(self, job_name: str) -> subprocess.Popen[str]:
        """Return the process whose child carries a job out; it is the only job then."""
        del job_name
        return until(
            lambda: next((one for pid, one in self.processes().items() if children_of(pid)), None), "someone to work"
        )

    def close(self) -> None:
        for one in self.workers:
            one.send_signal(signal.SIGCONT)
            one.kill()
            one.wait()
        self.served.close()


@contextmanager
def clustered(folder: Path) -> Generator[Cluster]:
    """Yield a server without workers yet, on a PostgreSQL of its own, which the test may stop."""
    home = folder / "home"
    with postgres_server(18) as postgres:
        url = postgres.create_database().uri
        served = serving.start(home, "--database-url", url, "--silence", SILENCE)
        cluster = Cluster(folder, url, postgres, served)
        try:
            served.token = make_token(home, "--database-url", url)
            served.account_id = account_of(served)
            yield cluster
        finally:
            cluster.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, acme_site: Path) -> Generator[Cluster]:
    del acme_site
    with clustered(tmp_path_factory.mktemp("cluster")) as made:
        made.add_worker()
        made.add_worker()
        yield made


@pytest.fixture(scope="module")
def warehouse(cluster: Cluster) -> Path:
    path = cluster.folder / "warehouse.duckdb"
    make_destination(cluster.served, path)
    return path


def slow(cluster: Cluster, name: str, checkpoints: int = 40) -> tuple[int, str]:
    """Begin a run of some seconds, and wait until it reads."""
    source = things(cluster.served, name, pause=0.1, checkpoints=checkpoints)
    job = begin(cluster.served, source)
    reading(cluster.served, job)
    return source, job


def ended_well(cluster: Cluster, job: str) -> dict[str, Any]:
    ended = extraction_of(cluster.served, job)
    assert ended["tap_exit_status"] == 0, (ended, log_of(cluster.served, job))
    return ended


def test_a_dead_workers_run_goes_to_another_and_is_done_once(cluster: Cluster, warehouse: Path):
    _, job = slow(cluster, "dead")
    dead = cluster.worker_of(job)
    dead.kill()
    dead.wait()
    if dead is cluster.served.process:
        cluster.start()
    else:
        cluster.add_worker()
    ended_well(cluster, job)
    assert rows(warehouse, "dead") == 40 * ROWS_A_PAGE


def test_a_worker_that_wakes_up_after_its_run_was_taken_over_doubles_nothing(cluster: Cluster, warehouse: Path):
    source, job = slow(cluster, "asleep", 60)
    while (sleeper := cluster.worker_of(job)) is cluster.served.process:
        # Asleep, the server could not be asked.
        cluster.served.call("DELETE", f"/v4/sources/{source}/sync")
        extraction_of(cluster.served, job)
        change(cluster.served, source, checkpoints=160)
        job = begin(cluster.served, source)
        reading(cluster.served, job)
    sleeper.send_signal(signal.SIGSTOP)
    begun = log_of(cluster.served, job).count("Reading others")
    until(lambda: log_of(cluster.served, job).count("Reading others") > begun, "another worker to go on", 30)
    sleeper.send_signal(signal.SIGCONT)
    until(lambda: not children_of(sleeper.pid), "the sleeper to give up", 30)
    extraction_of(cluster.served, job)
    # Whoever lost against the other may have ended with a refusal; the next run has all, once.
    change(cluster.served, source, pause=0)
    ended_well(cluster, begin(cluster.served, source))
    pages = int(cluster.served.call("GET", f"/v4/sources/{source}")["properties"]["checkpoints"])
    assert rows(warehouse, "asleep") == pages * ROWS_A_PAGE
    assert sleeper.poll() is None


def test_runs_outlive_a_database_that_is_away_for_seconds(cluster: Cluster, warehouse: Path):
    _, job = slow(cluster, "away", 60)
    cluster.postgres.kill()
    until(lambda: "does not answer" in cluster.log, "somebody to notice")
    cluster.postgres.start()
    ended_well(cluster, job)
    assert log_of(cluster.served, job).count("Reading others") == 1, "the run was begun anew"
    assert rows(warehouse, "away") == 60 * ROWS_A_PAGE


def test_workers_leave_when_asked_and_hand_their_runs_over(cluster: Cluster, warehouse: Path):
    _, job = slow(cluster, "leaving", 60)
    leaving = cluster.worker_of(job)
    leaving.send_signal(signal.SIGTERM)
    assert leaving.wait(60) == 0
    if leaving is cluster.served.process:
        cluster.start()
    ended_well(cluster, job)
    assert rows(warehouse, "leaving") == 60 * ROWS_A_PAGE


def test_the_databases_password_is_in_no_log_and_the_durable_work_has_its_own_schema(cluster: Cluster):
    assert cluster.postgres.password not in cluster.log
    assert "s3cret" not in cluster.log
    with psycopg.connect(cluster.url) as connection:
        tables = connection.execute("select table_name from information_schema.tables where table_schema = 'dbos'")
        assert ("workflow_status",) in tables.fetchall()
