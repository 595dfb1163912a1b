"""Starts, hears, stops and kills the child process of one job."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess

from lockstitch.control import messages
from lockstitch.control.messages import Assignment, Done, Message

#: Seconds that a child may take to end after it was asked to: what it has read is still being loaded.
GRACE = 120.0
#: How often a worker looks whether a job is to stop, in seconds.
_LOOK = 1.0


class Killed(Exception):
    """The child ended without saying so: killed, by us or by the system, or crashed."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(f"exit code {exit_code}")
        self.exit_code = exit_code


def start_server() -> None:
    """Start the process that children are forked from; call it before any thread exists."""
    from multiprocessing import forkserver

    _context().set_forkserver_preload(["lockstitch.control.child"])
    forkserver.ensure_running()


def _context() -> ForkServerContext:
    return multiprocessing.get_context("forkserver")


def carry_out(
    assignment: Assignment,
    hear: Callable[[Message], None],
    is_stopped: Callable[[], bool],
    *,
    limit: float,
    grace: float = GRACE,
) -> Done:
    """Run a child to its end and return its last word; `hear` gets all others, in order.

    Once `is_stopped` or after `limit` seconds the child is asked to stop, and killed `grace` seconds later. Raises
    Killed. Whatever happens, no child is left behind.
    """
    from lockstitch.control.child import main

    here, there = multiprocessing.Pipe()
    process = _context().Process(target=main, args=(there,), daemon=True)
    process.start()
    there.close()
    try:
        here.send_bytes(messages.encode(assignment))
        ends_at, asked = time.monotonic() + limit, False
        while True:
            if not asked and (is_stopped() or time.monotonic() > ends_at):
                here.send_bytes(messages.STOP)
                ends_at, asked = time.monotonic() + grace, True
            if asked and time.monotonic() > ends_at:
                raise Killed(None)
            if here.poll(_LOOK):
                message = messages.read_message(here.recv_bytes())
                if isinstance(message, Done):
                    return message
                hear(message)
    except (EOFError, OSError):
        process.join(_LOOK)
        raise Killed(process.exitcode) from None
    finally:
        here.close()
        _end(process)


def _end(process: BaseProcess) -> None:
    process.join(5)
    if process.is_alive():
        process.kill()
        process.join()
