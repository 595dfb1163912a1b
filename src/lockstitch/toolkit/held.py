"""Who may use a file, such as a DuckDB database: one of us at a time, in the order of coming."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lockstitch.core.errors import AccessError, TransientError

PATIENCE = 60.0
#: Seconds of waiting after which it is told: a common load does not take so long.
_QUIET = 2.0

_log = logging.getLogger(__name__)


@contextmanager
def held(path: Path, patience: float = PATIENCE) -> Generator[None]:
    """Hold `<realpath>.lock` while inside; raise TransientError after `patience` seconds of waiting.

    Whoever waits holds the turnstile, so that one who has just let go cannot overtake.
    """
    real = path.resolve()
    with _opened(real, ".lock.next") as turnstile, _opened(real, ".lock") as lock:
        _take(turnstile, real, patience)
        _take(lock, real, patience)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        _sign(lock)
        yield


def _opened(real: Path, suffix: str) -> IO[str]:
    try:
        return real.with_name(real.name + suffix).open("a+")
    except FileNotFoundError as error:
        raise AccessError(f"the folder of {real} does not exist", hint="make the folder first") from error
    except PermissionError as error:
        raise AccessError(f"{real} may not be written by this user", hint="change the rights of its folder") from error


def _sign(lock: IO[str]) -> None:
    """Leave our process id for those who wait; a disk without room for it is told by the load itself."""
    with suppress(OSError):
        os.ftruncate(lock.fileno(), 0)
        os.write(lock.fileno(), f"{os.getpid()}\n".encode())


def _take(file: IO[str], real: Path, patience: float) -> None:
    began = time.monotonic()
    told = False
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = time.monotonic() - began
            if waited > patience:
                raise TransientError(
                    f"{real} has been in use by other runs for {patience:.0f} s, now by {_holder(real)}",
                    hint="run again when they have ended; if one hangs, end it: nothing that is committed is lost",
                ) from None
            if waited > _QUIET and not told:
                told = True
                _log.warning("waiting for %s, which is in use by another run, %s", real, _holder(real))
            time.sleep(0.02)


def _holder(real: Path) -> str:
    with _opened(real, ".lock") as lock:
        lock.seek(0)
        number = lock.read(20).strip()
    return f"process {number}" if number.isdigit() else "a process that is just beginning"
