"""One read of a lane, held on disk until it is known what becomes of each row in dlt's load package.

dlt can replace a table by a load package, or merge or append the package's rows; it cannot do two of that to one table,
nor take back a row. A version that is not published must not be seen, and one that is replaces what was read before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile

import pyarrow as pa
import pyarrow.compute as pc

from lockstitch.core.errors import LockstitchError
from lockstitch.core.model import Batch, Checkpoint, Json, Message, Publish, Stream, Version
from lockstitch.dlt.columns import Columns
from lockstitch.engine.spool import last_of_each_key

#: The order in which rows were read: of one key the last one counts.
SEQUENCE = "_sdc_sequence"
#: When a row was seen to be deleted; it tells dlt to delete the row of that key.
DELETED = "_sdc_deleted_at"


class Shelf:
    """Batches on disk, in a file without a name: it goes with the process."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = TemporaryFile(dir=folder)  # noqa: SIM115 - open as long as the shelf is

    def put(self, rows: pa.RecordBatch) -> int:
        """Lay rows down, and return where."""
        place = self._file.seek(0, 2)
        with pa.ipc.new_stream(self._file, rows.schema) as writer:
            writer.write_batch(rows)
        return place

    def get(self, place: int) -> pa.Table:
        self._file.seek(place)
        with pa.ipc.open_stream(self._file) as reader:
            return reader.read_all()

    def close(self) -> None:
        self._file.close()


@dataclass(slots=True)
class _Held:
    """A stream's rows, by their places on the shelf; with `whole` they are all that its table is to have."""

    whole: bool = False
    places: list[int] = field(default_factory=list[int])

    def followed_by(self, later: _Held) -> _Held:
        return later if later.whole else _Held(self.whole, self.places + later.places)


class Package:
    """What one read brought, up to the last checkpoint at which no version was half way.

    `cursor` and `versions` are where reading began, and after `take` where it has come to. A read from the beginning
    brings all rows of its streams.
    """

    def __init__(
        self,
        streams: Mapping[str, tuple[Stream, Columns]],
        shelf: Shelf,
        cursor: Json = None,
        versions: Mapping[str, int] | None = None,
    ) -> None:
        self.cursor = cursor
        self.versions = dict(versions or {})
        self._streams = streams
        self._shelf = shelf
        self._from_beginning = cursor is None
        self._sequence = time.time_ns()
        self._done = {name: _Held(self._from_beginning) for name in streams}
        #: What came since the last checkpoint that counts.
        self._since: dict[str, _Held] = {}
        self._published: dict[str, int] = {}
        #: The versions that are half way, with their rows.
        self._filling: dict[str, tuple[int, _Held]] = {}

    def take(self, message: Message) -> None:
        match message:
            case Batch():
                self._take_batch(message)
            case Version(stream, number):
                if number == self._published.get(stream, self.versions.get(stream)):
                    self._filling.pop(stream, None)
                elif stream not in self._filling or self._filling[stream][0] != number:
                    self._filling[stream] = (number, _Held(whole=True))
            case Publish(stream, number):
                if stream in self._filling:
                    self._since[stream] = self._filling.pop(stream)[1]
                    self._published[stream] = number
            case Checkpoint(cursor):
                if not self._filling:
                    self._settle(cursor)

    def _take_batch(self, batch: Batch) -> None:
        if batch.kind == "patch":
            raise LockstitchError(f"stream {batch.stream} sends patches, which dlt cannot load")
        if batch.rows.num_rows == 0:
            return
        stream, columns = self._streams[batch.stream]
        rows = columns.fitted(batch.rows)
        if stream.key:
            count = rows.num_rows
            rows = rows.append_column(SEQUENCE, pa.arange(self._sequence, self._sequence + count))
            self._sequence += count
            if batch.kind == "delete":
                now = pa.scalar(datetime.now(UTC), pa.timestamp("us", "UTC"))
                rows = rows.append_column(DELETED, pa.repeat(now, count))
        filling = self._filling.get(batch.stream)
        held = filling[1] if filling is not None else self._since.setdefault(batch.stream, _Held())
        held.places.append(self._shelf.put(_with_key(rows, stream.key)))

    def _settle(self, cursor: Json) -> None:
        for stream, later in self._since.items():
            self._done[stream] = self._done[stream].followed_by(later)
        self.versions |= self._published
        self.cursor = cursor
        self._since, self._published = {}, {}

    def replaces(self, stream: str) -> bool:
        """Tell whether the rows are all that the stream's table is to have."""
        return self._done[stream].whole and self.cursor is not None

    def rows(self, stream: str) -> Iterator[pa.Table]:
        """Yield a stream's rows. Those that replace a table come with each key once, and without what is deleted."""
        held = self._done[stream]
        kept = self._last_of_each_key(stream) if held.whole else None
        start = 0
        for place in held.places:
            rows = self._shelf.get(place)
            mask = None if kept is None else kept.slice(start, rows.num_rows)
            start += rows.num_rows
            if mask is not None:
                rows = rows.filter(mask)
            if held.whole and DELETED in rows.schema.names:
                rows = rows.filter(pc.is_null(rows[DELETED])).drop_columns([DELETED])
            if rows.num_rows:
                yield rows

    def _last_of_each_key(self, stream: str) -> pa.BooleanArray | None:
        key = list(self._streams[stream][0].key)
        places = self._done[stream].places
        if not key or not places:
            return None
        keys = pa.concat_tables(self._shelf.get(place).select([*key, SEQUENCE]) for place in places)
        return last_of_each_key(keys, key)


def _with_key(rows: pa.RecordBatch, key: tuple[str, ...]) -> pa.RecordBatch:
    """Say of the key's fields that they are never null, as dlt does."""
    fields = [one.with_nullable(one.name not in key) for one in rows.schema]
    return pa.RecordBatch.from_arrays(rows.columns, schema=pa.schema(fields))
