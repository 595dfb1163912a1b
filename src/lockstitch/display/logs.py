"""What connectors log has no other way to a user: each warning is shown like the run's own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager


class _Teller(logging.Handler):
    """Tells the one who asked last: a run's display, then again the command around it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.listeners: list[Callable[[str], None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        for tell in self.listeners[-1:]:
            tell(record.getMessage())


_teller = _Teller()
_changing = threading.Lock()
#: The logger's own handlers, and whether it propagates, while the teller stands in for them.
_before: list[tuple[list[logging.Handler], bool]] = []


@contextmanager
def warnings_told(tell: Callable[[str], None]) -> Generator[None]:
    """Hand every warning that our packages log to `tell`, and to nobody else, while inside.

    Runs in several threads end in any order; the logger is itself again after the last one.
    """
    logger = logging.getLogger("lockstitch")
    with _changing:
        if not _teller.listeners:
            _before[:] = [(logger.handlers, logger.propagate)]
            logger.handlers, logger.propagate = [_teller], False
        _teller.listeners.append(tell)
    try:
        yield
    finally:
        with _changing:
            _teller.listeners.remove(tell)
            if not _teller.listeners:
                logger.handlers, logger.propagate = _before.pop()
