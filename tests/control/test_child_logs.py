"""What the packages of a job's process log comes into the extraction log, without secrets."""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest

from lockstitch.control import child, messages
from lockstitch.control.messages import Assignment, Logged


@pytest.fixture
def logged() -> Generator[list[Any]]:
    """Yield what a job says while a package logs; the logger is as before afterwards."""
    logger = logging.getLogger("lockstitch")
    before = logger.handlers, logger.propagate, logger.level
    yield []
    logger.handlers, logger.propagate = before[0], before[1]
    logger.setLevel(before[2])


def test_requests_and_warnings_of_sources_are_told_without_secrets(logged: list[Any], tmp_path: Path):
    here, there = multiprocessing.Pipe()
    properties = {"api_key": "api_planted.secret", "start_date": "2026-01-01T00:00:00Z"}
    job = child.Job(
        cast("Any", there),
        Assignment(kind="run", home=str(tmp_path), source_type="platform.closeio", source_properties=properties),
        threading.Event(),
    )
    job._secrets = child._secrets(job._assignment)
    child._hand_logs_to(job.note)
    logging.getLogger("lockstitch.toolkit.http.client").info("GET /lead/: 200 with %s", "api_planted.secret")
    logging.getLogger("lockstitch.destinations.duckdb").warning("the file is large")
    logging.getLogger("lockstitch.sources.closeio").debug("nobody needs this")
    while here.poll(0):
        logged.append(messages.read_message(here.recv_bytes()))
    assert logged == [
        Logged("tap", "INFO", "GET /lead/: 200 with ***"),
        Logged("target", "WARNING", "the file is large"),
    ]
