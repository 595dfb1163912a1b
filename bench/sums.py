"""Sums over a table that tell whether the right values are in the right rows: in Arrow, and as SQL for any database.

Each column has a count of its values and a sum in which each value counts by the lowest bits of its row's key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_KEY_BITS = 1023
_VALUE_BITS = 1048575

#: What a value counts for, by its Arrow type.
_SQL = {
    "string": "(length({0}) + 31 * strpos({0}, '7'))",
    "int64": f"({{0}} & {_VALUE_BITS})",
    "double": "cast({0} * 64 as bigint)",
    "bool": "(case when {0} then 1 else 0 end)",
}


@dataclass(frozen=True, slots=True)
class Sums:
    """What is expected of, or found in, a table: by column its Arrow type, the count of values, and the tied sum."""

    rows: int
    key: str
    columns: Mapping[str, tuple[str, int, int]]

    def as_json(self) -> dict[str, Any]:
        return {"rows": self.rows, "key": self.key, "columns": {name: list(one) for name, one in self.columns.items()}}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Sums:
        return cls(found["rows"], found["key"], {name: tuple(one) for name, one in found["columns"].items()})

    def terms(self) -> list[str]:
        """Return what to select, two terms a column, in SQL that every destination understands."""
        return [
            term
            for name, (kind, _, _) in self.columns.items()
            for term in (f"count({name})", f"sum(({self.key} & {_KEY_BITS}) * {_SQL[kind].format(name)})")
        ]

    def found(self, rows: int, values: Sequence[Any]) -> Sums:
        """Return the sums that a table has by what the terms gave."""
        numbers = [int(value or 0) for value in values]
        pairs = zip(self.columns.items(), numbers[::2], numbers[1::2], strict=True)
        return Sums(rows, self.key, {name: (kind, count, total) for (name, (kind, _, _)), count, total in pairs})


def of_rows(rows: pa.Table, key: str) -> Sums:
    """Return the sums of rows before they are loaded."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def magnitude(column: pa.ChunkedArray) -> pa.ChunkedArray:
        if pa.types.is_string(column.type):
            place = pc.add(pc.find_substring(column, "7"), 1)
            return pc.add(pc.utf8_length(column), pc.multiply(place, 31)).cast(pa.int64())
        if pa.types.is_floating(column.type):
            return pc.multiply(column, 64.0).cast(pa.int64())
        return column.cast(pa.int64()) if pa.types.is_boolean(column.type) else pc.bit_wise_and(column, _VALUE_BITS)

    weight = pc.bit_wise_and(rows[key], _KEY_BITS)
    columns: dict[str, tuple[str, int, int]] = {}
    for name in rows.column_names:
        column = rows[name]
        total = pc.sum(pc.multiply(weight, magnitude(column)), min_count=0).as_py()
        columns[name] = (str(column.type), len(column) - column.null_count, total)
    return Sums(rows.num_rows, key, columns)


def added(parts: Iterable[Sums]) -> Sums:
    """Add up the sums of the parts of one table."""
    first, *others = parts
    rows, columns = first.rows, dict(first.columns)
    for part in others:
        rows += part.rows
        for name, (kind, count, total) in part.columns.items():
            columns[name] = (kind, columns[name][1] + count, columns[name][2] + total)
    return Sums(rows, first.key, columns)
