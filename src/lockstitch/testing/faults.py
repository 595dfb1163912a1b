"""Stops a command's own process, from inside, where a load reaches a named point: for tests of what a crash leaves.

python -m lockstitch.testing.faults --kill-at "mark locked" --hit 2 -- run pipeline.toml

The product has no switch for this. It says where it is (`core/points.py`); this module listens, and then runs the very
`python -m lockstitch` that a user starts.
"""

from __future__ import annotations

import argparse
import os
import resource
import runpy
import signal
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from lockstitch.core.points import Point, listen

#: All points, in the order in which a load passes them; a new one is covered by itself.
POINTS: tuple[Point, ...] = get_args(Point)

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at the n-th time that the run reaches a point: it is killed, or stopped until SIGCONT wakes it."""

    point: Point
    hit: int = 1
    how: Literal["kill", "stop"] = "kill"

    def __str__(self) -> str:
        return f"{self.how} at {self.point!r}, hit {self.hit}"


def command(
    arguments: Sequence[str], fault: Fault | None = None, *, trace: Path | None = None, file_limit: int | None = None
) -> list[str]:
    """Return the command line of a process that runs `lockstitch *arguments` and meets the fault.

    Into the file `trace` it writes each point that it reaches, one a line. No file of it may exceed `file_limit` bytes:
    beyond them writing fails as on a full disk, with EFBIG in the place of ENOSPC.
    """
    options: list[str] = []
    if fault is not None:
        options += [f"--{fault.how}-at", fault.point, "--hit", str(fault.hit)]
    if trace is not None:
        options += ["--trace", str(trace)]
    if file_limit is not None:
        options += ["--file-limit", str(file_limit)]
    if not options:
        return [sys.executable, "-m", "lockstitch", *arguments]
    return [sys.executable, "-m", "lockstitch.testing.faults", *options, "--", *arguments]


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options before `--`, listen, and become `lockstitch` with what follows it."""
    parser = argparse.ArgumentParser(prog="python -m lockstitch.testing.faults", description=__doc__)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--kill-at", choices=POINTS, help="the point at which the process gets SIGKILL")
    where.add_argument("--stop-at", choices=POINTS, help="the point at which the process gets SIGSTOP")
    parser.add_argument("--hit", type=int, default=1, help="at which of the times that it is reached")
    parser.add_argument("--trace", type=Path, help="a file that gets the name of each point reached")
    parser.add_argument("--file-limit", type=int, help="the size in bytes that no file may exceed")
    parser.add_argument("command", nargs="+", help="lockstitch's own arguments, after --")
    given = parser.parse_args(arguments)
    if given.trace is not None:
        _trace(given.trace)
    point = cast("Point | None", given.kill_at or given.stop_at)
    if point is not None:
        _meet(Fault(point, given.hit, "kill" if given.kill_at else "stop"))
    if given.file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (given.file_limit, given.file_limit))
    sys.argv = ["lockstitch", *given.command]
    runpy.run_module("lockstitch", run_name="__main__", alter_sys=True)


def _trace(path: Path) -> None:
    file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def note(point: Point) -> None:
        os.write(file, f"{point}\n".encode())

    listen(note)


def _meet(fault: Fault) -> None:
    hits: Counter[Point] = Counter()
    lock = threading.Lock()  # the reading thread and the loader's pass points at the same time

    def listener(point: Point) -> None:
        with lock:
            hits[point] += 1
            due = point == fault.point and hits[point] == fault.hit
        if due:
            # Sent to this very thread: sent to the process, it might come on a little before it is stopped.
            signal.pthread_kill(threading.get_ident(), _SIGNALS[fault.how])

    listen(listener)


if __name__ == "__main__":
    main()
