"""Shares a vendor's rate limit among all connections to one account, in whatever processes of this machine they run.

Each limit is a small file that says when its next request may go. Whoever wants to send one takes the next place in
the row, so everybody gets his turn, and waits for it outside of the lock: who dies meanwhile keeps nobody waiting.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)

_FOLDER = "quotas"
#: Three moments of the machine's monotonic clock, which all its processes share: the next free place, the moment before
#: which the vendor wants no request, and when that was written.
_STATE = struct.Struct("<ddd")
#: However long a vendor asks to wait, nobody waits longer than this before he asks again, in seconds.
_LONGEST = 3600.0
#: Seconds from which on a wait is told.
_LONG = 5.0


@dataclass(frozen=True, slots=True)
class Rate:
    """One request each `seconds` / `requests`; after a pause, up to `burst` of them at once.

    So any `seconds` see less than `requests` + `burst` of them: choose both so that the vendor allows their sum. A
    request may count as many, which the vendor counts one by one, such as the objects in its body.
    """

    requests: float
    seconds: float
    burst: int = 1

    @property
    def gap(self) -> float:
        return self.seconds / self.requests


class Quota:
    """One limit of one account. `account` may be a secret: only its hash is used."""

    def __init__(
        self, home: Path, vendor: str, account: str, rate: Rate, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._vendor = vendor
        self._rate = rate
        self._sleep = sleep
        name = hashlib.blake2b(f"{vendor}\0{account}".encode(), digest_size=16, person=b"lockstitch quota").hexdigest()
        self._path = home / _FOLDER / name

    def take(self, requests: int = 1) -> float:
        """Wait until a request that counts as so many may go; return how many seconds that took.

        One that counts for nothing, as the limit is not meant for it, waits only while all are blocked.
        """
        waited = 0.0
        wait, blocked_until = self._reserve(requests)
        while wait > 0:
            if wait >= _LONG:
                _log.info("waiting %.0f s for a turn within the rate limit of %s", wait, self._vendor)
            self._sleep(wait)
            waited += wait
            wait, blocked_until = self._reserve(requests, blocked_until)
        return waited

    def _reserve(self, requests: int, unless: float | None = None) -> tuple[float, float]:
        """Take the next places; return how long it is to the last of them, and the moment up to which all are blocked.

        `unless` is that moment as it was when places were taken before: unless it has moved, they may be used now.
        """
        with _Locked(self._path) as state:
            if unless is not None and state.blocked_until <= unless:
                return 0.0, unless
            turn = state.blocked_until
            if requests:
                # The next place may have passed while nobody wanted it: as many of them as a burst are still there.
                saved_up = state.now - self._rate.gap * (self._rate.burst - 1)
                turn = max(state.next_place, saved_up, state.blocked_until) + self._rate.gap * (requests - 1)
                state.next_place = turn + self._rate.gap
            return max(turn - state.now, 0.0), state.blocked_until

    def block(self, seconds: float) -> None:
        """Let nobody send a request for so long: the vendor has asked for it."""
        with _Locked(self._path) as state:
            state.blocked_until = max(state.blocked_until, state.now + min(seconds, _LONGEST))


class _Locked:
    """The moments of a file, read under its lock and written back at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.now = self.next_place = self.blocked_until = 0.0

    def __enter__(self) -> _Locked:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self.now = time.monotonic()
        state = os.pread(self._file, _STATE.size, 0)
        if len(state) == _STATE.size:
            next_place, blocked_until, written = _STATE.unpack(state)
            # The clock begins anew with the machine: what was written later than now was written before that.
            if written <= self.now:
                self.next_place, self.blocked_until = next_place, blocked_until
        return self

    def __exit__(self, *_: object) -> None:
        os.pwrite(self._file, _STATE.pack(self.next_place, self.blocked_until, self.now), 0)
        os.close(self._file)
