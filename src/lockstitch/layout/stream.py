"""Lays out one stream: a batch as it came -> rows for the stream's table and subtables, and what had to be rejected."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from lockstitch.core.loads import Reject
from lockstitch.core.model import Batch, StitchType, StreamPlan, Table
from lockstitch.core.rules import Rules
from lockstitch.layout.columns import Columns
from lockstitch.layout.flatten import flatten
from lockstitch.layout.keys import bad_keys, key_type
from lockstitch.layout.names import GENERATED_KEY, canonical, column_fault, table_fault
from lockstitch.layout.records import record_text
from lockstitch.layout.typed import TypedLeaf, TypedRows, collisions, positions, shared_subtables, typed_tables
from lockstitch.layout.values import ARROW_TYPES, TIMESTAMP

BATCHED_AT = "_sdc_batched_at"
DELETED_AT = "_sdc_deleted_at"
EXTRACTED_AT = "_sdc_extracted_at"
RECEIVED_AT = "_sdc_received_at"
SEQUENCE = "_sdc_sequence"
TABLE_VERSION = "_sdc_table_version"

_RANGE_WORDS: dict[StitchType, str] = {"integer": "integer", "number": "decimal", "date": "timestamp"}


@dataclass(frozen=True, slots=True)
class LaidRows:
    """Rows of one table, under their column names. `top_row` tells a subtable row's record, counted in the batch."""

    columns: Columns
    rows: pa.RecordBatch
    top_row: pa.Array | None = None


@dataclass(slots=True)
class Laid:
    """What became of a batch: `count` records landed in `tables` (top table first), `rejected` ones did not.

    `adjusted` counts what landed otherwise than it came: each text that was changed, and each column and subtable that
    was left out. `rejects` has a row for each of both.
    """

    count: int = 0
    rejected: int = 0
    adjusted: int = 0
    tables: list[LaidRows] = field(default_factory=list[LaidRows])
    rejects: list[Reject] = field(default_factory=list[Reject])


@dataclass(frozen=True, slots=True)
class Moment:
    """What the system columns of a batch say."""

    received_at: datetime
    first_sequence: int
    table_version: int


