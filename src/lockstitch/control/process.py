"""Starts, hears, stops and kills the child process of one job."""

from __future__ import annotations

import math
import multiprocessing
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Protocol

from lockstitch.control import messages
from lockstitch.control.messages import Assignment, Done, Message
from lockstitch.core.errors import SettingsError

#: How often a worker looks whether a job is to stop, in seconds.
_LOOK = 1.0
#: How long a child may take to be gone after its last word, in seconds.
_FAREWELL = 5.0

#: What children find imported: it halves what a run with nothing new costs, and its memory is shared. Those of it
#: that are not installed are passed over.
_PRELOADED = (
    "lockstitch.control.child",
    "lockstitch.engine.lane",
    "lockstitch.engine.load",
    "lockstitch.engine.loader",
    "pyarrow.compute",
    "duckdb",
    "adbc_driver_postgresql.dbapi",
    "psycopg",
)


class _Pipe(Protocol):
    def poll(self, timeout: float) -> bool: ...
    def recv_bytes(self) -> bytes: ...
    def send_bytes(self, buf: bytes) -> None: ...


class Killed(Exception):
    """The child ended without saying so: killed, by us or by the system, or crashed."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(f"exit code {exit_code}")
        self.exit_code = exit_code


def start_server() -> None:
    """Start the process that children are forked from; call it before any thread exists.

    Neither it nor the children heed SIGTERM, which a service manager sends to all processes at once: they end with
    their worker, which lets runs commit first what they have read.
    """
    from multiprocessing import forkserver

    _context().set_forkserver_preload(list(_PRELOADED))
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    except OSError as error:
        raise SettingsError(
            f"the process that jobs are forked from cannot start: {error}",
            hint="its socket lies in the folder for temporary files: set TMPDIR to one with a short path",
        ) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _context() -> ForkServerContext:
    return multiprocessing.get_context("forkserver")


def carry_out(assignment: Assignment, hear: Callable[[Message], None], grace: Callable[[], float | None]) -> Done:
    """Run a child to its end and return its last word; `hear` gets all others, in order.

    `grace` is asked about once a second: None lets the child go on; a number asks it to stop, and kills it so many
    seconds later. Raises Killed. Whatever happens, no child is left behind.
    """
    from lockstitch.control.child import main

    here, there = multiprocessing.Pipe()
    process = _context().Process(target=main, args=(there,), daemon=True)
    try:
        try:
            process.start()
        finally:
            there.close()
        here.send_bytes(messages.encode(assignment))
        done = _listen(here, hear, grace)
        if done is not None:
            return done
        process.kill()
    except (EOFError, OSError):
        pass  # it is gone: its exit code tells more
    finally:
        here.close()
        code = _end(process)
    raise Killed(code)


def _listen(pipe: _Pipe, hear: Callable[[Message], None], grace: Callable[[], float | None]) -> Done | None:
    """Hear a child out; None where it was asked to stop and did not in time."""
    looks_at, ends_at = 0.0, math.inf
    # What it said in time is heard, also where we come late to it.
    while (clock := time.monotonic()) < ends_at + _FAREWELL:
        if clock >= looks_at:
            looks_at = clock + _LOOK
            seconds = grace()
            if seconds is not None:
                if ends_at == math.inf:
                    pipe.send_bytes(messages.STOP)
                ends_at = min(ends_at, clock + seconds)
        if pipe.poll(min(_LOOK, max(0.0, ends_at - clock))):
            message = messages.read_message(pipe.recv_bytes())
            if isinstance(message, Done):
                return message
            hear(message)
        elif clock >= ends_at:
            return None
    return None


def _end(process: BaseProcess) -> int | None:
    if process.pid is None:
        return None
    process.join(_FAREWELL)
    if process.is_alive():
        process.kill()
        process.join()
    code = process.exitcode
    process.close()
    return code


def kill_all() -> None:
    """Kill every child that is left, so that this process can end."""
    for child in multiprocessing.active_children():
        child.kill()
