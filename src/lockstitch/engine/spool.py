"""Rows that wait for their commit, on disk: Arrow IPC files below the home folder, one per step and schema.

What waits here bounds the memory of a run, keeps a load repeatable without its source, and is worthless after a
crash: the mark tells where to read again, so the next run sweeps it away.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lockstitch.core.errors import TransientError
from lockstitch.engine.leftovers import nobody_else_makes, spools

#: Internal column of a subtable's spooled rows: the position of their record among the top table's rows of the step.
_TOP = "_lockstitch_top"
_BATCHED_AT = "_sdc_batched_at"
_TIMESTAMP = pa.timestamp("us", "UTC")


class Spool:
    """A run's folder below `home`, locked as long as the run lives (`leftovers`)."""

    def __init__(self, home: Path) -> None:
        root = spools(home)
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            with nobody_else_makes(root):
                self.folder = Path(tempfile.mkdtemp(prefix="run-", dir=root))
                self._lock = (self.folder / "lock").open("w")
                fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as error:
            raise _full(error, root) from error
        self._files = 0

    def new_file(self) -> Path:
        self._files += 1
        return self.folder / f"{self._files:06}.arrow"

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


@dataclass(slots=True)
class _Segment:
    path: Path
    schema: pa.Schema
    writer: pa.RecordBatchWriter
    sink: pa.NativeFile


@dataclass(slots=True)
class SpooledRows:
    """The rows of one step. With `key` they are watched for keys that come again: only the last of each is handed on.

    `handed_on` counts the rows that the latest reading gave out, `checksum` is the sum of their `_sdc_sequence`.
    """

    spool: Spool
    key: tuple[str, ...] = ()
    count: int = 0
    bytes: int = 0
    handed_on: int = 0
    checksum: int = 0
    _segments: list[_Segment] = field(default_factory=list[_Segment])
    _keys: list[pa.RecordBatch] = field(default_factory=list[pa.RecordBatch])
    _kept: pa.BooleanArray | None = None

    def add(self, rows: pa.RecordBatch, top_position: pa.Array | None = None) -> None:
        """Append rows; `top_position` is given for a subtable's rows."""
        if self.key:
            # A copy: a column that a source's driver has made would hold its whole batch in memory.
            self._keys.append(rows.select([*self.key, "_sdc_sequence"]).take(pa.arange(0, rows.num_rows)))
        if top_position is not None:
            rows = rows.append_column(_TOP, top_position)
        try:
            self._segment(rows.schema).writer.write_batch(rows)
        except OSError as error:
            raise _full(error, self.spool.folder) from error
        self.count += rows.num_rows
        self.bytes += rows.nbytes

    def _segment(self, schema: pa.Schema) -> _Segment:
        if self._segments and self._segments[-1].schema.equals(schema):
            return self._segments[-1]
        if self._segments:
            self._close(self._segments[-1])
        path = self.spool.new_file()
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))
        sink = pa.OSFile(str(path), "wb")
        segment = _Segment(path, schema, pa.ipc.new_stream(sink, schema), sink)
        self._segments.append(segment)
        return segment

    def _close(self, segment: _Segment) -> None:
        try:
            segment.writer.close()
            segment.sink.close()
        except OSError as error:
            raise _full(error, self.spool.folder) from error

    def finish(self, renamed: Mapping[str, str], *, distinct: bool) -> None:
        """End writing and, where keys must be distinct, find the rows that later ones of the same key supersede."""
        if self._segments:
            self._close(self._segments[-1])
        if self._keys and distinct:
            key = [renamed.get(name, name) for name in self.key]
            batches = [batch.rename_columns([*key, "_sdc_sequence"]) for batch in self._keys]
            self._kept = last_of_each_key(pa.Table.from_batches(batches), key)
        self._keys = []

    @property
    def kept(self) -> pa.BooleanArray | None:
        """Which rows are handed on, by position; None means all."""
        return self._kept

    def readers(
        self, batched_at: datetime, renamed: Mapping[str, str], top: SpooledRows | None = None
    ) -> Iterator[pa.RecordBatchReader]:
        """Yield the rows that count, segment by segment, under their final names and with `_sdc_batched_at`."""
        position = self.handed_on = self.checksum = 0
        for segment in self._segments:
            with pa.OSFile(str(segment.path), "rb") as source:
                stream = pa.ipc.open_stream(source)
                names = [renamed.get(name, name) for name in segment.schema.names if name != _TOP]
                fields = [
                    segment.schema.field(old).with_name(new)
                    for old, new in zip((n for n in segment.schema.names if n != _TOP), names, strict=True)
                ]
                schema = pa.schema([*fields, pa.field(_BATCHED_AT, _TIMESTAMP)])
                counted = _Position(position)
                batches = (
                    self._hand_on(batch, schema, batched_at, self._mask(batch, counted, top)) for batch in stream
                )
                yield pa.RecordBatchReader.from_batches(schema, batches)
                position = counted.rows

    def _mask(self, batch: pa.RecordBatch, position: _Position, top: SpooledRows | None) -> pa.BooleanArray | None:
        start = position.rows
        position.rows += batch.num_rows
        if top is not None:
            return None if top.kept is None else top.kept.take(batch.column(_TOP))
        return None if self._kept is None else self._kept.slice(start, batch.num_rows)

    def _hand_on(
        self, batch: pa.RecordBatch, schema: pa.Schema, batched_at: datetime, mask: pa.BooleanArray | None
    ) -> pa.RecordBatch:
        if mask is not None:
            batch = batch.filter(mask)
        columns = [batch.column(at) for at, name in enumerate(batch.schema.names) if name != _TOP]
        self.handed_on += batch.num_rows
        self.checksum += _sum(batch.column("_sdc_sequence"))
        stamp = pa.repeat(pa.scalar(batched_at, _TIMESTAMP), batch.num_rows)
        return pa.RecordBatch.from_arrays([*columns, stamp], schema=schema)

    def discard(self) -> None:
        """Remove the files; to be called once the load is committed or given up."""
        for segment in self._segments:
            segment.path.unlink(missing_ok=True)


