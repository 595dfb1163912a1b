"""Ctrl-C and SIGTERM: the first asks the run to commit what it can and end, the second ends it on the spot."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Stop:
    """Whether the run was asked to end, and by which signal."""

    flag: threading.Event = field(default_factory=threading.Event)
    signal: signal.Signals | None = None

    @property
    def exit_code(self) -> int | None:
        """The exit code of a process that a signal ended, as shells count it; None where none came."""
        return None if self.signal is None else 128 + self.signal


@contextmanager
def stop_on_signals(at_once: Callable[[], None]) -> Generator[Stop]:
    """Yield what tells a run to stop. `at_once` puts the terminal right before a second signal ends the process."""
    stop = Stop()

    def asked(number: int, _: FrameType | None) -> None:
        if stop.signal is not None:
            at_once()
            _say("stopped at once; nothing half done is visible, and the next run goes on from the last commit")
            os._exit(128 + number)
        stop.signal = signal.Signals(number)
        stop.flag.set()
        _say("stopping: what is read up to the last checkpoint is being committed (once more to stop at once)")

    before = {number: signal.signal(number, asked) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(text: str) -> None:
    # Not through sys.stderr: a handler may interrupt a write to it, and a nested one is an error.
    os.write(2, f"{text}\n".encode())
