"""Durable work: all calls of DBOS Transact, and nothing else.

What is to be done is written in the control store; here is only who does it, and that it is done although processes
die. Each job is one workflow of one step, under the job's name and, after #, its attempt: asking twice is asking once.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID

#: What one version of this program may leave to another one to finish. Change it when the workflows change.
PROTOCOL = "1"
RUNS, CHECKS = "runs", "checks"
_POLLING = 0.2

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
            "system_database_url": url,
            "executor_id": executor,
            "application_version": PROTOCOL,
            "enable_otlp": False,
            "log_level": "WARNING",
        }
        logging.getLogger("dbos").setLevel(logging.WARNING)
        DBOS(config=config)
        self._runs_at_once = runs_at_once

    def launch(self, jobs: dict[str, Callable[[str], None]]) -> None:
        """Begin to carry out jobs of the given kinds."""
        _jobs.update(jobs)
        DBOS.launch()
        DBOS.register_queue(
            RUNS, worker_concurrency=self._runs_at_once, partition_concurrency=1, polling_interval_sec=_POLLING
        )
        DBOS.register_queue(CHECKS, worker_concurrency=self._runs_at_once, polling_interval_sec=_POLLING)

    def enqueue_run(self, name: str, source_id: int) -> None:
        """Let some worker carry out a run; runs of one source go one after the other. Repeating it changes nothing."""
        with SetWorkflowID(name), SetEnqueueOptions(queue_partition_key=str(source_id)):
            DBOS.enqueue_workflow(RUNS, _job, RUNS, name)

    def enqueue_check(self, name: str) -> None:
        with SetWorkflowID(name):
            DBOS.enqueue_workflow(CHECKS, _job, CHECKS, name)

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

    def forget(self, names: list[str]) -> None:
        """Delete what is kept of ended jobs."""
        if names:
            DBOS.delete_workflows(names)

    def close(self, seconds: int) -> None:
        """Stop taking work, and wait so long for what is under way."""
        DBOS.destroy(workflow_completion_timeout_sec=seconds)


def _turn_on_wal(url: str) -> None:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).touch(mode=0o600)
        connection = sqlite3.connect(parsed.database)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