class StreamLayout:
    """Holds what is known of a stream's tables while a run lasts, and lays out its batches one by one.

    With `version` the rows belong to a generation, and `tables` holds what there is of it beside the live tables.
    `taken` are the folded names of tables that are not the stream's.
    """

    def __init__(
        self,
        plan: StreamPlan,
        rules: Rules,
        tables: Iterable[Table],
        version: int | None = None,
        taken: frozenset[str] = frozenset(),
    ) -> None:
        self.plan = plan
        self.rules = rules
        self.version = version
        self.taken = taken
        self.published = False
        self.key = tuple(canonical(name, rules.column_name) for name in plan.key)
        self.tables: dict[str, Columns] = {}
        self._key_types: dict[str, StitchType] = {}
        self._told: set[tuple[str, str]] = set()
        for table in sorted(tables, key=lambda table: table.version is not None):
            if table.version is None or table.version == version:
                self.tables.setdefault(table.name, Columns.of(table, rules)).include(table)
        self._fault = table_fault(plan.table, rules, plan.selected.stream.name) or self._key_fault()
        if version is not None:
            self._resume_key_types()

    def _key_fault(self) -> str | None:
        faults = (column_fault(name, self.rules, source) for name, source in zip(self.key, self.plan.key, strict=True))
        return next((fault for fault in faults if fault is not None), None)

    def _resume_key_types(self) -> None:
        columns = self.tables.get(self.plan.table)
        for name in self.key:
            stitch = columns.typed_as(name) if columns is not None else None
            if stitch is not None:
                self._key_types[name] = stitch

    @property
    def keyed(self) -> bool:
        """Whether rows replace stored ones of their key: the stream has a key, and its table keeps the same (R67)."""
        stored = self.tables.get(self.plan.table)
        if stored is None or self.decides_key:
            return bool(self.key)
        return bool(self.key) and stored.has_key(self.key)

    @property
    def decides_key(self) -> bool:
        """Whether the table gets the stream's key with these rows: those of a version, until one is published empty."""
        return self.version is not None and (not self.published or bool(self._key_types) or not self.key)

    def publish(self) -> None:
        """The version is complete: what comes now are increments. Without rows the table keeps its key."""
        self.published = True
        columns = self.tables.get(self.plan.table)
        if columns is not None and not self._key_types and columns.has_key(self.key):
            for name in self.key:
                stitch = columns.type_of(columns.key_column(name))
                if stitch is not None:
                    self._key_types[name] = stitch

    def parent_key(self, subtable: str) -> tuple[tuple[str, str], ...]:
        """Pair the columns of a subtable that hold its parent's key with that key's columns; () without a key.

        Both may have been split, and at different times: values of one type belong together.
        """
        top, child = self.tables.get(self.plan.table), self.tables.get(subtable)
        if top is None or child is None:
            return ()
        found: list[tuple[str, str]] = []
        for name in self.key:
            its = top.key_column(name)
            stitch = top.type_of(its)
            own = child.find(f"_sdc_source_key_{name}", stitch) if stitch is not None else None
            if its is not None and own is not None:
                found.append((own, its))
        return tuple(found)

    def begin_load(self) -> None:
        """From here on a column that is left out is reported again, once a load."""
        self._told.clear()

    def lay_out(self, batch: Batch, moment: Moment) -> Laid:
        """Lay out a batch. Rows that the destination cannot hold exactly are left out and come back as rejects."""
        laid = Laid()
        rows, sequence = batch.rows, batch.sequence
        fault = self._fault
        if fault is None and batch.kind == "delete" and not self.key:
            fault = f"Delete without a key on {self.plan.table}"
        if fault is not None:
            return self._reject(rows, dict.fromkeys(range(rows.num_rows), fault), laid)
        typed = self._typed(rows, batch)
        bad = self._bad_records(typed, rows)
        self._tell_faults(typed, rows, laid)
        if bad:
            self._reject(rows, bad, laid)
            good = pa.array([index not in bad for index in range(rows.num_rows)])
            rows = rows.filter(good)
            sequence = None if sequence is None else sequence.filter(good)
            typed = self._typed(rows, batch)
        if self._has_too_many_columns(typed):
            return self._reject(rows, dict.fromkeys(range(rows.num_rows), "ERROR: too many columns"), laid)
        laid.count = rows.num_rows
        if laid.count:
            self._note_adjusted(rows, typed, laid)
            self._assemble(typed, batch, sequence, moment, laid)
        return laid

    def expect_deletes(self) -> None:
        """Let the stream's table have `_sdc_deleted_at` from now on (R55, R70)."""
        self.tables[self.plan.table].place(DELETED_AT, "date")

    def _typed(self, rows: pa.RecordBatch, batch: Batch) -> list[TypedRows]:
        if batch.kind == "delete":
            rows = rows.select([name for name in rows.schema.names if name in self.plan.key])
        return typed_tables(flatten(rows), self.plan.table, self.key, self.tables, self.rules, self.taken)

    # --- what cannot be loaded -----------------------------------------------------------------------------------

    def _bad_records(self, typed: Sequence[TypedRows], rows: pa.RecordBatch) -> dict[int, str]:
        """Return the position and the first reason of each record that must be rejected."""
        bad: dict[int, str] = {}
        top = typed[0]
        for source, name in zip(self.plan.key, self.key, strict=True):
            at = rows.schema.get_field_index(source)
            field = None if at < 0 else rows.column(at)
            for index, reason in bad_keys(name, top, field, self._wanted_key_type(name, top), self.rules):
                bad.setdefault(index, reason)
        for table in typed:
            for index, reason in self._out_of_range(table):
                bad.setdefault(table.record_of(index), reason)
            columns = self.tables.get(table.name) or Columns(table.name, self.rules)
            for column, index in collisions(table, columns, self.rules):
                bad.setdefault(table.record_of(index), f"Field collision on {column}")
        for subtable, record in shared_subtables(typed, self.rules):
            bad.setdefault(record, f"Field collision on {subtable}")
        return bad

    def _wanted_key_type(self, name: str, top: TypedRows) -> StitchType | None:
        stored = self.tables.get(self.plan.table)
        if self.version is None and stored is not None and stored.stored and self.keyed:
            return stored.type_of(stored.key_column(name))
        return self._key_types.get(name) or key_type(top.named(name, self.rules))

    def _out_of_range(self, table: TypedRows) -> Iterator[tuple[int, str]]:
        for leaf in table.leaves:
            values = leaf.values
            if values.bad is not None and values.bad_text is not None:
                word = f"{_RANGE_WORDS[values.stitch]} out of range for {self.rules.title}"
                for index in positions(values.bad):
                    yield index, f"{word} on {values.bad_text[index].as_py()}"

    def _has_too_many_columns(self, typed: Sequence[TypedRows]) -> bool:
        for table in typed:
            known = self.tables.get(table.name)
            count = len(known.columns) if known is not None else self._system_columns(table)
            new: set[tuple[str, StitchType]] = {
                (leaf.name, leaf.values.stitch) for leaf in table.leaves if leaf.carried
            }
            count += sum(known is None or known.find(name, stitch) is None for name, stitch in new)
            if count > self.rules.column_limit:
                return True
        return False

    def _system_columns(self, table: TypedRows) -> int:
        """Return how many columns of ours a new table has beside the source's."""
        own_key = 0 if self.key else 1
        return 4 + own_key if table.rows.top_row is None else 4 + max(len(self.key), 1) + len(table.rows.levels)

    def _tell_faults(self, typed: Sequence[TypedRows], rows: pa.RecordBatch, laid: Laid) -> None:
        """Report each column (or subtable) that is left out, once a load, with the first record that carries it."""
        for table in typed:
            for fault in table.faults:
                told = (fault.table, fault.reason)
                if told not in self._told:
                    self._told.add(told)
                    record = self._record(rows, table.record_of(fault.first))
                    laid.rejects.append(Reject(fault.table, fault.reason, record))
                    laid.adjusted += 1

    def _reject(self, rows: pa.RecordBatch, bad: dict[int, str], laid: Laid) -> Laid:
        laid.rejected += len(bad)
        laid.rejects.extend(
            Reject(self.plan.table, reason, self._record(rows, at)) for at, reason in sorted(bad.items())
        )
        return laid

    def _note_adjusted(self, rows: pa.RecordBatch, typed: Sequence[TypedRows], laid: Laid) -> None:
        for table in typed:
            for leaf in table.leaves:
                for adjustment, mask in leaf.values.adjusted:
                    found = positions(mask)
                    laid.adjusted += len(found)
                    reason = f"adjusted: {adjustment} on {leaf.name}"
                    records = (self._record(rows, table.record_of(index)) for index in found)
                    laid.rejects.extend(Reject(table.name, reason, record) for record in records)

    def _record(self, rows: pa.RecordBatch, index: int) -> str:
        return record_text(rows, index, self.rules.record_limit)

    # --- rows for the tables -------------------------------------------------------------------------------------

    def _assemble(
        self, typed: Sequence[TypedRows], batch: Batch, sequence: pa.Array | None, moment: Moment, laid: Laid
    ) -> None:
        top = typed[0]
        count = top.rows.count
        order: pa.Array = (
            sequence if sequence is not None else pa.arange(moment.first_sequence, moment.first_sequence + count)
        )
        columns = self.tables.setdefault(self.plan.table, Columns(self.plan.table, self.rules))
        data = self._placed(columns, top.leaves)
        for name in self.key:
            # Only now, as no rejected row may settle what a key is.
            settled = self._wanted_key_type(name, top)
            if settled is not None:
                self._key_types[name] = settled
        self._add_times(columns, data, count, batch, moment)
        self._add_system(columns, data, count, moment)
        data[columns.place(SEQUENCE, "integer")] = order
        key = self._key_columns(columns)
        if not self.key:
            data[columns.place(GENERATED_KEY, "string")] = random_uuids(count)
        laid.tables.append(LaidRows(columns, _record_batch(columns, data)))
        for child in typed[1:]:
            if not any(fault.name is None for fault in child.faults):
                sources = {f"_sdc_source_key_{name}": data[column] for name, column in key.items()}
                laid.tables.append(self._child(child, sources, order, moment))

    def _key_columns(self, columns: Columns) -> dict[str, str]:
        """Return the column of each key field, and make them the table's key where it is only now being made."""
        if not self.key:
            if self.version is not None:
                columns.key = ()
            return {GENERATED_KEY: GENERATED_KEY}
        if self.version is None and columns.stored and self.keyed:
            return {name: columns.key_column(name) or name for name in self.key}
        placed = {name: columns.place(name, self._key_types[name]) for name in self.key}
        if self.version is not None or not columns.stored:
            columns.key = tuple(placed.values())
        return placed

    def _child(self, child: TypedRows, sources: dict[str, pa.Array], sequence: pa.Array, moment: Moment) -> LaidRows:
        top_row = child.rows.top_row
        levels = {f"_sdc_level_{depth}_id": level for depth, level in enumerate(child.rows.levels)}
        columns = self.tables.setdefault(child.name, Columns(child.name, self.rules))
        columns.parent = self.plan.table
        data = self._placed(columns, child.leaves)
        self._add_system(columns, data, child.rows.count, moment)
        data[columns.place(SEQUENCE, "integer")] = sequence.take(top_row)
        key: list[str] = []
        for name, array in sources.items():
            stitch: StitchType = self._key_types.get(name.removeprefix("_sdc_source_key_")) or _stitch_of(array)
            key.append(columns.place(name, stitch, array.type.scale if stitch == "number" else None))
            data[key[-1]] = array.take(top_row)
        for name, array in levels.items():
            key.append(columns.place(name, "integer"))
            data[key[-1]] = array
        if self.version is not None or not columns.stored:
            columns.key = tuple(key) if self.keyed else ()
        return LaidRows(columns, _record_batch(columns, data), top_row)

    def _placed(self, columns: Columns, leaves: Sequence[TypedLeaf]) -> dict[str, pa.Array]:
        """Give each leaf its column. All-null leaves make no column; of several types for one name, text is last."""
        bounded = self.rules.types["number"].precision is not None
        placed: list[TypedLeaf] = []
        for leaf in sorted(leaves, key=lambda leaf: leaf.values.stitch == "string" and _shares_name(leaf, leaves)):
            stitch = leaf.values.stitch
            if leaf.carried or columns.find(leaf.name, stitch) is not None:
                columns.place(
                    leaf.name, stitch, leaf.values.array.type.scale if bounded and stitch == "number" else None
                )
                placed.append(leaf)
        data: dict[str, pa.Array] = {}
        for leaf in placed:
            # Asked only now, as a later leaf may have split the column of an earlier one.
            name, array = columns.find(leaf.name, leaf.values.stitch) or leaf.name, leaf.values.array
            data[name] = pc.coalesce(data[name], array) if name in data else array
        return data

    def _add_times(self, columns: Columns, data: dict[str, pa.Array], count: int, batch: Batch, moment: Moment) -> None:
        if self.plan.selected.method == "LOG_BASED" or batch.kind == "delete":
            deleted = (batch.extracted_at or moment.received_at) if batch.kind == "delete" else None
            data[columns.place(DELETED_AT, "date")] = pa.repeat(pa.scalar(deleted, TIMESTAMP), count)
        if batch.extracted_at is not None:
            data[columns.place(EXTRACTED_AT, "date")] = pa.repeat(pa.scalar(batch.extracted_at, TIMESTAMP), count)

    def _add_system(self, columns: Columns, data: dict[str, pa.Array], count: int, moment: Moment) -> None:
        columns.place(BATCHED_AT, "date")  # its value is known when the load begins
        data[columns.place(RECEIVED_AT, "date")] = pa.repeat(pa.scalar(moment.received_at, TIMESTAMP), count)
        data[columns.place(TABLE_VERSION, "integer")] = pa.repeat(pa.scalar(moment.table_version, pa.int64()), count)


