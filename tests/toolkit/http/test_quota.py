"""A vendor's limit is kept by all processes of the machine together."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

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


def test_requests_that_went_along_with_one_are_charged_to_the_next(tmp_path: Path) -> None:
    sleeps = Sleeps()
    quota = Quota(tmp_path, "heap", KEY, Rate(100, 1.0), sleep=sleeps)
    quota.take()
    quota.charge(99)
    assert quota.take() > 0.9
    assert quota.take() > 0.9  # the clock stood still, so the next place is one further
