"""Durable work: all calls of DBOS Transact, and nothing else.

What is to be done is written in the control store; here is only who does it, and that it is done although processes
die. Each job is one workflow of one step, under the job's name and, after #, its attempt: asking twice is asking once.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, SetWorkflowID

#: What one version of this program may leave to another one to finish. Change it when the workflows change.
PROTOCOL = "1"
RUNS, CHECKS = "runs", "checks"
#: How often each queue is looked at, in seconds. At most `runs_at_once` jobs are taken at a time, so this bounds how
#: many runs a process can begin a minute; idle, each look costs some 3 ms of CPU.
_POLLING = {RUNS: 0.75, CHECKS: 2.0}
_OVER = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_AT_ONCE = 500

#: The workflows are functions of the module, as DBOS finds them by name; what they do is set when a worker opens.
_jobs: dict[str, Callable[[str], None]] = {}


@DBOS.workflow(name="job")
def _job(kind: str, name: str) -> None:
    _carry_out(kind, name)


@DBOS.step(name="carry out", retries_allowed=False)
def _carry_out(kind: str, name: str) -> None:
    _jobs[kind](name.partition("#")[0])


class Durable:
    """This process as one of those that share the work. `executor` is unlike any other process's name, ever."""

    def __init__(self, url: str, executor: str, *, runs_at_once: int) -> None:
        _turn_on_wal(url)
        config: DBOSConfig = {
            "name": "lockstitch",
            "system_database_url": _known(url),
            "executor_id": executor,
            "application_version": PROTOCOL,
            "enable_otlp": False,
            "log_level": "WARNING",
            "max_executor_threads": 2 * runs_at_once + 4,
            "sys_db_pool_size": 8,
        }
        logging.getLogger("dbos").setLevel(logging.WARNING)
        DBOS(config=config)
        self._runs_at_once = runs_at_once

    def launch(self, jobs: dict[str, Callable[[str], None]]) -> None:
        """Begin to carry out jobs of the given kinds."""
        _jobs.update(jobs)
        DBOS.launch()
        for kind in jobs:
            DBOS.register_queue(kind, worker_concurrency=self._runs_at_once, polling_interval_sec=_POLLING[kind])

    def enqueue(self, kind: str, name: str) -> None:
        """Let some worker carry out a job. Repeating it changes nothing."""
        with SetWorkflowID(name):
            DBOS.enqueue_workflow(kind, _job, kind, name)

    def are_over(self, names: Iterable[str]) -> dict[str, bool]:
        """Return, of those of the jobs that are known, whether their carrying out is over, well or not."""
        wanted, found = list(names), dict[str, bool]()
        for at in range(0, len(wanted), _AT_ONCE):
            some = DBOS.list_workflows(workflow_ids=wanted[at : at + _AT_ONCE], load_input=False, load_output=False)
            found |= {one.workflow_id: one.status in _OVER for one in some}
        return found

    def take_over(self, executor: str) -> int:
        """Hand the unfinished work of a dead process to the living; return how many jobs that are."""
        found = DBOS.list_workflows(status="PENDING", executor_id=executor, load_input=False, load_output=False)
        for one in found:
            DBOS.resume_workflow(one.workflow_id, queue_name=one.queue_name)
        return len(found)

    def executors(self) -> set[str]:
        """Return the processes that have unfinished work."""
        pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        return {one.executor_id for one in pending if one.executor_id}

    def forget(self, before: datetime) -> int:
        """Delete what is kept of jobs that were begun before then and are over; return how many."""
        count = 0
        while some := DBOS.list_workflows(
            status=_OVER, end_time=before.isoformat(), limit=_AT_ONCE, load_input=False, load_output=False
        ):
            DBOS.delete_workflows([one.workflow_id for one in some])
            count += len(some)
        return count

    def close(self, seconds: int) -> None:
        """Stop taking work, and wait so long for what is under way."""
        DBOS.destroy(workflow_completion_timeout_sec=seconds)


def _known(url: str) -> str:
    """Return a URL in the one form for PostgreSQL that DBOS reads: it takes no `postgres://`."""
    parsed = sa.make_url(url)
    if not parsed.drivername.startswith("postgres"):
        return url
    return parsed.set(drivername="postgresql").render_as_string(hide_password=False)


def _turn_on_wal(url: str) -> None:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).touch(mode=0o600)
        connection = sqlite3.connect(parsed.database)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
