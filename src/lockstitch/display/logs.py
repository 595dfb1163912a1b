"""What connectors log has no other way to a user: each warning is shown like the run's own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager


class _Teller(logging.Handler):
    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.getMessage())


@contextmanager
def warnings_told(tell: Callable[[str], None]) -> Generator[None]:
    """Hand every warning that our packages log to `tell`, and to nobody else, while inside."""
    logger = logging.getLogger("lockstitch")
    before = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [_Teller(tell)], False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before
