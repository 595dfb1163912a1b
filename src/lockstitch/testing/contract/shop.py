"""One database with the schema `shop`, and short words to load into it by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from lockstitch.core.loads import Change, CreateTable, LedgerRow, Load, Step, StepCount
from lockstitch.core.model import Column, ColumnType, Mark, StitchType, Table
from lockstitch.core.protocols import Destination
from lockstitch.core.rules import Rules
from lockstitch.testing.model.values import exact

CONNECTION = "shop-1"
SCHEMA = "shop"
LANE = "lane"

Row = Mapping[str, Any]

#: When all rows of a test were received and batched.
THEN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

SYSTEM: Mapping[str, StitchType] = {
    "_sdc_batched_at": "date",
    "_sdc_received_at": "date",
    "_sdc_sequence": "integer",
    "_sdc_table_version": "integer",
}


@dataclass(frozen=True, slots=True)
class Database:
    """A fresh, empty database. `open` gives one more destination onto it; `sql` is what a user of it would run."""

    open: Callable[[], Destination]
    sql: Callable[[str], Sequence[tuple[Any, ...]]]


def column(rules: Rules, name: str, stitch: StitchType, scale: int = 9) -> Column:
    """Return a column of a Stitch type, in the destination's own type."""
    rule = rules.types[stitch]
    if stitch == "number" and rule.precision is not None:
        return Column(name, ColumnType(stitch, rule.type.native.format(scale=scale), scale))
    return Column(name, rule.type)


def columns(rules: Rules, own: Mapping[str, StitchType], *more: str) -> tuple[Column, ...]:
    """Return columns by name and type, then the system columns, and `more` of those where they belong."""
    system: dict[str, StitchType] = {**SYSTEM, **{name: "date" for name in more}}
    named: dict[str, StitchType] = {**own, **{name: system[name] for name in sorted(system)}}
    return tuple(column(rules, name, kind) for name, kind in named.items())


def arrow_type(kind: ColumnType) -> pa.DataType:
    """Return the Arrow type in which rows for a column of this type come."""
    match kind.stitch:
        case "integer":
            return pa.int64()
        case "boolean":
            return pa.bool_()
        case "date":
            return pa.timestamp("us", "UTC")
        case "double":
            return pa.float64()
        case "number":
            return pa.decimal128(38, 9 if kind.scale is None else kind.scale)
        case "string":
            return pa.string()


def reader(wanted: Sequence[Column], rows: Sequence[Row], size: int = 3) -> pa.RecordBatchReader:
    """Return rows as Arrow batches of `size`, in the columns that any of them carries."""
    carried = [column for column in wanted if any(column.name in row for row in rows)] if rows else list(wanted)
    schema = pa.schema([(column.name, arrow_type(_typed(column))) for column in carried])
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    return pa.RecordBatchReader.from_batches(schema, table.to_batches(max_chunksize=size))


def _typed(column: Column) -> ColumnType:
    if column.type is None:
        raise AssertionError(f"{column.name} has no type of ours")
    return column.type


def plain(batches: Iterable[pa.RecordBatch]) -> list[dict[str, Any]]:
    """Return rows as plain Python: times in microseconds, decimals without trailing zeros, NaN as text; sorted."""
    rows: list[dict[str, Any]] = []
    for batch in batches:
        names = cast("list[str]", batch.schema.names)
        held = [_plain_column(batch.column(index)) for index in range(batch.num_columns)]
        rows += [dict(zip(names, values, strict=True)) for values in zip(*held, strict=True)]
    return sorted(rows, key=repr)


def _plain_column(values: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(values.type):
        values = pc.cast(values, pa.timestamp("us", values.type.tz)).cast(pa.int64())
    return [plain_value(value) for value in values.to_pylist()]


def plain_value(value: Any) -> Any:
    """Return a value such that equal values are equal in Python and print alike."""
    match value:
        case float() if math.isnan(value):
            return "NaN"
        case Decimal():
            return exact(value)
        case datetime():
            return microseconds(value)
        case _:
            return value


def microseconds(time: datetime) -> int:
    """Return microseconds since 1970 UTC."""
    delta = time - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


class Shop:
    """One destination on a database, its mark, and the numbers it gave to rows."""

    def __init__(self, database: Database, lane: str = LANE) -> None:
        self.database = database
        self.lane = lane
        self.destination = database.open()
        self.destination.open(CONNECTION, SCHEMA)
        self.rules = self.destination.rules
        self._sequence = 0

    @property
    def mark(self) -> Mark | None:
        return self.destination.marks(CONNECTION).get(self.lane)

    def next_mark(self, cursor: Any = None) -> Mark:
        """Return the mark that follows the present one."""
        last = self.mark
        if last is None:
            return Mark(1, 1, cursor, self._sequence)
        return Mark(last.epoch, last.number + 1, cursor, max(self._sequence, last.sequence), last.versions)

    def row(self, **values: Any) -> dict[str, Any]:
        """Return a row with its system columns; each has a greater `_sdc_sequence` than the one before."""
        self._sequence += 1
        system = {
            "_sdc_batched_at": THEN,
            "_sdc_received_at": THEN,
            "_sdc_sequence": self._sequence,
            "_sdc_table_version": 0,
        }
        return {**system, **values}

    def columns(self, own: Mapping[str, StitchType], *more: str) -> tuple[Column, ...]:
        return columns(self.rules, own, *more)

    def column(self, name: str, stitch: StitchType) -> Column:
        return column(self.rules, name, stitch)

    def load(
        self,
        *work: tuple[Step, Sequence[Row]],
        changes: Sequence[Change] = (),
        mark: Mark | None = None,
        ledger: Sequence[LedgerRow] = (),
    ) -> list[StepCount]:
        """Commit one load: each step with its rows."""
        after, mark = self.mark, mark or self.next_mark()
        load = Load(CONNECTION, self.lane, tuple(step for step, _ in work), tuple(changes))
        with self.destination.begin(load, after) as writer:
            for step, rows in work:
                if step.action != "publish":
                    writer.write(step, reader(step.columns, rows))
            counts = writer.commit(mark, ledger)
        return list(counts)

    def create(self, table: str, own: Mapping[str, StitchType], key: Sequence[str] = (), *more: str) -> CreateTable:
        """Return the change that makes a table with these columns and the system's."""
        return CreateTable(table, self.columns(own, *more), tuple(key))

    def given(self, table: CreateTable, rows: Sequence[Row]) -> None:
        """Make a table that holds these rows."""
        self.load((Step(table.table, "append", table.columns), rows), changes=[table])

    def table(self, name: str, version: int | None = None) -> Table | None:
        """Return the table, or the generation of it, as the destination tells it."""
        found = [table for table in self.destination.tables() if table.name == name and table.version == version]
        assert len(found) <= 1, f"{name} is told twice"
        return found[0] if found else None

    def held(self, table: str, *names: str) -> list[dict[str, Any]]:
        """Return the table's rows, or these columns of them, as plain Python, sorted."""
        return plain(self.destination.read_back(table, list(names) or None))

    def tuples(self, table: str, *names: str) -> list[tuple[Any, ...]]:
        """Return these columns of the table's rows as tuples, sorted."""
        return sorted((tuple(row[name] for name in names) for row in self.held(table, *names)), key=repr)

    def again(self) -> Shop:
        """Return another destination on the same database, as another process would have it."""
        shop = Shop(self.database, self.lane)
        shop._sequence = self._sequence
        return shop
