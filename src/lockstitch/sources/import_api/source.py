"""Reads the inbox that the Import API fills: one lane, all its tables, in the order in which requests were accepted."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal

from lockstitch.core.model import (
    Batch,
    Checkpoint,
    Json,
    Lane,
    Message,
    Part,
    Publish,
    Remaining,
    Selected,
    Stream,
    Version,
)
from lockstitch.sources.import_api.cursor import Cursor, read_cursor
from lockstitch.sources.import_api.tables import Tables
from lockstitch.toolkit.inbox.reader import InboxReader
from lockstitch.toolkit.inbox.records import Waiting, read_entry

_log = logging.getLogger(__name__)

LANE = "import_api"

#: A checkpoint comes at the latest after so many bytes of the inbox, or so many rows.
CHECKPOINT_BYTES = 8 * 2**20
CHECKPOINT_ROWS = 50_000


@dataclass(slots=True)
class _Gathered:
    """Rows of one table that go into one batch."""

    extracted_at: datetime | None
    sequences: list[int] = field(default_factory=list[int])
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


class ImportApiSource:
    """An inbox. What is in it when its tables are discovered is read; what comes later is the next run's."""

    new_fields: ClassVar[Literal["add", "report"]] = "add"

    def __init__(self, inbox: InboxReader) -> None:
        self._inbox = inbox
        self._tables: Tables | None = None
        self._end = 0
        self._wanted: dict[str, Selected] = {}

    def check(self) -> None:
        """Raise SourceDataError for an inbox that is damaged; one that does not exist yet is an empty one."""
        self._known()

    def discover(self) -> Sequence[Stream]:
        return [Stream(name, key=key, replication_method="INCREMENTAL") for name, key in self._known().keys.items()]

    def lanes(self, wanted: Sequence[Selected]) -> Sequence[Lane]:
        self._wanted = {one.stream.name: one for one in wanted}
        return [Lane(LANE, tuple(self._wanted))] if wanted else []

    def parts(self, lane: Lane, cursor: Json) -> Sequence[Part]:
        del lane, cursor
        return ()

    def read(self, lane: Lane, cursor: Json) -> Iterator[Message]:
        """Yield what comes after the cursor.

        A table has one key as long as a run lasts. Before an entry that brings another one reading ends, and the
        next run goes on from there.
        """
        del lane
        tables = self._known()
        reading = _Reading(read_cursor(cursor), self._wanted, is_first=cursor is None)
        yield Checkpoint(cursor, self._remaining(reading.cursor))
        yield from reading.resumed()
        keys = {name: selected.stream.key for name, selected in self._wanted.items()}
        for position, payload in self._inbox.read(reading.cursor.position):
            if position > self._end:
                break
            entry = read_entry(payload)
            changed = next((one for one in entry if one.key not in (None, keys.get(one.table, one.key))), None)
            if changed is not None and changed.key is not None:
                tables.change(changed.table, changed.key, reading.cursor.position)
                break
            if reading.must_pause(entry):
                break
            yield from reading.take(entry)
            reading.cursor.position = position
            reading.bytes += len(payload)
            if reading.bytes >= CHECKPOINT_BYTES or reading.count >= CHECKPOINT_ROWS:
                yield from reading.handed_on()
                yield Checkpoint(reading.cursor.to_json(), self._remaining(reading.cursor))
        yield from reading.handed_on()
        moved = reading.cursor.position > 0
        yield Checkpoint(reading.cursor.to_json() if moved else cursor, self._remaining(reading.cursor))

    def _remaining(self, cursor: Cursor) -> Remaining:
        left = self._inbox.size(cursor.position) - self._inbox.size(self._end)
        return Remaining(0, max(left, 0))

    def committed(self, lane: Lane, cursor: Json) -> None:
        del lane
        self._inbox.trim(read_cursor(cursor).position)

    def close(self) -> None:
        self._inbox.close()

    def _known(self) -> Tables:
        """Look at what waits in the inbox, once: its tables must be known before it is read."""
        if self._tables is None:
            tables = Tables(self._inbox)
            tables.look(self._unread())
            self._tables = tables
        return self._tables

    def _unread(self) -> Iterator[tuple[int, list[Waiting]]]:
        for position, payload in self._inbox.read(self._inbox.committed()):
            self._end = position
            yield position, read_entry(payload)


class _Reading:
    """Turns entries into messages; rows of many small requests go into one batch a table."""

    def __init__(self, cursor: Cursor, wanted: dict[str, Selected], *, is_first: bool) -> None:
        self.cursor = cursor
        self.bytes = self.count = 0
        self._is_first = is_first
        self._wanted = wanted
        self._gathered: dict[str, _Gathered] = {}

    def resumed(self) -> Iterator[Message]:
        """Yield the versions that are being filled."""
        yield from (Version(table, number) for table, number in self.cursor.filling.items() if table in self._wanted)

    def must_pause(self, entry: Sequence[Waiting]) -> bool:
        """Tell whether a table without versions gets its first one here while its own first fill is not complete."""
        return self._is_first and any(one.version and self.cursor.shown.get(one.table) == 0 for one in entry)

    def take(self, entry: Sequence[Waiting]) -> Iterator[Message]:
        for records in entry:
            if records.table in self._wanted:
                yield from self._take_records(records)

    def _take_records(self, records: Waiting) -> Iterator[Message]:
        table, version = records.table, records.version
        move = self.cursor.move(table, version)
        if move == "late":
            _log.warning("%s: left out records of version %s, as a later one came before them", table, version)
            return
        if move != "same" and version is not None:
            yield from self._handed_on(table)
            yield Version(table, version)
            if move == "first":
                yield Publish(table, version)
        sequences, rows = records.decoded()
        if rows:
            gathered = self._gathered.get(table)
            if gathered is not None and gathered.extracted_at != records.extracted_at:
                yield from self._handed_on(table)
                gathered = None
            if gathered is None:
                gathered = self._gathered[table] = _Gathered(records.extracted_at)
            gathered.sequences += sequences
            gathered.rows += rows
            self.count += len(rows)
        if records.publish and version is not None and self.cursor.publish(table, version):
            yield from self._handed_on(table)
            yield Publish(table, version)

    def handed_on(self) -> Iterator[Batch]:
        """Yield all rows gathered since the last checkpoint."""
        for table in list(self._gathered):
            yield from self._handed_on(table)
        self.bytes = self.count = 0

    def _handed_on(self, table: str) -> Iterator[Batch]:
        gathered = self._gathered.pop(table, None)
        if gathered is None:
            return
        import pyarrow as pa

        from lockstitch.toolkit.values import batch_of

        rows = batch_of(gathered.rows, self._wanted[table].wants)
        sequence = pa.array(gathered.sequences, pa.int64())
        yield Batch(table, rows, sequence=sequence, extracted_at=gathered.extracted_at)
