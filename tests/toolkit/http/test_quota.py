"""A vendor's limit is kept by all processes of the machine together."""

from __future__ import annotations

import logging
import os
import struct
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from lockstitch.toolkit.http.quota import Quota, Rate
from toolkit.http.server import Sleeps

KEY = "api_4711.a-key-that-is-a-secret"

#: Takes places for a second, and says when each was had, by the clock that processes share.
TAKER = """
import sys, time
from pathlib import Path
from lockstitch.toolkit.http.quota import Quota, Rate
quota = Quota(Path(sys.argv[1]), "close", sys.argv[2], Rate(40, 1.0, burst=int(sys.argv[3])))
print("ready", flush=True)
sys.stdin.readline()
ends = time.monotonic() + 1.0
while time.monotonic() < ends:
    quota.take()
    print(time.monotonic())
"""


def taken_by_two(home: Path, burst: int) -> tuple[list[float], list[float]]:
    """Let two processes take places side by side, and return when each had its own."""
    command = [sys.executable, "-c", TAKER, str(home), KEY, str(burst)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for one in both:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    first, second = ([float(line) for line in one.communicate(timeout=30)[0].split()] for one in both)
    assert [one.returncode for one in both] == [0, 0]
    return first, second


def test_two_processes_share_a_rate_and_never_exceed_it(tmp_path: Path) -> None:
    first, second = taken_by_two(tmp_path, burst=1)
    together = sorted(first + second)
    assert 30 <= len(together) <= 43
    assert abs(len(first) - len(second)) <= 6
    # Waking up late must not make up for it: no 20 places within less than 19 gaps, but for a late first one.
    for begin, end in zip(together, together[19:], strict=False):
        assert end - begin > 19 / 40 - 0.1


def test_a_burst_goes_at_once_and_then_one_by_one(tmp_path: Path) -> None:
    first, second = taken_by_two(tmp_path, burst=10)
    together = sorted(first + second)
    assert together[9] - together[0] < 0.15
    assert len(together) <= 10 + 40 + 3
    assert max(later - earlier for earlier, later in pairwise(together[10:])) < 0.2


def test_places_are_given_in_a_row(tmp_path: Path) -> None:
    sleeps = Sleeps()
    quota = Quota(tmp_path, "close", KEY, Rate(10, 1.0, burst=3), sleep=sleeps)
    waits = [quota.take() for _ in range(6)]
    assert waits[:3] == [0, 0, 0]
    for wait, expected in zip(waits[3:], (0.1, 0.2, 0.3), strict=True):
        assert expected - 0.05 < wait <= expected
    assert sleeps == waits[3:]


def test_a_long_wait_is_told_without_the_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    quota = Quota(tmp_path, "close", KEY, Rate(1, 1.0), sleep=Sleeps())
    quota.take()
    quota.take()
    assert caplog.messages == []
    quota.block(60)
    quota.take()
    assert caplog.messages == ["waiting 60 s for a turn within the rate limit of close"]


def test_a_block_holds_for_all_who_have_the_key_and_for_nobody_else(tmp_path: Path) -> None:
    sleeps = Sleeps()
    one, other, stranger = (
        Quota(tmp_path, "close", key, Rate(1000, 1.0), sleep=sleeps) for key in (KEY, KEY, "another")
    )
    one.block(20)
    one.block(5)
    assert 19 < other.take() <= 20
    assert 19 < one.take() <= 20.1
    assert stranger.take() == 0
    one.block(1e9)
    assert one.take() <= 3600


def test_a_rate_that_was_not_used_is_not_saved_up(tmp_path: Path) -> None:
    sleeps = Sleeps()
    quota = Quota(tmp_path, "close", KEY, Rate(20, 1.0, burst=2), sleep=sleeps)
    quota.take()
    time.sleep(0.5)
    assert [quota.take() > 0 for _ in range(4)] == [False, False, True, True]


def test_what_was_written_before_a_reboot_does_not_count(tmp_path: Path) -> None:
    sleeps = Sleeps()
    quota = Quota(tmp_path, "close", KEY, Rate(1000, 1.0), sleep=sleeps)
    quota.take()
    (state,) = (tmp_path / "quotas").iterdir()
    # The machine had run for ten seconds longer when it wrote this.
    later = time.monotonic() + 10
    state.write_bytes(struct.pack("<ddd", later + 50, later + 50, later))
    assert quota.take() == 0
    for broken in (b"", b"short", struct.pack("<dd", later + 50, later + 50)):
        state.write_bytes(broken)
        assert quota.take() == 0


def test_files_are_for_their_owner_only_and_do_not_hold_the_key(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        Quota(tmp_path, "close", KEY, Rate(1000, 1.0)).take()
    finally:
        os.umask(umask)
    (state,) = (tmp_path / "quotas").iterdir()
    assert state.stat().st_mode & 0o777 == 0o600
    assert state.parent.stat().st_mode & 0o777 == 0o700
    assert KEY not in state.name
    assert KEY.encode() not in state.read_bytes()


def test_a_request_that_counts_as_many_waits_for_as_many_places(tmp_path: Path) -> None:
    sleeps = Sleeps()
    quota = Quota(tmp_path, "heap", KEY, Rate(100, 1.0, burst=50), sleep=sleeps)
    assert quota.take(50) == 0
    assert 0.45 < quota.take(50) <= 0.5  # the clock stands still meanwhile
    assert 1.45 < quota.take(100) <= 1.5


def test_a_request_that_counts_for_nothing_waits_for_a_block_alone(tmp_path: Path) -> None:
    sleeps = Sleeps()
    quota = Quota(tmp_path, "heap", KEY, Rate(1, 1.0), sleep=sleeps)
    quota.take(5)
    assert quota.take(0) == 0
    quota.block(7)
    assert 6.9 < quota.take(0) <= 7
    assert 6.9 < quota.take() <= 7


def test_who_waits_for_his_turn_waits_on_if_all_are_blocked_meanwhile(tmp_path: Path) -> None:
    def blocked_meanwhile(seconds: float) -> None:
        sleeps.append(seconds)
        if len(sleeps) == 1:
            Quota(tmp_path, "close", KEY, rate).block(30)

    sleeps, rate = Sleeps(), Rate(1, 1.0)
    quota = Quota(tmp_path, "close", KEY, rate, sleep=blocked_meanwhile)
    quota.take()
    quota.take()
    first, second = sleeps
    assert 0.9 < first <= 1
    assert 29 < second <= 30


#: Takes places for requests that count as so many, until it is told to end; says when, and as how many, each went.
SENDER = """
import sys, time
from pathlib import Path
from lockstitch.toolkit.http.quota import Quota, Rate
home, requests, count = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
quota = Quota(home, "heap", "app", Rate(requests, 1.0, burst=100))
print("ready", flush=True)
sys.stdin.readline()
while True:
    quota.take(count)
    print(time.monotonic(), count, flush=True)
"""

#: Holds the lock of a limit, and never gives it back by itself.
HOLDER = """
import sys, time
from pathlib import Path
from lockstitch.toolkit.http.quota import Quota, Rate, _Locked
with _Locked(Quota(Path(sys.argv[1]), "heap", "app", Rate(1, 1.0))._path):
    print("ready", flush=True)
    time.sleep(60)
"""


def _started(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _told(process: subprocess.Popen[str]) -> list[tuple[float, int]]:
    """Kill a process, and return what it has told so far."""
    process.kill()
    lines = process.communicate(timeout=30)[0].splitlines()
    return [(float(at), int(count)) for at, count in (line.split() for line in lines)]


def test_many_processes_with_bulks_share_a_limit_fairly_although_some_are_killed(tmp_path: Path) -> None:
    """400 a second in bulks of 100, and 100 at once: never more than 500 within a second, from whomever."""
    senders = [_started(SENDER, tmp_path, 400, 100) for _ in range(5)]
    for one in senders:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    time.sleep(1.0)
    killed = _told(senders[0])  # while it waits for a turn, as all do most of the time
    since = time.monotonic()
    time.sleep(2.0)
    others = [_told(one) for one in senders[1:]]
    together = sorted([*killed, *(each for one in others for each in one)])
    assert len(together) >= 10
    for at, (begin, _) in enumerate(together):
        within = sum(count for moment, count in together[at:] if moment < begin + 0.9)
        assert within <= 500
    shares = [sum(moment >= since for moment, _ in one) for one in others]
    assert sum(shares) >= 6
    assert max(shares) - min(shares) <= 1


def test_who_dies_with_the_lock_in_his_hand_keeps_nobody_waiting(tmp_path: Path) -> None:
    holder = _started(HOLDER, tmp_path)
    sender = _started(SENDER, tmp_path, 1000, 1)
    assert sender.stdin is not None
    sender.stdin.write("go\n")
    sender.stdin.flush()
    time.sleep(0.3)
    died = time.monotonic()
    holder.kill()
    holder.communicate(timeout=30)
    time.sleep(0.3)
    went = _told(sender)
    assert len(went) > 100
    assert went[0][0] >= died
