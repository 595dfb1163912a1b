"""The inbox on disk: what is acknowledged is there, whatever happens to its writer, its readers or the disk."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lockstitch.core.errors import SourceDataError, TransientError
from lockstitch.toolkit.exact import Exact
from lockstitch.toolkit.inbox import inbox as inbox_module
from lockstitch.toolkit.inbox.inbox import Full, Inbox
from lockstitch.toolkit.inbox.records import Records, entries_of, read_entry
from lockstitch.toolkit.inbox.segments import segments


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


def _payloads(folder: Path, after: int = 0) -> list[bytes]:
    return [payload for _, payload in Inbox(folder).read(after)]


def test_what_is_appended_is_read_in_order_from_every_position(folder: Path) -> None:
    inbox = Inbox(folder)
    positions = [inbox.append(b"one"), inbox.append(b"two", b"three"), inbox.append(b"four" * 10_000)]
    assert positions == sorted(set(positions))
    assert _payloads(folder) == [b"one", b"two", b"three", b"four" * 10_000]
    for position, _ in list(inbox.read()):
        rest = [payload for at, payload in inbox.read() if at > position]
        assert _payloads(folder, position) == rest
    assert [position for position, _ in inbox.read()][-1] == positions[-1]
    assert _payloads(folder, positions[-1]) == []


def test_an_inbox_that_was_never_written_is_empty(folder: Path) -> None:
    inbox = Inbox(folder)
    assert (list(inbox.read()), inbox.size(), inbox.committed()) == ([], 0, 0)
    assert not folder.exists()


def test_only_its_owner_can_look_into_it(folder: Path) -> None:
    inbox = Inbox(folder)
    inbox.trim(inbox.append(b"one"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize("payloads", [(), (b"",), (b"one", b"")])
def test_an_empty_entry_is_refused(folder: Path, payloads: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="at least one byte"):
        Inbox(folder).append(*payloads)


def test_a_segment_ends_at_its_size_and_trimming_removes_whole_ones(folder: Path) -> None:
    inbox = Inbox(folder, segment_bytes=100)
    positions = [inbox.append(bytes([65 + number]) * 40) for number in range(10)]
    assert len(segments(folder)) == 4
    inbox.trim(positions[4])
    assert len(segments(folder)) == 3
    assert inbox.committed() == positions[4]
    assert _payloads(folder, positions[4]) == [bytes([65 + number]) * 40 for number in range(5, 10)]
    inbox.trim(positions[2])
    assert inbox.committed() == positions[4]
    inbox.trim(positions[-1])
    assert len(segments(folder)) == 1
    assert inbox.size(positions[-1]) == 0
    assert _payloads(folder, inbox.append(b"x")) == []
    assert _payloads(folder, positions[-1]) == [b"x"]


def test_trimming_while_reading_and_writing(folder: Path) -> None:
    writer, other = Inbox(folder, segment_bytes=64), Inbox(folder)
    for number in range(50):
        writer.append(b"%d" % number)
    seen: list[bytes] = []
    for position, payload in other.read():
        seen.append(payload)
        other.trim(position)
        if len(seen) < 60:
            writer.append(b"%d" % (49 + len(seen)))
    assert seen == [b"%d" % number for number in range(len(seen))]
    assert len(seen) >= 109
    assert len(segments(folder)) == 1


@pytest.mark.parametrize("cut", range(1, 8 + len(b"the last entry") + 1))
def test_a_torn_tail_is_left_out_and_cut_off_by_the_next_writer(folder: Path, cut: int) -> None:
    first = Inbox(folder)
    first.append(b"one")
    last = first.append(b"the last entry")
    first.close()
    (segment,) = segments(folder)
    with segment.path.open("rb+") as file:
        file.truncate(segment.size - cut)
    assert _payloads(folder) == [b"one"]
    second = Inbox(folder)
    assert second.append(b"two") > last
    assert _payloads(folder) == [b"one", b"two"]


def test_bytes_that_were_never_written_are_no_entries(folder: Path) -> None:
    first = Inbox(folder)
    first.append(b"one")
    first.close()
    (segment,) = segments(folder)
    with segment.path.open("ab") as file:
        file.write(bytes(4096))
    assert _payloads(folder) == [b"one"]
    Inbox(folder).append(b"two")
    assert _payloads(folder) == [b"one", b"two"]


def test_damage_before_the_end_is_an_error_and_not_a_gap(folder: Path) -> None:
    inbox = Inbox(folder, segment_bytes=32)
    for number in range(4):
        inbox.append(b"entry number %d of four" % number)
    first = segments(folder)[0].path
    content = bytearray(first.read_bytes())
    content[12] ^= 1
    first.write_bytes(content)
    with pytest.raises(SourceDataError, match="is damaged: 60 bytes from byte 0") as refused:
        _payloads(folder)
    assert refused.value.hint


def test_one_process_writes(folder: Path) -> None:
    first = Inbox(folder)
    first.append(b"one")
    with pytest.raises(TransientError, match="another process writes to the inbox"):
        Inbox(folder).append(b"two")
    first.close()
    Inbox(folder).append(b"two")
    assert _payloads(folder) == [b"one", b"two"]


def test_positions_grow_also_where_the_folder_was_emptied(folder: Path) -> None:
    first = Inbox(folder)
    before = first.append(b"x" * 100_000)
    first.close()
    for path in folder.iterdir():
        path.unlink()
    assert Inbox(folder).append(b"y") > before
    assert _payloads(folder, before) == [b"y"]


def test_threads_share_a_write_and_each_gets_its_own_position(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, syncs = os.fsync, list[int]()

    def slow(descriptor: int) -> None:
        syncs.append(descriptor)
        time.sleep(0.01)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    inbox = Inbox(folder)
    payloads = [b"payload %03d" % number for number in range(200)]
    with ThreadPoolExecutor(32) as threads:
        positions = list(threads.map(inbox.append, payloads))
    assert dict(inbox.read()) == dict(zip(positions, payloads, strict=True))
    assert len(syncs) < 30


def test_nothing_is_taken_beyond_its_bytes_until_some_are_trimmed(folder: Path) -> None:
    inbox = Inbox(folder, max_bytes=1_000, segment_bytes=200)
    positions = [inbox.append(b"x" * 100) for _ in range(9)]
    with pytest.raises(Full, match="has room for 28 bytes more, and 108 came: it holds at most 1000 bytes") as full:
        inbox.append(b"x" * 100)
    assert full.value.hint
    assert inbox.size() <= 1_000
    inbox.append(b"small")
    inbox.trim(positions[4])
    inbox.append(b"x" * 100)


def test_all_that_is_loaded_makes_room(folder: Path) -> None:
    inbox = Inbox(folder, max_bytes=1_000)
    for _ in range(50):
        Inbox(folder).trim(inbox.append(b"x" * 400))
    assert inbox.size() <= 1_000


def test_where_one_does_not_fit_the_others_still_do(folder: Path) -> None:
    inbox = Inbox(folder, max_bytes=1_000)
    with pytest.raises(Full):
        inbox.append(b"x" * 2_000)
    inbox.append(b"y")
    assert _payloads(folder) == [b"y"]


def test_some_of_the_disk_stays_free(folder: Path) -> None:
    with pytest.raises(Full, match="of the disk free"):
        Inbox(folder, reserve_bytes=2**60).append(b"x")


def test_nothing_is_taken_while_what_is_old_is_not_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = Inbox(folder, max_age=7 * 86_400)
    position = inbox.append(b"old")
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 8 * 86_400 * 10**9)
    with pytest.raises(Full, match="older than 604800 seconds"):
        inbox.append(b"new")
    inbox.trim(position)
    inbox.append(b"new")
    assert _payloads(folder, position) == [b"new"]
    inbox.append(b"more")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_leaves_no_half_entry(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    inbox = Inbox(folder)
    inbox.append(b"one")
    real = os.write

    def failing(descriptor: int, data: bytes) -> int:
        real(descriptor, data[:5])
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as broken:
        broken.setattr(inbox_module.os, "write", failing)
        with pytest.raises(Full if code == errno.ENOSPC else TransientError):
            inbox.append(b"two")
    inbox.append(b"three")
    assert _payloads(folder) == [b"one", b"three"]


def test_nobody_is_told_that_an_interrupted_write_is_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = Inbox(folder)
    inbox.append(b"one")
    # Tests that were started in the background ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as broken:
            broken.setattr(inbox_module.os, "fsync", lambda _: signal.raise_signal(signal.SIGINT))
            with pytest.raises(KeyboardInterrupt):
                inbox.append(b"two")
    finally:
        signal.signal(signal.SIGINT, before)
    inbox.append(b"three")
    assert _payloads(folder)[0] == b"one"
    assert _payloads(folder)[-1] == b"three"


def test_a_write_in_pieces_is_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(inbox_module.os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    Inbox(folder).append(b"a payload that is longer than that")
    assert _payloads(folder) == [b"a payload that is longer than that"]


_WRITER = """
import sys, threading
from pathlib import Path
from lockstitch.toolkit.inbox.inbox import Inbox
inbox = Inbox(Path(sys.argv[1]), segment_bytes=4_000)
lock = threading.Lock()
def write(name):
    number = 0
    while True:
        payload = b"%d %d " % (name, number) + b"x" * (number * 37 % 500)
        position = inbox.append(payload)
        with lock:
            print(position, name, number, flush=True)
        number += 1
