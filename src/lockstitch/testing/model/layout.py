"""The model itself: takes a source's messages one by one and keeps what every table must hold then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from lockstitch.core.model import Batch, Checkpoint, Message, Publish, StitchType, Stream, Version
from lockstitch.core.rules import Rules
from lockstitch.testing.model.judge import Judge, Judged, column_scale
from lockstitch.testing.model.names import canonical, column_fault, same, table_fault
from lockstitch.testing.model.records import Flattener, Line, Place, Places
from lockstitch.testing.model.tables import SOME, ModelRow, ModelTable
from lockstitch.testing.model.values import Value, unwrapped

Fields = Sequence[tuple[str, pa.Scalar]]

#: System columns stand behind all source columns of a new table.
_SYSTEM_PLACE: Place = (1_000_000,)
_TOO_MANY = "ERROR: too many columns"


@dataclass(frozen=True, slots=True)
class ModelReject:
    """A record that is rejected, for one of these reasons, or a value that was adjusted."""

    table: str
    reasons: tuple[str, ...]
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of a row on its way to a column: the column's source name and type, and where it stands."""

    name: str
    value: Value
    place: Place


@dataclass(slots=True)
class StreamState:
    """Where a stream stands: its tables, and those of the version that is being filled."""

    stream: Stream
    table: str
    tables: dict[str, ModelTable] = field(default_factory=dict[str, ModelTable])
    published: int = 0
    filling: int | None = None
    generation: dict[str, ModelTable] = field(default_factory=dict[str, ModelTable])

    @property
    def target(self) -> dict[str, ModelTable]:
        return self.tables if self.filling is None else self.generation


