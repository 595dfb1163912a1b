"""Waits out errors that pass: a file in use, a lock, a server that restarts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from lockstitch.core.errors import Superseded, TransientError
from lockstitch.engine.events import Event, Waiting

#: Seconds to wait before each further attempt; after the last one the error stands.
WAITS = (0.5, 2.0, 5.0, 15.0)

Result = TypeVar("Result")


def patiently(attempt: Callable[[], Result], events: Callable[[Event], None], *, patient: bool = True) -> Result:
    """Return what the attempt returns, trying again after a TransientError; to be superseded is final."""
    waits = iter(WAITS if patient else ())
    while True:
        try:
            return attempt()
        except TransientError as error:
            wait = next(waits, None)
            if wait is None or isinstance(error, Superseded):
                raise
            wait = error.retry_after or wait
            events(Waiting(f"{error.message}; trying again in {wait:g} s"))
            time.sleep(wait)
