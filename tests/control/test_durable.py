"""Durable work with the real DBOS, on both databases, in a process of its own: it knows one database a process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lockstitch.testing.postgres_server import PostgresDatabase

#: Carries out 30 jobs of which every third fails, then tells what is known of them and what is left of them.
SCRIPT = """
import json, sys, time
from datetime import UTC, datetime, timedelta
from lockstitch.control.durable import CHECKS, RUNS, Durable

done = []
def job(name):
    done.append(name)
    if int(name) % 3 == 0:
        raise ValueError(name)

durable = Durable(sys.argv[1], "host:1:abc", runs_at_once=4)
durable.launch({RUNS: job, CHECKS: job})
names = [f"{number}#1" for number in range(30)]
for name in names * 2:
    durable.enqueue(RUNS, name)
ends = time.monotonic() + 60
while not (len(over := durable.are_over([*names, "unknown#1"])) == 30 and all(over.values())):
    assert time.monotonic() < ends, over
    time.sleep(0.1)
kept = durable.forget(datetime.now(UTC) - timedelta(hours=1))
forgotten = durable.forget(datetime.now(UTC) + timedelta(hours=1))
left = durable.are_over(names)
durable.close(5)
print(json.dumps([sorted(map(int, done)), kept, forgotten, left]))
"""


@pytest.mark.parametrize("form", ["sqlite", "postgresql", "postgres", "postgresql+psycopg"])
def test_each_job_is_done_once_and_forgotten_when_it_is_over(form: str, tmp_path: Path, request: pytest.FixtureRequest):
    url = f"sqlite:///{tmp_path}/jobs.sqlite"
    password = "none"
    if form != "sqlite":
        database: PostgresDatabase = request.getfixturevalue("postgres")
        url, password = database.uri.replace("postgresql", form, 1), database.password
    told = subprocess.run([sys.executable, "-c", SCRIPT, url], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout.splitlines()[-1]) == [list(range(30)), 0, 30, {}]
    assert password not in told.stdout + told.stderr