@dataclass(slots=True)
class _Position:
    rows: int


def _sum(sequence: pa.Int64Array) -> int:
    """Add up 64-bit numbers that together need more than 64 bits."""
    if len(sequence) == 0:
        return 0
    first = sequence[0].as_py()
    return first * len(sequence) + pc.sum(pc.subtract(sequence, first)).as_py()


def last_of_each_key(rows: pa.Table, key: list[str]) -> pa.BooleanArray | None:
    """Return which rows are the last of their key, by `_sdc_sequence` and then by position; None if all are.

    Zeros and their negatives are one key, as they are for a database.
    """
    for name in key:
        if pa.types.is_floating(rows.schema.field(name).type):
            rows = rows.set_column(rows.schema.get_field_index(name), name, pc.add(rows[name], 0.0))
    if len(key) == 1 and pc.count_distinct(rows[key[0]], mode="all").as_py() == rows.num_rows:
        return None
    rows = rows.append_column("position", pa.arange(0, rows.num_rows))
    ordered = rows.sort_by([("_sdc_sequence", "ascending"), ("position", "ascending")])
    last = ordered.group_by(key, use_threads=False).aggregate([("position", "last")])["position_last"]
    if len(last) == rows.num_rows:
        return None
    return pc.is_in(rows["position"], value_set=last).combine_chunks()


def _full(error: OSError, folder: Path) -> TransientError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        return TransientError(
            f"no space left for rows that wait for their commit, in {folder}",
            hint="free some space, or set LOCKSTITCH_HOME to a folder on a larger disk; nothing committed is lost",
        )
    return TransientError(f"cannot write to {folder}: {error}", hint="check the folder's disk and rights")
