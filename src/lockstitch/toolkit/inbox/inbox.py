"""A durable inbox on disk: what is appended is on disk when the call returns, and stays until it is trimmed.

One process writes, with as many threads as it likes; any number of others read and trim at the same time.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lockstitch.core.errors import LockstitchError, TransientError
from lockstitch.toolkit.durable_files import sync_folder, write_whole
from lockstitch.toolkit.inbox import segments as files
from lockstitch.toolkit.inbox.segments import Segment

_log = logging.getLogger(__name__)

#: A segment is closed at this size, or at this age in seconds, whichever comes first.
SEGMENT_BYTES = 64 * 2**20
SEGMENT_SECONDS = 3_600

#: Bytes of the disk that stay free, so that what reads the inbox can still work.
RESERVE_BYTES = 256 * 2**20

_SECOND = 1_000_000_000
_TABLES = "tables.json"


class Full(TransientError):
    """The inbox takes nothing more until some of it is loaded, or the disk has space again."""


@dataclass(slots=True)
class _Ticket:
    """What one thread wants written: `position` is where its last entry ends, once it is on disk.

    Its thread waits until it is `ready`: done, or the one that is to write for all that have queued up.
    """

    data: bytes
    ready: threading.Event = field(default_factory=threading.Event)
    done: bool = False
    position: int = 0
    error: LockstitchError | None = None


@dataclass(slots=True)
class _Open:
    """The segment that is being written; `length` bytes of it are on disk for good."""

    segment: Segment
    descriptor: int
    length: int = 0


class Inbox:
    """A folder of entries (0700, its files 0600), made when the first is appended.

    Takes at most `max_bytes` and leaves `reserve_bytes` of the disk free. With `max_age`, in seconds, it also takes
    nothing more while something older than that (to the age of a segment) is not loaded: clients then keep what
    they have, where nobody would notice that loading has stopped.
    """

    def __init__(
        self,
        folder: Path,
        max_bytes: int = 10 * 2**30,
        max_age: float | None = None,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._segment_bytes = min(segment_bytes, max_bytes // 4)
        self._reserve_bytes = reserve_bytes
        self._queue: list[_Ticket] = []
        self._is_led = False
        self._queue_lock = threading.Lock()
        self._writing = threading.Lock()
        self._lock: int | None = None
        self._open: _Open | None = None

    # --- reading -----------------------------------------------------------------------------------------------------

    @property
    def place(self) -> str:
        return str(self.folder)

    def read(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield position and payload of each entry after a position, oldest first.

        Raises SourceDataError for an entry that is damaged.
        """
        return files.read_entries(self.folder, after)

    def trim(self, position: int) -> None:
        """Everything up to the position is durable elsewhere: remove the segments that hold nothing else."""
        files.trim(self.folder, position)

    def committed(self) -> int:
        """Return the greatest position that was ever trimmed to; 0 where none was."""
        return files.committed(self.folder)

    def size(self, after: int = 0) -> int:
        """Return the bytes on disk after a position."""
        return sum(min(one.size, max(one.end - after, 0)) for one in files.segments(self.folder))

    def load_tables(self) -> bytes | None:
        """Return what the source has saved of its tables, or None."""
        try:
            return (self.folder / _TABLES).read_bytes()
        except FileNotFoundError:
            return None

    def save_tables(self, content: bytes) -> None:
        """Keep what the source knows of its tables; it is on disk when this returns."""
        write_whole(self.folder / _TABLES, content)

    # --- writing -----------------------------------------------------------------------------------------------------

    def append(self, *payloads: bytes) -> int:
        """Put entries behind each other, and return the position of the last once all are on disk.

        Threads that come meanwhile share one write. Raises Full, and TransientError where another process writes
        this inbox or the disk fails; then none of the payloads is in the inbox. Empty payloads are refused.
        """
        if not payloads or not all(payloads):
            raise ValueError("an entry of an inbox has at least one byte")
        ticket = _Ticket(b"".join(map(files.framed, payloads)))
        with self._queue_lock:
            self._queue.append(ticket)
            if not self._is_led:
                self._is_led = True
                ticket.ready.set()
        ticket.ready.wait()
        if not ticket.done:
            self._write_queue()
        if ticket.error is not None:
            raise ticket.error
        return ticket.position

    def close(self) -> None:
        """Stop writing; another process may then."""
        with self._writing:
            self._close_segment()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _write_queue(self) -> None:
        """Write for all that have queued up; the first of those that come meanwhile writes next."""
        with self._queue_lock:
            tickets, self._queue = self._queue, []
        try:
            with self._writing:
                self._write_tickets(tickets)
        finally:
            for ticket in tickets:
                ticket.done = True
                ticket.ready.set()
            with self._queue_lock:
                self._is_led = bool(self._queue)
                if self._queue:
                    self._queue[0].ready.set()

    def _write_tickets(self, tickets: Sequence[_Ticket]) -> None:
        try:
            self._take_lock()
            fitting = self._fitting(tickets)
            if fitting:
                self._write(fitting)
        except OSError as error:
            self._undo()
            self._fail(tickets, _disk_error(error, self.folder))
        except LockstitchError as error:
            self._fail(tickets, error)
        except BaseException:
            self._undo()
            self._fail(tickets, TransientError(f"writing to the inbox {self.folder} was interrupted"))
            raise

    def _fail(self, tickets: Sequence[_Ticket], error: LockstitchError) -> None:
        for ticket in tickets:
            if not ticket.position:
                ticket.error = ticket.error or error

    def _fitting(self, tickets: Sequence[_Ticket]) -> list[_Ticket]:
        """Return the tickets there is room for; the others are told why there is none."""
        self._refuse_old()
        room = self._room()
        if room < sum(len(ticket.data) for ticket in tickets):
            self._remove_committed()
            room = self._room()
        fitting: list[_Ticket] = []
        for ticket in tickets:
            if len(ticket.data) <= room:
                fitting.append(ticket)
                room -= len(ticket.data)
            else:
                ticket.error = Full(
                    f"the inbox {self.folder} has room for {max(room, 0)} bytes more, and {len(ticket.data)} came: it "
                    f"holds at most {self._max_bytes} bytes, and leaves {self._reserve_bytes} of the disk free",
                    hint="let its source load what waits, free some of the disk, or give the inbox more bytes",
                )
        return fitting

    def _room(self) -> int:
        disk = os.statvfs(self.folder)
        return min(self._max_bytes - self.size(), disk.f_bavail * disk.f_frsize - self._reserve_bytes)

    def _remove_committed(self) -> None:
        """Remove all that is loaded, the newest segment too: nobody but its writer may."""
        position = self.committed()
        if self._open is not None and self._open.segment.start + self._open.length <= position:
            self._close_segment()
        closed = files.segments(self.folder)
        files.remove_committed(closed if self._open is None else closed[:-1], position)

    def _refuse_old(self) -> None:
        if self._max_age is None:
            return
        begun_before = time.time_ns() - int(self._max_age * _SECOND)
        oldest = next((one for one in files.segments(self.folder) if one.size), None)
        if oldest is None or oldest.start > begun_before or oldest.end <= self.committed():
            return
        raise Full(
            f"the inbox {self.folder} holds requests older than {self._max_age:g} seconds that are not loaded yet",
            hint="look why its source does not load: the last run's errors tell",
        )

    def _write(self, tickets: Sequence[_Ticket]) -> None:
        now = self._current()
        data = memoryview(b"".join(ticket.data for ticket in tickets))
        written = 0
        while written < len(data):
            written += os.write(now.descriptor, data[written:])
        os.fsync(now.descriptor)
        for ticket in tickets:
            now.length += len(ticket.data)
            ticket.position = now.segment.start + now.length

    def _current(self) -> _Open:
        """Return the segment to write to, a new one where the last is large or old enough."""
        now = self._open
        if now is not None:
            age = time.time_ns() - now.segment.start
            if now.length < self._segment_bytes and age < SEGMENT_SECONDS * _SECOND:
                return now
            self._close_segment()
        last = files.segments(self.folder)[-1:]
        start = max(time.time_ns(), *(one.end + 1 for one in last), self.committed() + 1)
        segment = Segment(files.segment_path(self.folder, start), start)
        descriptor = os.open(segment.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        self._open = _Open(segment, descriptor)
        sync_folder(self.folder)
        return self._open

    def _undo(self) -> None:
        """Take back what may be half written, and never write to that file again."""
        if self._open is not None:
            try:
                os.ftruncate(self._open.descriptor, self._open.length)
                os.fsync(self._open.descriptor)
            except OSError as error:
                _log.error("cannot take back what was half written to %s: %s", self._open.segment.path, error)
            finally:
                self._close_segment()

    def _close_segment(self) -> None:
        if self._open is not None:
            os.close(self._open.descriptor)
            self._open = None

    def _take_lock(self) -> None:
        """Become the folder's only writer, and cut off what an earlier one has left half written."""
        if self._lock is not None:
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "writer.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise TransientError(
                f"another process writes to the inbox {self.folder}", hint="stop it, or wait until it has ended"
            ) from error
        for segment in files.segments(self.folder)[-1:]:
            _cut_torn_tail(segment)
        self._lock = descriptor


def _cut_torn_tail(segment: Segment) -> None:
    whole = max((position for position, _ in files.whole_entries(segment)), default=segment.start)
    torn = segment.end - whole
    if torn:
        _log.warning("%s: cut off %d bytes of requests that were never accepted", segment.path, torn)
        with segment.path.open("rb+") as file:
            file.truncate(whole - segment.start)
            os.fsync(file.fileno())


def _disk_error(error: OSError, folder: Path) -> LockstitchError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Full(f"no space left for the inbox {folder}", hint="free some of the disk; nothing accepted is lost")
    return TransientError(f"cannot write to the inbox {folder}: {error}", hint="check the folder's disk and rights")