class LayoutModel:
    """What the tables of these streams must hold after the messages taken so far.

    `rejects` are records, `adjusted` values, `dropped` pairs of table and reason that must be in `_sdc_rejected`;
    `may_be_dropped` adds the pairs that only rejected records carry. `users` names the users' own columns by table.
    """

    def __init__(
        self, rules: Rules, streams: Iterable[Stream], users: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.rules = rules
        self.rejects: list[ModelReject] = []
        self.adjusted: list[ModelReject] = []
        self.dropped: set[tuple[str, str]] = set()
        self.may_be_dropped: set[tuple[str, str]] = set()
        self._users = users or {}
        self._states = {each.name: StreamState(each, canonical(each.name, rules.table_name)) for each in streams}
        self._records = 0

    def tables(self) -> dict[str, ModelTable]:
        """Return all tables that users can see, by name."""
        found = [table for state in self._states.values() for table in state.tables.values() if table.columns]
        return {table.name: table for table in found}

    def take(self, *messages: Message) -> None:
        """Bring the tables to where they must be once these messages are committed."""
        for message in messages:
            match message:
                case Batch():
                    self._batch(self._states[message.stream], message)
                case Version():
                    self._begin(self._states[message.stream], message.number)
                case Publish():
                    self._publish(self._states[message.stream], message)
                case Checkpoint():
                    pass

    # --- versions (R68 to R70) -----------------------------------------------------------------------------------

    def _begin(self, state: StreamState, number: int) -> None:
        if number == state.published:
            state.filling = None
        elif number != state.filling:
            state.filling = number
            state.generation = {name: table.next_generation() for name, table in state.tables.items()}

    def _publish(self, state: StreamState, message: Publish) -> None:
        if message.number != state.filling:
            return
        old = self._top(state, state.tables)
        new = self._top(state, state.generation)
        state.tables, state.generation = state.generation, {}
        state.published, state.filling = message.number, None
        if message.missing == "mark_deleted" and old.key:
            new.make("_sdc_deleted_at", "date")
        if not new.rows:
            new.key, new.key_types = old.key, old.key_types
        if message.missing == "mark_deleted" and new.key and new.key == old.key:
            self._keep_missing(old, new)

    def _keep_missing(self, old: ModelTable, new: ModelTable) -> None:
        present = {_key_of(row, new.key) for row in new.rows}
        kept = {*new.key, "_sdc_batched_at", "_sdc_received_at", "_sdc_sequence", "_sdc_table_version"}
        for row in old.rows:
            if _key_of(row, old.key) not in present:
                deleted_at = new.make("_sdc_deleted_at", "date").name
                values = {name: value for name, value in row.values.items() if name in kept}
                values[deleted_at] = row.values.get(deleted_at, SOME)
                new.rows.append(ModelRow(values, row.record, row.sequence))

    def _top(self, state: StreamState, tables: dict[str, ModelTable]) -> ModelTable:
        return self._table(state, tables, state.table)

    def _table(self, state: StreamState, tables: dict[str, ModelTable], name: str) -> ModelTable:
        parent = None if name == state.table else state.table
        users = tuple(self._users.get(name, ()))
        return tables.setdefault(same(name, self.rules), ModelTable(name, self.rules, parent, users=users))

    # --- batches -------------------------------------------------------------------------------------------------

    def _batch(self, state: StreamState, batch: Batch) -> None:
        records = [_fields(batch.rows, index) for index in range(batch.rows.num_rows)]
        if fault := self._fault_of_all(state, batch):
            for record in records:
                self._reject(state, [fault], record)
            return
        if state.filling is None:
            self._compare_keys(state)
        judged = self._judged(state, batch, records)
        rows = [(one, [(line, self._entries(state, batch, one, line)) for line in one.lines]) for one in judged]
        too_wide = self._too_wide(state, [pair for _, pairs in rows for pair in pairs])
        if state.table in too_wide:
            for one in judged:
                self._reject(state, [_TOO_MANY], records[one.index])
            return
        self.dropped |= {(table, _TOO_MANY) for table in too_wide}
        self._make(state, [pair for _, pairs in rows for pair in pairs if pair[0].table not in too_wide])
        for _, pairs in rows:
            landing = [pair for pair in pairs if pair[0].table not in too_wide]
            self._store(state, landing, guarded=batch.sequence is not None)

    def _fault_of_all(self, state: StreamState, batch: Batch) -> str | None:
        """Return why no record of the batch can land, if so (R04, R09, R12, R15, R72)."""
        if fault := table_fault(state.stream.name, state.table, self.rules):
            return fault
        for source in state.stream.key:
            if fault := column_fault(source, canonical(source, self.rules.column_name), self.rules):
                return fault
        if batch.kind == "delete" and not state.stream.key:
            return f"Delete without a key on {state.table}"
        return None

    def _compare_keys(self, state: StreamState) -> None:
        """Forget the table's key where the source has another one (R67)."""
        top = self._top(state, state.tables)
        if not top.columns:
            return
        wanted = {same(canonical(source, self.rules.column_name), self.rules) for source in state.stream.key}
        if wanted != set(top.key_types) or not top.key:
            for table in state.tables.values():
                table.key = ()
            top.key_types = {name: stitch for name, stitch in top.key_types.items() if name in wanted}
            for name in wanted - set(top.key_types):
                if types := top.base(name):
                    top.key_types[name] = next(iter(types))

    def _judged(self, state: StreamState, batch: Batch, records: Sequence[Fields]) -> list[Judged]:
        judge = Judge(self.rules, state.stream, self._top(state, state.target), state.target)
        flattener = Flattener(state.table, self.rules, Places())
        accepted: list[Judged] = []
        for index, record in enumerate(records):
            of_key = [pair for pair in record if pair[0] in state.stream.key]
            wanted = of_key if batch.kind == "delete" else record
            judged = judge.judge(index, wanted, flattener.flatten(wanted))
            self.may_be_dropped |= judged.dropped
            if judged.faults:
                self._reject(state, judged.faults, record)
                continue
            judge.accept(judged)
            accepted.append(judged)
            self.dropped |= judged.dropped
            self.adjusted += [ModelReject(table, (reason,), _readable(record)) for table, reason in judged.adjusted]
        return accepted

    def _reject(self, state: StreamState, reasons: Sequence[str], record: Fields) -> None:
        self.rejects.append(ModelReject(state.table or state.stream.name, tuple(reasons), _readable(record)))

    # --- rows ----------------------------------------------------------------------------------------------------

    def _entries(self, state: StreamState, batch: Batch, judged: Judged, line: Line) -> list[Entry]:
        """Return all values of a row, those of its system columns behind the others in the order of R50."""
        entries = [Entry(cell.name, cell.value, cell.place) for cell in line.cells if cell.value is not None]
        system = self._system(state, batch, judged.index, line)
        if line.levels:
            top = self._top(state, state.target)
            system += [(f"_sdc_source_key_{top.named(name)}", value) for name, value in judged.key.items()]
            if not state.stream.key:
                system.append(("_sdc_source_key___sdc_primary_key", Value("string", SOME)))
            system += [(f"_sdc_level_{n}_id", Value("integer", at)) for n, at in enumerate(line.levels)]
        elif not state.stream.key:
            system.append(("__sdc_primary_key", Value("string", SOME)))
        return entries + [Entry(name, value, (*_SYSTEM_PLACE, n)) for n, (name, value) in enumerate(system)]

    def _system(self, state: StreamState, batch: Batch, index: int, line: Line) -> list[tuple[str, Value]]:
        extracted = None if batch.extracted_at is None else _micros(batch.extracted_at)
        found: list[tuple[str, Value]] = [("_sdc_batched_at", Value("date", SOME))]
        if not line.levels:
            if batch.kind == "delete":
                found.append(("_sdc_deleted_at", Value("date", SOME if extracted is None else extracted)))
            elif state.stream.replication_method == "LOG_BASED":
                found.append(("_sdc_deleted_at", Value("date", None)))
            if extracted is not None:
                found.append(("_sdc_extracted_at", Value("date", extracted)))
        sequence = SOME if batch.sequence is None else batch.sequence[index].as_py()
        version = state.published if state.filling is None else state.filling
        return [
            *found,
            ("_sdc_received_at", Value("date", SOME)),
            ("_sdc_sequence", Value("integer", sequence)),
            ("_sdc_table_version", Value("integer", version)),
        ]

    def _too_wide(self, state: StreamState, rows: Sequence[tuple[Line, list[Entry]]]) -> set[str]:
        """Return the tables that these rows would bring over the limit of columns (R14)."""
        wanted: dict[str, set[tuple[str, StitchType]]] = {}
        for line, entries in rows:
            pairs = wanted.setdefault(line.table, set())
            pairs |= {(same(entry.name, self.rules), entry.value.stitch) for entry in entries}
        found: set[str] = set()
        for name, pairs in wanted.items():
            table = self._table(state, state.target, name)
            new = sum(1 for base, stitch in pairs if stitch not in table.base(base))
            if table.width() + new > self.rules.column_limit:
                found.add(name)
        return found

    def _make(self, state: StreamState, rows: Sequence[tuple[Line, list[Entry]]]) -> None:
        """Make the columns that the rows need, in their order, and the keys of new tables."""
        by_table: dict[str, list[Entry]] = {}
        for line, entries in rows:
            by_table.setdefault(line.table, []).extend(entries)
        for name, entries in by_table.items():
            table = self._table(state, state.target, name)
            is_new = not table.columns or (state.filling is not None and not table.rows)
            entries.sort(key=lambda entry: entry.place)
            for base in dict.fromkeys(same(entry.name, self.rules) for entry in entries):
                of_base = [entry for entry in entries if same(entry.name, self.rules) == base]
                for entry in sorted(of_base, key=lambda entry: entry.value.stitch == "string"):
                    table.make(entry.name, entry.value.stitch, self._scale(entry.value))
            if is_new:
                self._set_key(state, table, entries)

    def _scale(self, value: Value) -> int | None:
        bounded = self.rules.types["number"].precision is not None
        return column_scale(value) if value.stitch == "number" and bounded else None

    def _set_key(self, state: StreamState, table: ModelTable, entries: Sequence[Entry]) -> None:
        """Give a new table, or a new generation, the source's key."""
        top = self._top(state, state.target)
        if table.parent is None:
            names = [canonical(source, self.rules.column_name) for source in state.stream.key]
            table.key = tuple(table.base(name)[table.key_types[same(name, self.rules)]].name for name in names)
        elif top.key:
            source = [entry for entry in entries if entry.name.startswith(("_sdc_source_key_", "_sdc_level_"))]
            table.key = tuple(dict.fromkeys(table.base(e.name)[e.value.stitch].name for e in source))

    def _store(self, state: StreamState, rows: Sequence[tuple[Line, list[Entry]]], *, guarded: bool) -> None:
        """Put the rows of one record where they belong; an upsert takes the stored row and its children away."""
        self._records += 1
        made: list[tuple[ModelTable, ModelRow]] = []
        for line, entries in rows:
            table = self._table(state, state.target, line.table)
            values = {
                table.base(entry.name)[entry.value.stitch].name: entry.value.value
                for entry in entries
                if entry.value.value is not None
            }
            sequence = values["_sdc_sequence"]
            made.append((table, ModelRow(values, self._records, 0 if sequence is SOME else sequence)))
        top, row = made[0]
        stored = next((old for old in top.rows if top.key and _key_of(old, top.key) == _key_of(row, top.key)), None)
        if stored is not None:
            if guarded and stored.sequence > row.sequence:
                return
            for table in state.target.values():
                table.rows = [old for old in table.rows if old.record != stored.record]
        for table, one in made:
            table.rows.append(one)


def _fields(rows: pa.RecordBatch, index: int) -> Fields:
    return [(rows.schema.field(n).name, rows.column(n)[index]) for n in range(rows.num_columns)]


def _readable(record: Fields) -> dict[str, Any]:
    """Return the whole numbers of a record, by which a test finds it again."""
    found = {name: unwrapped(scalar) for name, scalar in record}
    return {
        name: scalar.as_py()
        for name, scalar in found.items()
        if scalar is not None and pa.types.is_integer(scalar.type)
    }


def _key_of(row: ModelRow, key: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row.values.get(name) for name in key)


def _micros(time: datetime) -> int:
    delta = time - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
