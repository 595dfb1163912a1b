"""Reads one lane, lays its batches out, and cuts what it yields into loads."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lockstitch.core.errors import LockstitchError, TransientError
from lockstitch.core.model import Batch, Checkpoint, Json, Lane, Mark, Message, Publish, Version
from lockstitch.core.points import reach
from lockstitch.engine.events import LaneStarted, Progress, Warned
from lockstitch.engine.plan import rows_appended

if TYPE_CHECKING:
    from lockstitch.engine.load import OpenLoad
    from lockstitch.engine.run import Run, Stop
    from lockstitch.engine.streams import StreamTables


class LaneRun:
    """Reads one lane and cuts it into loads."""

    def __init__(self, run: Run, lane: Lane, mark: Mark | None, *, cautious: bool = False) -> None:
        self.run = run
        self.lane = lane
        self.mark = mark
        self.cautious = cautious
        self.cursor: Json = mark.cursor if mark is not None else None
        self.sequence = max(time.time_ns() // 1_000_000 * 1_000_000, (mark.sequence if mark is not None else 0) + 1)
        #: The published version of each stream; below zero, one of ours that is still being filled.
        self.versions: dict[str, int] = dict(mark.versions) if mark is not None else {}
        self.from_beginning = self.cursor is None
        #: Whether the last message was a checkpoint, and all before it is taken in.
        self.at_checkpoint = False
        self.streams: dict[str, StreamTables] = {}
        self.load: OpenLoad | None = None
        self.read_rows: dict[str, int] = {}
        self.read_bytes: dict[str, int] = {}
        self.remaining: tuple[int, int] | None = None

    def carry(self, stop: Stop) -> None:
        """Read the lane and hand over its loads.

        Where reading fails, what lies before the last checkpoint still lands. If nothing came after it, that is at
        hand; else the rows since the last cut are read again and cut at every checkpoint.
        """
        try:
            self._read(stop)
        except LockstitchError:
            reached = self.mark.cursor if self.mark is not None else None
            if self.cautious or self.cursor == reached or self.run.has_failed(self.lane.name):
                raise
            if self.at_checkpoint:
                self._cut(self.cursor)
                raise
            self.run.look_again()
            again = LaneRun(self.run, self.lane, self.mark, cautious=True)
            again.sequence = self.sequence
            again.carry(stop)

    def _read(self, stop: Stop) -> None:
        started = self.cautious
        if self.from_beginning and self.mark is not None and self.mark.epoch > 1:
            self._replace_all()
        for message in self.run.source.read(self.lane, self.cursor):
            if isinstance(message, Checkpoint) and message.remaining is not None:
                self.remaining = (message.remaining.files, message.remaining.bytes)
            if not started:
                self.run.events(LaneStarted(self.lane.name, self.lane.streams, *(self.remaining or (None, None))))
                started = True
            self.at_checkpoint = False
            self._take(message)
            self.at_checkpoint = isinstance(message, Checkpoint)
            if stop.is_set() and isinstance(message, Checkpoint):
                break
        else:
            self._publish_fills()
        moved = self.cursor != (self.mark.cursor if self.mark is not None else None)
        if moved or (self.load is not None and not self.load.empty):
            self._cut(self.cursor)

    def _take(self, message: Message) -> None:
        match message:
            case Batch():
                self._take_batch(message)
            case Version(stream, number):
                if self.versions.get(stream, 0) < 0:
                    del self.versions[stream]  # the source's own version takes the place of ours
                tables = self._stream(stream)
                if tables.published == number:
                    tables.give_up()  # what comes now are increments of the version that is published already
                elif tables.filling != number:
                    self._begin(tables, number, shown=number)
            case Publish(stream, number):
                tables = self._stream(stream)
                if tables.filling is None and tables.published == number:
                    return
                if tables.filling != number:
                    raise AssertionError(f"{stream} published version {number} while {tables.filling} was being filled")
                self._open_load().publish(tables, message)
                tables.publish()
                self.versions[stream] = number
            case Checkpoint(cursor):
                self._take_checkpoint(cursor)

    def _begin(self, tables: StreamTables, number: int, *, shown: int) -> None:
        tables.begin(number, shown=shown, pending=self.load is not None)
        # Even a version without rows replaces what was there, once it is published.
        self._open_load().section(tables)

    # --- first fills and resets of streams without versions of their own --------------------------------------------

    def _replace_all(self) -> None:
        """After a reset the rows of every stream are replaced, also of those that only a later run comes to.

        Where the source could not bring all of them back, those that come are added, as to version 0.
        """
        number = time.time_ns() // 1_000_000
        for name in self.lane.streams:
            if name in self.run.plan.streams:
                self.versions.setdefault(name, 0 if self.run.plan.streams[name].outlives_reset else -number)

    def _begin_fill(self, stream: str) -> None:
        """A lane that is read from its beginning fills a generation, also where the source speaks of no version."""
        number = time.time_ns() // 1_000_000
        self.versions[stream] = -number
        self._begin(self.streams[stream], number, shown=0)

    def _publish_fills(self) -> None:
        """The source has ended: what was read from the beginning is complete, and after a reset replaces all."""
        for name, version in list(self.versions.items()):
            # One that was deselected meanwhile waits until it is selected again.
            if version < 0 and name in self.run.plan.streams:
                tables = self._stream(name)
                self._open_load().publish(tables, Publish(name, -version))
                tables.publish()
                del self.versions[name]

    # --- rows ------------------------------------------------------------------------------------------------------

    def _take_batch(self, batch: Batch) -> None:
        if batch.rows.num_rows == 0:
            return
        if batch.kind == "patch":
            raise LockstitchError(f"stream {batch.stream} sends patches, which no load can carry yet")
        from datetime import UTC, datetime

        from lockstitch.layout.stream import Moment

        # What nobody sees yet need not wait for a checkpoint: so it is written while more is read.
        if self.load is not None and self.load.is_hidden and not self.load.keyless and self._is_due(self.load):
            self._relieve(self.load)
        tables, load = self._stream(batch.stream), self._open_load()
        if self.from_beginning and tables.filling is None and batch.stream not in self.versions:
            self._begin_fill(batch.stream)
        if batch.stream not in self.read_rows and tables.loses_key:
            self.run.events(Warned(f"{batch.stream}: {rows_appended(tables.plan)}"))
        moment = Moment(datetime.now(UTC), self.sequence, tables.table_version)
        laid = tables.layout.lay_out(batch, moment)
        load.note_read(tables, batch.rows, datetime.now(UTC))
        self.sequence += batch.rows.num_rows
        load.add(tables, laid, guarded=batch.sequence is not None)
        reach("batch spooled")
        self._tell_progress(batch)
        if load.bytes > self.run.limits.spool_bytes:
            self._relieve(load)

    def _tell_progress(self, batch: Batch) -> None:
        rows = self.read_rows[batch.stream] = self.read_rows.get(batch.stream, 0) + batch.rows.num_rows
        size = self.read_bytes[batch.stream] = self.read_bytes.get(batch.stream, 0) + batch.rows.nbytes
        files, left = self.remaining or (None, None)
        self.run.events(Progress(self.lane.name, batch.stream, rows, size, files, left))

    def _take_checkpoint(self, cursor: Json) -> None:
        self.cursor = cursor
        self.run.tell_committed(self.lane)
        if self.load is not None and (self.cautious or self._is_due(self.load)):
            self._cut(cursor)

    def _is_due(self, load: OpenLoad) -> bool:
        """Tell whether a load is to be cut: it is large, or old, or the destination has nothing else to do."""
        limits, enough = self.run.limits, self.run.destination.rules.idle_bytes
        return (
            load.rows >= limits.rows
            or load.bytes >= limits.bytes
            or time.monotonic() - load.since >= limits.seconds
            or (enough is not None and load.bytes >= enough and self.run.loader().is_idle)
        )

    def _relieve(self, load: OpenLoad) -> None:
        """Commit keyed rows under the last checkpoint's cursor: those after it come again, and the key heals it."""
        if load.keyless:
            raise TransientError(
                f"lane {self.lane.name}: {load.bytes} bytes wait for their commit without a checkpoint in sight, and "
                f"{', '.join(sorted(load.keyless))} has no key, so that a part could land twice",
                hint="raise [load] spool_bytes in the pipeline file, or give the stream a key",
            )
        self._cut(self.cursor)

    def _cut(self, cursor: Json) -> None:
        """Hand over what was read, with the cursor that its mark is to have."""
        load = self._open_load()
        before = self.mark
        mark = Mark(
            epoch=before.epoch if before is not None else 1,
            number=(before.number if before is not None else 0) + 1,
            cursor=cursor,
            sequence=self.sequence - 1,
            versions=dict(self.versions),
        )
        ready = load.ready(self.run.plan.connection, self.lane.name, before, mark)
        reach("load cut")
        self.run.loader().submit(ready)
        self.mark, self.load = mark, None

    def _open_load(self) -> OpenLoad:
        if self.load is None:
            from lockstitch.engine.load import OpenLoad

            self.load = OpenLoad(self.run.spool(), self.run.destination.rules, since=time.monotonic())
            for tables in self.streams.values():
                tables.layout.begin_load()
        return self.load

    def _stream(self, name: str) -> StreamTables:
        if name not in self.streams:
            from lockstitch.engine.streams import StreamTables

            plan = self.run.plan.streams[name]
            version = self.versions.get(name, 0)
            stored = self.run.tables()
            if self.from_beginning:
                # All rows come again: what was left of an unfinished version would double those without a key.
                stored = [table for table in stored if table.version is None]
            others = (one.table for one in self.run.plan.streams.values() if one is not plan)
            tables = StreamTables.of(plan, self.run.destination.rules, stored, max(version, 0), others)
            self.streams[name] = tables
            if version < 0:
                self._begin(tables, -version, shown=0)
        return self.streams[name]
