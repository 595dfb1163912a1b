"""Avro's object container format, as far as it goes without decoding a row: the header, and what each block says.

Block headers give each block's row count and size, so a walk that skips the payloads finds a cut or damaged file
before any row of it is delivered. It costs some microseconds a block. Light: imports nothing but the standard library.
"""

from __future__ import annotations

import bz2
import json
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lockstitch.core.errors import SourceDataError

MAGIC = b"Obj\x01"
SYNC_BYTES = 16
CODECS = ("null", "deflate", "snappy", "zstandard", "bzip2", "xz")

#: Bytes that are read at once to find a header, or the next block's two numbers (and snappy's one).
_HEADER_BYTES = 64 << 10
_BLOCK_HEAD_BYTES = 32
#: As many rows as are decoded at once, where they are small.
MOST_ROWS = 8_192
#: Bytes, unpacked, that are decoded at once; a single block or row may be larger.
MOST_BYTES = 8 << 20
#: Blocks with so few rows hold wide rows (writers close a block at some 64 kB): their size is measured, not guessed.
FEW_ROWS = 4
#: What other blocks are taken to unpack to, for codecs that do not tell.
GUESSED_RATIO = 10


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself: its record schema, as JSON, and how its blocks are packed. `size` is the header's."""

    schema: dict[str, Any]
    codec: str
    sync: bytes
    size: int

    @property
    def fields(self) -> list[dict[str, Any]]:
        return self.schema["fields"]


@dataclass(frozen=True, slots=True)
class Survey:
    """What the block headers of a whole file say. `batch_rows` may be decoded at once in bounded memory."""

    header: Header
    rows: int
    batch_rows: int


def read_header(data: bytes, name: str) -> Header | None:
    """Return the header that `data` begins with, or None where more bytes are needed."""
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise SourceDataError(
            f"{name} is no Avro file: it begins with {data[:4]!r}, not with {MAGIC!r}",
            hint="see who wrote the file; an Avro object container file is expected",
        )
    try:
        metadata, position = _metadata(data, len(MAGIC))
    except (IndexError, EOFError):
        return None
    sync = data[position : position + SYNC_BYTES]
    if len(sync) < SYNC_BYTES:
        return None
    codec = metadata.get("avro.codec", b"null").decode("utf-8", "replace")
    if codec not in CODECS:
        raise SourceDataError(
            f"{name} is packed with the codec {codec!r}", hint=f"the codecs that can be read are {', '.join(CODECS)}"
        )
    return Header(_record_schema(metadata.get("avro.schema", b""), name), codec, sync, position + SYNC_BYTES)


def header_bytes(schema: dict[str, Any], codec: str, sync: bytes) -> bytes:
    """Return the header that says this."""
    pairs = {"avro.schema": json.dumps(schema), "avro.codec": codec}
    texts = (text.encode() for pair in pairs.items() for text in pair)
    return MAGIC + _packed_long(len(pairs)) + b"".join(_packed_long(len(raw)) + raw for raw in texts) + b"\0" + sync


def survey(path: Path, name: str) -> Survey:
    """Walk over all block headers. Raises SourceDataError, with the place, for a file that is cut or damaged."""
    with path.open("rb") as file:
        header = _whole_header(file, name)
        blocks = list(_blocks(file.fileno(), header, name))
    return Survey(header, sum(rows for rows, _ in blocks), _batch_rows(blocks))


def _whole_header(file: IO[bytes], name: str) -> Header:
    data = file.read(_HEADER_BYTES)
    if not data:
        raise _cut(name, "it is empty, without even a header")
    while (header := read_header(data, name)) is None:
        more = file.read(len(data))
        if not more:
            raise _cut(name, f"its {len(data)} bytes end within the header")
        data += more
    return header


def _blocks(file: int, header: Header, name: str) -> Iterator[tuple[int, int]]:
    """Yield (rows, bytes when unpacked) of each block."""
    # Not mapped into memory: a file that is cut while it is read must not kill the process.
    position, number, total = header.size, 0, os.fstat(file).st_size
    while position < total:
        number += 1
        where = f"block {number}, at byte {position} of {total}"
        head = os.pread(file, _BLOCK_HEAD_BYTES, position)
        try:
            rows, start = _long(head, 0)
            size, start = _long(head, start)
        except IndexError:
            raise _cut(name, f"it ends within {where}") from None
        begin, end = position + start, position + start + size
        if rows < 0 or size < 0:
            raise _damaged(name, f"{where}, says that it has {rows} rows in {size} bytes")
        if end + SYNC_BYTES > total:
            raise _cut(name, f"it ends within {where}")
        if os.pread(file, SYNC_BYTES, end) != header.sync:
            raise _damaged(name, f"{where}, does not end with the file's sync marker")
        if size and header.codec == "snappy":
            size = _snappy_size(head[start:])
        elif size and header.codec != "null":
            size = _UNPACKERS[header.codec](os.pread(file, size, begin)) if rows <= FEW_ROWS else size * GUESSED_RATIO
        yield rows, size
        position = end + SYNC_BYTES


