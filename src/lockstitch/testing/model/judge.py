"""What of a record lands: rules R05, R06, R13, R16, R23, R27, R47 and R61 to R64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from lockstitch.core.model import Stream
from lockstitch.core.rules import Rules
from lockstitch.testing.model.names import canonical, same
from lockstitch.testing.model.records import Cell, Flattened, Line
from lockstitch.testing.model.tables import ModelTable
from lockstitch.testing.model.values import Unsupported, Value, decimal_fault, unwrapped, value_of

_KEY_BYTES = 1_024


@dataclass(slots=True)
class Judged:
    """A record: the rows that land, or the faults for which none does. Pairs are (table, reason)."""

    index: int
    lines: list[Line]
    key: dict[str, Value] = field(default_factory=dict[str, Value])
    faults: list[str] = field(default_factory=list[str])
    dropped: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    adjusted: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


class Judge:
    """Judges one record after the other against the tables as they stand at that record."""

    def __init__(self, rules: Rules, stream: Stream, top: ModelTable, tables: Mapping[str, ModelTable]) -> None:
        self._rules = rules
        self._stream = stream
        self._top = top
        self._tables = tables
        self._scales: dict[tuple[str, str], int] = {}

    def judge(self, index: int, fields: Sequence[tuple[str, pa.Scalar]], flat: Flattened) -> Judged:
        """Return what of a record lands, given as its fields and as its flattened rows."""
        judged = Judged(index, [])
        self._arrays(judged, flat)
        gone: set[str] = set()
        for line in flat.lines:
            if not gone.isdisjoint(line.above):
                continue
            if (reason := self._subtable_fault(line)) is not None:
                judged.dropped.add((line.table, reason))
                gone.add(line.table)
            else:
                judged.lines.append(self._line(judged, line))
        for source in self._stream.key:
            self._key(judged, source, [scalar for name, scalar in fields if name == source])
        return judged

    def _arrays(self, judged: Judged, flat: Flattened) -> None:
        sources: dict[str, set[tuple[str, ...]]] = {}
        for table, source in flat.arrays:
            sources.setdefault(same(table, self._rules), set()).add(source)
        for table, _ in flat.arrays:
            if len(sources[same(table, self._rules)]) > 1:
                judged.faults.append(f"Field collision on {self._table_name(table)}")

    def _table_name(self, name: str) -> str:
        known = self._tables.get(same(name, self._rules))
        return known.name if known is not None else name

    def _subtable_fault(self, line: Line) -> str | None:
        """Return why a subtable is dropped (R13)."""
        if not line.levels:
            return None
        if len(line.table) > self._rules.table_name_limit:
            return f"Table name {line.table} is too long for {self._rules.title}"
        for source in self._stream.key:
            name = f"_sdc_source_key_{canonical(source, self._rules.column_name)}"
            if len(name) > self._rules.column_name_limit:
                return f"Column name {name} is too long for {self._rules.title}"
        return None

    # --- cells ---------------------------------------------------------------------------------------------------

    def _line(self, judged: Judged, line: Line) -> Line:
        table = self._tables.get(same(line.table, self._rules))
        kept = Line(line.table, line.levels, line.above)
        by_name: dict[str, list[Cell]] = {}
        for cell in line.cells:
            reason = cell.dropped
            if reason is None and table is not None and table.is_users(cell.name):
                reason = f"Field collision on {cell.name}"
            if reason is not None:
                judged.dropped.add((line.table, reason))
                continue
            by_name.setdefault(same(cell.name, self._rules), []).append(cell)
            kept.cells.append(cell)
        for cells in by_name.values():
            if len(cells) > 1:
                first = min(cells, key=lambda cell: cell.place).name
                name = table.named(first) if table is not None else first
                judged.faults.append(f"Field collision on {name}")
        for cell in kept.cells:
            self._cell(judged, line.table, cell)
        return kept

    def _cell(self, judged: Judged, table: str, cell: Cell) -> None:
        value = cell.value
        assert value is not None
        if value.fault is not None:
            judged.faults.append(value.fault)
        if value.stitch == "number" and (fault := decimal_fault(value.value, self._scale(table, cell), self._rules)):
            judged.faults.append(fault)
        name = self._tables[same(table, self._rules)].named(cell.name) if self._known(table) else cell.name
        judged.adjusted += [(table, f"adjusted: {what} on {name}") for what in value.adjusted]

    def _known(self, table: str) -> bool:
        return same(table, self._rules) in self._tables

    def _scale(self, table: str, cell: Cell) -> int:
        """Return the scale of the column that a decimal goes to: that of the first values, at least 9."""
        assert cell.value is not None
        place = (same(table, self._rules), same(cell.name, self._rules))
        known = self._tables.get(place[0])
        column = known.base(cell.name).get("number") if known is not None else None
        if column is not None and column.scale is not None:
            return column.scale
        return self._scales.get(place, column_scale(cell.value))

    def accept(self, judged: Judged) -> None:
        """Remember what this record has settled for those after it: the scale of new columns, the types of keys."""
        for line in judged.lines:
            for cell in line.cells:
                if cell.value is not None and cell.value.stitch == "number":
                    place = (same(line.table, self._rules), same(cell.name, self._rules))
                    self._scales.setdefault(place, column_scale(cell.value))
        for name, value in judged.key.items():
            self._top.key_types.setdefault(same(name, self._rules), value.stitch)

    # --- keys ----------------------------------------------------------------------------------------------------

    def _key(self, judged: Judged, source: str, found: Sequence[pa.Scalar]) -> None:
        name = canonical(source, self._rules.column_name)
        column = self._top.named(name)
        scalar = unwrapped(found[0]) if found else None
        if scalar is None:
            judged.faults.append(f"Key is null on {column}")
            return
        if isinstance(scalar, pa.ListScalar | pa.StructScalar | pa.MapScalar):
            judged.faults.append(f"Key is no single value on {column}")
            return
        value = value_of(scalar, self._rules)
        if isinstance(value, Unsupported):
            judged.faults.append(f"Column {column} has the unsupported type {value.type}")
            return
        if value.adjusted or (isinstance(value.value, str) and len(value.value.encode()) > _KEY_BYTES):
            judged.faults.append(f"Key cannot be stored on {column}")
        expected = self._top.key_types.get(same(name, self._rules), value.stitch)
        if value.stitch != expected:
            judged.faults.append(
                f"Key of another type on {column}: {value.stitch}, the table has {expected}; "
                "reset the stream to change it"
            )
        judged.key[name] = value


def column_scale(value: Value) -> int:
    """Return the scale of a new column for decimals of this declared scale (R23)."""
    return min(max(value.scale or 0, 9), 38)