for name in range(4):
    threading.Thread(target=write, args=(name,)).start()
"""


def test_a_killed_writer_loses_nothing_that_it_acknowledged(folder: Path) -> None:
    """Two lives; a reader follows all the while."""
    acknowledged: dict[int, tuple[int, int]] = {}
    followed: dict[int, bytes] = {}
    for _ in range(2):
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        lines: list[str] = []
        reader = threading.Thread(target=lines.extend, args=(writer.stdout,))
        reader.start()
        deadline = time.monotonic() + 20
        while len(lines) < 100 and time.monotonic() < deadline:
            followed.update(Inbox(folder).read(max(followed, default=0)))
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        reader.join()
        writer.stdout.close()
        for line in lines:
            if line.endswith("\n"):
                position, name, number = map(int, line.split())
                acknowledged[position] = (name, number)
    inbox = Inbox(folder)
    found = dict(inbox.read())
    assert len(acknowledged) >= 200
    for position, (name, number) in acknowledged.items():
        assert found[position] == b"%d %d " % (name, number) + b"x" * (number * 37 % 500)
    assert followed.items() <= found.items()
    last = max(found)
    assert inbox.append(b"after") > last
    assert dict(inbox.read(last)).keys().isdisjoint(found)


def test_records_come_back_as_they_went() -> None:
    row = {
        "none": None,
        "whole": 5,
        "large": 2**70,
        "larger": -(10**100),
        "double": 0.1,
        "exact": Exact("1.10"),
        "text": "é\0",
        "bytes": b"\xff",
        "instant": datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        "nested": {"list": [1, [2.5, {"deep": 2**64}], Exact("1e400")], "empty": {}},
    }
    records = Records("orders", ("none", "whole"), 7, datetime(2020, 1, 1, tzinfo=UTC), [1, -(2**63)], [row, {}], True)
    (payload,) = entries_of([records])
    (waiting,) = read_entry(payload)
    assert (waiting.table, waiting.key, waiting.version, waiting.publish) == ("orders", ("none", "whole"), 7, True)
    assert waiting.extracted_at == records.extracted_at
    sequences, rows = waiting.decoded()
    assert sequences == [1, -(2**63)]
    assert repr(rows) == repr([row, {}])


def test_an_entry_has_one_key_and_version_a_table() -> None:
    records = [
        Records("a", ("id",)),
        Records("b", ("id",)),
        Records("a", ("id",)),
        Records("a", ("id", "n")),
        Records("b", ("id",)),
        Records("a", None),
        Records("a", ("id",)),
        Records("a", ("id",), 7),
        Records("b", ("id",), 7),
        Records("a", None, 7),
    ]
    entries = [[(one.table, one.key) for one in read_entry(payload)] for payload in entries_of(records)]
    assert entries == [
        [("a", ("id",)), ("b", ("id",)), ("a", ("id",))],
        [("a", ("id", "n")), ("b", ("id",)), ("a", None)],
        [("a", ("id",))],
        [("a", ("id",)), ("b", ("id",)), ("a", None)],
    ]
