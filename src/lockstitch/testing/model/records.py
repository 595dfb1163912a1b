"""Records: rules R40 to R47. One record becomes cells of its own row and of its subtables' rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lockstitch.core.rules import Rules
from lockstitch.testing.model.names import canonical, column_fault
from lockstitch.testing.model.values import Unsupported, Value, is_text, unwrapped, value_of

#: Where a cell stands in its batch's schema: one number a level, so that comparing places gives the columns' order.
Place = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """A value under its canonical column name; `dropped` tells why the column cannot be made."""

    name: str
    place: Place
    value: Value | None
    dropped: str | None = None


@dataclass(slots=True)
class Line:
    """One row of one table, before names are resolved to columns.

    `levels` are the positions in the arrays above, `above` the tables that it lies in.
    """

    table: str
    levels: tuple[int, ...] = ()
    above: tuple[str, ...] = ()
    cells: list[Cell] = field(default_factory=list[Cell])


@dataclass(slots=True)
class Flattened:
    """All rows of one record, the top table's first; `arrays` tells where each subtable's rows came from."""

    lines: list[Line]
    arrays: list[tuple[str, tuple[str, ...]]] = field(default_factory=list[tuple[str, tuple[str, ...]]])


class Places:
    """Remembers in which order the keys of maps arrived in a batch."""

    def __init__(self) -> None:
        self._keys: dict[Place, dict[str, int]] = {}

    def of_key(self, place: Place, key: str) -> int:
        keys = self._keys.setdefault(place, {})
        return keys.setdefault(key, len(keys))


class Flattener:
    """Flattens the records of one batch. `table` is the canonical name of the top table."""

    def __init__(self, table: str, rules: Rules, places: Places) -> None:
        self._table = table
        self._rules = rules
        self._places = places

    def flatten(self, fields: Sequence[tuple[str, pa.Scalar]]) -> Flattened:
        """Return the rows of a record, given as its fields in their order."""
        top = Line(self._table)
        self._result = Flattened([top])
        for index, (name, scalar) in enumerate(fields):
            self._walk(top, (name,), (index,), scalar)
        return self._result

    def _walk(self, line: Line, path: tuple[str, ...], place: Place, scalar: pa.Scalar) -> None:
        place = (*place, *_branch(scalar))
        found = unwrapped(scalar)
        if found is None:
            return
        if isinstance(found, pa.MapScalar):  # also a ListScalar to Arrow, so it is asked first
            for key, item in _entries(found):
                self._walk(line, (*path, key), (*place, self._places.of_key(place, key)), item)
        elif isinstance(found, pa.ListScalar):
            self._array(line, path, place, found)
        elif isinstance(found, pa.StructScalar):
            for index in range(found.type.num_fields):
                self._walk(line, (*path, found.type.field(index).name), (*place, index), found[index])
        else:
            line.cells.append(self._cell(path or ("value",), place, found))

    def _cell(self, path: tuple[str, ...], place: Place, scalar: pa.Scalar) -> Cell:
        name = canonical("__".join(path), self._rules.column_name)
        dropped = column_fault("__".join(path), name, self._rules)
        value = value_of(scalar, self._rules)
        if isinstance(value, Unsupported):
            return Cell(name, place, None, dropped or f"Column {name} has the unsupported type {value.type}")
        return Cell(name, place, value, dropped)

    def _array(self, line: Line, path: tuple[str, ...], place: Place, scalar: pa.ListScalar) -> None:
        elements = scalar.values
        if elements is None or len(elements) == 0:
            return
        table = canonical("__".join((line.table, *(path or ("value",)))), self._rules.table_name)
        self._result.arrays.append((table, (line.table, *path)))
        for index in range(len(elements)):
            row = Line(table, (*line.levels, index), (*line.above, line.table))
            self._result.lines.append(row)
            self._walk(row, (), place, elements[index])


def _branch(scalar: pa.Scalar) -> Place:
    """Return the place of a union's branch in its order; text comes last (R33)."""
    if not isinstance(scalar, pa.UnionScalar) or not scalar.is_valid:
        return ()
    index = scalar.type.type_codes.index(scalar.type_code)
    return (index + (1_000 if is_text(scalar.type.field(index).type) else 0),)


def _entries(scalar: pa.MapScalar) -> Iterator[tuple[str, Any]]:
    for entry in scalar.values:
        yield str(entry[0].cast(pa.string()).as_py()), entry[1]