def _stitch_of(array: pa.Array) -> StitchType:
    if pa.types.is_decimal(array.type):
        return "number"
    found: list[StitchType] = [stitch for stitch, kind in ARROW_TYPES.items() if kind == array.type]
    return found[0]


def _record_batch(columns: Columns, data: dict[str, pa.Array]) -> pa.RecordBatch:
    names = [name for name in columns.columns if name in data]
    return pa.RecordBatch.from_arrays([data[name] for name in names], names=names)


def _shares_name(leaf: TypedLeaf, leaves: Sequence[TypedLeaf]) -> bool:
    return any(other is not leaf and other.name == leaf.name for other in leaves)


def random_uuids(count: int) -> pa.StringArray:
    """Return so many fresh random (version 4) UUIDs as text."""
    raw = bytearray(os.urandom(16 * count))
    raw[6::16] = bytes(byte & 0x0F | 0x40 for byte in raw[6::16])
    raw[8::16] = bytes(byte & 0x3F | 0x80 for byte in raw[8::16])
    digits = raw.hex().encode("ascii")
    text = bytearray(b"-" * (36 * count))
    for source, target in enumerate(at for at in range(36) if at not in (8, 13, 18, 23)):
        text[target::36] = digits[source::32]
    offsets = pa.arange(0, 36 * count + 36, 36).cast(pa.int32())
    return pa.StringArray.from_buffers(count, offsets.buffers()[1], pa.py_buffer(bytes(text)))