def _snappy_size(packed: bytes) -> int:
    """Return the size that the packed bytes state at their beginning."""
    try:
        return _long(packed, 0, signed=False)[0]
    except IndexError:
        return 0  # fewer bytes than a block can have: the decoder will say so


def _measured(begin: Callable[[], Any]) -> Callable[[bytes], int]:
    """Return a function that counts what bytes unpack to without holding it; damage is left to the decoder to name."""

    def measure(packed: bytes) -> int:
        unpacker, size, rest = begin(), 0, packed
        try:
            while piece := unpacker.decompress(rest, 1 << 20):
                size += len(piece)
                rest = getattr(unpacker, "unconsumed_tail", b"")
        except (zlib.error, OSError, lzma.LZMAError, EOFError):
            pass
        return size

    return measure


_UNPACKERS: dict[str, Callable[[bytes], int]] = {
    "deflate": _measured(lambda: zlib.decompressobj(wbits=-15)),
    "bzip2": _measured(bz2.BZ2Decompressor),
    "xz": _measured(lzma.LZMADecompressor),
    "zstandard": lambda packed: _zstandard_size(packed),
}


def _zstandard_size(packed: bytes) -> int:
    """Return the content size that a frame states, or else a guess (RFC 8878, section 3.1.1.1)."""
    if len(packed) < 6:
        return len(packed)
    descriptor = packed[4]
    single, flag = descriptor >> 5 & 1, descriptor >> 6
    width = {0: single, 1: 2, 2: 4, 3: 8}[flag]
    if width == 0:
        return len(packed) * GUESSED_RATIO
    start = 5 + (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3]
    return int.from_bytes(packed[start : start + width], "little") + (256 if width == 2 else 0)


def _batch_rows(blocks: list[tuple[int, int]]) -> int:
    """Return the most rows, halved from MOST_ROWS, of which no run in the file unpacks to more than MOST_BYTES."""
    rows = MOST_ROWS
    while rows > 1 and _heaviest_run(blocks, rows) > MOST_BYTES:
        rows //= 2
    return rows


def _heaviest_run(blocks: list[tuple[int, int]], rows: int) -> int:
    """Return the bytes of the heaviest run of blocks that hold so many rows; parts of a block count by their share."""
    heaviest = held_rows = held_bytes = first = 0
    for count, size in blocks:
        heaviest = max(heaviest, size * min(rows, count) // max(count, 1))
        held_rows, held_bytes = held_rows + count, held_bytes + size
        while held_rows > rows and first < len(blocks):
            held_rows, held_bytes = held_rows - blocks[first][0], held_bytes - blocks[first][1]
            first += 1
        heaviest = max(heaviest, held_bytes)
    return heaviest


def _metadata(data: bytes, position: int) -> tuple[dict[str, bytes], int]:
    pairs: dict[str, bytes] = {}
    while True:
        count, position = _long(data, position)
        if count == 0:
            return pairs, position
        if count < 0:  # the byte size of the pairs follows
            count, (_, position) = -count, _long(data, position)
        for _ in range(count):
            key, position = _bytes(data, position)
            pairs[key.decode("utf-8", "replace")], position = _bytes(data, position)


def _bytes(data: bytes, position: int) -> tuple[bytes, int]:
    size, position = _long(data, position)
    if size < 0 or position + size > len(data):
        raise EOFError
    return data[position : position + size], position + size


def _long(data: bytes, position: int, *, signed: bool = True) -> tuple[int, int]:
    """Return the variable-length integer at the position, and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return ((value >> 1) ^ -(value & 1) if signed else value), position
        shift += 7
        if shift > 63:
            return -1, position


def _packed_long(value: int) -> bytes:
    rest, out = value << 1, bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*out, rest])


def _record_schema(text: bytes, name: str) -> dict[str, Any]:
    try:
        schema = json.loads(text)
    except ValueError:
        schema = None
    if isinstance(schema, dict) and schema.get("type") == "record" and isinstance(schema.get("fields"), list):
        return schema
    raise SourceDataError(
        f"{name} has a schema that is no record: {text[:200].decode('utf-8', 'replace')!r}",
        hint="rows can be read from files of records only",
    )


def _cut(name: str, how: str) -> SourceDataError:
    return SourceDataError(f"{name} is cut short: {how}", hint=MEND)


def _damaged(name: str, how: str) -> SourceDataError:
    return SourceDataError(f"{name} is damaged: {how}", hint=MEND)


#: What mends a file that cannot be read.
MEND = "nothing of this file was loaded; put a whole copy in its place, or have its writer deliver the table anew"
