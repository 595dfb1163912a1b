"""The server's own log: one JSON object a line on stderr."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info is not None:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


@contextmanager
def logged() -> Generator[None]:
    """Write what the server and its libraries log, as long as the block lasts."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines())
    loggers = [logging.getLogger(name) for name in ("lockstitch", "uvicorn", "dbos")]
    before = [(one, one.handlers, one.propagate) for one in loggers]
    for one in loggers:
        one.handlers, one.propagate = [handler], False
    logging.getLogger("lockstitch").setLevel(logging.INFO)
    try:
        yield
    finally:
        for one, handlers, propagate in before:
            one.handlers, one.propagate = handlers, propagate
