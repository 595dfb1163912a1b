"""The files of an inbox: entries with a length and a checksum, in segments named by the position of their first byte.

A position is a number that only grows: that of an entry is where its last byte ends. A segment begins at the time of
its making in nanoseconds, or where the one before ended if that is greater. So a position is never given twice, also
after the folder was emptied or brought back from a copy.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lockstitch.core.errors import SourceDataError
from lockstitch.toolkit.durable_files import write_whole

#: Before each payload: its length and the CRC-32 of length and payload, little-endian.
_HEADER = struct.Struct("<II")

_SUFFIX = ".entries"
_COMMITTED = "committed"


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of entries; `start` is the position before its first byte."""

    path: Path
    start: int

    @property
    def size(self) -> int:
        """The file's bytes now; 0 once it is trimmed."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def end(self) -> int:
        return self.start + self.size


def segment_path(folder: Path, start: int) -> Path:
    return folder / f"{start:020d}{_SUFFIX}"


def segments(folder: Path) -> list[Segment]:
    """Return the folder's segments, oldest first; [] where there is no folder."""
    paths = sorted(folder.glob(f"*{_SUFFIX}"))
    return [Segment(path, int(path.stem)) for path in paths]


def framed(payload: bytes) -> bytes:
    """Return an entry's bytes on disk."""
    length = len(payload)
    return _HEADER.pack(length, _checksum(length, payload)) + payload


def _checksum(length: int, payload: bytes) -> int:
    return zlib.crc32(payload, length)


def whole_entries(segment: Segment, after: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield position and payload of the entries after a position, up to the end or to one that is not whole."""
    try:
        file = segment.path.open("rb")
    except FileNotFoundError:
        return  # trimmed meanwhile: its entries are committed
    with file:
        position = max(after, segment.start)
        file.seek(position - segment.start)
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            length, checksum = _HEADER.unpack(header)
            if not 0 < length <= os.fstat(file.fileno()).st_size - file.tell():
                return
            payload = file.read(length)
            if len(payload) < length or _checksum(length, payload) != checksum:
                return
            position += _HEADER.size + length
            yield position, payload


def read_entries(folder: Path, after: int) -> Iterator[tuple[int, bytes]]:
    """Yield position and payload of all whole entries after a position, oldest first.

    What is being written while this reads may or may not be among them. Raises SourceDataError where an entry is
    damaged that is not the last: only the end of the last segment can be unfinished.
    """
    last = after
    waiting = segments(folder)
    while waiting:
        segment = waiting.pop(0)
        if waiting and segment.end <= after:
            continue
        for position, payload in whole_entries(segment, last):
            yield position, payload
            last = position
        waiting = [one for one in segments(folder) if one.start > segment.start]
        if waiting:
            # A later segment is made only once this one is complete: what is missing now was written meanwhile.
            for position, payload in whole_entries(segment, last):
                yield position, payload
                last = position
            _refuse_damaged(segment, last)


def _refuse_damaged(segment: Segment, position: int) -> None:
    end = segment.end
    if end > max(position, segment.start):
        raise SourceDataError(
            f"{segment.path} is damaged: {end - max(position, segment.start)} bytes from byte "
            f"{max(position, segment.start) - segment.start} on are no whole entries",
            hint="bring the file back from a copy; or move it away, to go on without the requests in it",
        )


def committed(folder: Path) -> int:
    """Return the position up to which all entries are durable elsewhere; 0 where nothing is."""
    try:
        return int((folder / _COMMITTED).read_text())
    except FileNotFoundError:
        return 0


def trim(folder: Path, position: int) -> None:
    """Remember what is durable elsewhere, and remove the segments that hold nothing else, but for the newest."""
    if position <= committed(folder):
        return
    write_whole(folder / _COMMITTED, str(position).encode())
    remove_committed(segments(folder)[:-1], position)


def remove_committed(closed: Iterable[Segment], position: int) -> None:
    """Remove those of the segments, none of which is being written, that hold nothing after the position."""
    for segment in closed:
        if segment.end <= position:
            segment.path.unlink(missing_ok=True)
