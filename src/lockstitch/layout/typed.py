"""Gives the leaves of flattened rows their types and names, and finds the columns that cannot be loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from lockstitch.core.rules import Rules
from lockstitch.layout.columns import Columns
from lockstitch.layout.flatten import FlatRows
from lockstitch.layout.names import SEPARATOR, canonical, column_fault, fold, table_fault, table_name
from lockstitch.layout.values import Values, fit_number, to_stitch


@dataclass(frozen=True, slots=True)
class TypedLeaf:
    """A leaf of a table, typed and named."""

    path: tuple[str, ...]
    name: str
    values: Values

    @property
    def carried(self) -> bool:
        """Whether any row has a value here."""
        return self.values.array.null_count < len(self.values.array)


@dataclass(frozen=True, slots=True)
class Fault:
    """A column, or with `name` None a whole subtable, that is left out; `first` is the first row that carries it."""

    table: str
    name: str | None
    reason: str
    first: int


@dataclass(slots=True)
class TypedRows:
    """A table's rows with their leaves typed, and what was left out of them."""

    name: str
    rows: FlatRows
    leaves: list[TypedLeaf]
    faults: list[Fault]

    def record_of(self, index: int) -> int:
        """Return the position in the batch of the record that a row belongs to."""
        return index if self.rows.top_row is None else self.rows.top_row[index].as_py()

    def named(self, name: str, rules: Rules) -> list[TypedLeaf]:
        return [leaf for leaf in self.leaves if fold(leaf.name, rules) == fold(name, rules)]


def typed_tables(
    flat: Sequence[FlatRows],
    top: str,
    key: Sequence[str],
    known: dict[str, Columns],
    rules: Rules,
    taken: frozenset[str] = frozenset(),
) -> list[TypedRows]:
    """Type and name the leaves of all tables. A subtable that cannot be loaded comes as a fault, without leaves.

    `taken` are the folded names of tables that are not the stream's.
    """
    typed: list[TypedRows] = []
    refused: list[tuple[str, ...]] = []
    spelled = {fold(name, rules): name for name in known}
    for rows in flat:
        name = table_name((top, *rows.path), rules) if rows.path else top
        name = spelled.setdefault(fold(name, rules), name)
        if any(rows.path[: len(path)] == path for path in refused):
            continue
        fault = _subtable_fault(name, key, rules, taken) if rows.path else None
        if fault is not None:
            refused.append(rows.path)
            typed.append(TypedRows(name, rows, [], [Fault(name, None, fault, 0)]))
        else:
            typed.append(_typed(name, rows, known.get(name) or Columns(name, rules), rules))
    return typed


def _subtable_fault(name: str, key: Sequence[str], rules: Rules, taken: frozenset[str]) -> str | None:
    fault = table_fault(name, rules, name)
    if fault is not None:
        return fault
    if fold(name, rules) in taken:
        return f"Field collision on {name}"
    sources = (f"_sdc_source_key_{one}" for one in key)
    long = next((one for one in sources if len(one) > rules.column_name_limit), None)
    return None if long is None else f"Column name {long} is too long for {rules.title}"


def _typed(name: str, rows: FlatRows, columns: Columns, rules: Rules) -> TypedRows:
    typed = TypedRows(name, rows, [], [])
    for leaf in rows.leaves:
        source = SEPARATOR.join(leaf.path)
        column = canonical(source, rules.column_name)
        reason = column_fault(column, rules, source)
        if reason is None and columns.is_users(column):
            reason = f"Field collision on {columns.spelled(column)}"
        if reason is None and pa.types.is_interval(leaf.array.type):
            reason = f"Column {column} has the unsupported type {leaf.array.type}"
        if reason is None:
            typed.leaves.append(TypedLeaf(leaf.path, column, to_stitch(leaf.array, rules)))
        elif leaf.array.null_count < len(leaf.array):
            typed.faults.append(Fault(name, column, reason, pc.index(leaf.array.is_valid(), True).as_py()))
    typed.leaves = _fitted(typed.leaves, columns, rules)
    return typed


def _fitted(leaves: Sequence[TypedLeaf], columns: Columns, rules: Rules) -> list[TypedLeaf]:
    """Bring decimals to their column's scale; in a new column all that share it come to the greatest of theirs."""
    scales: dict[str, int] = {}
    for leaf in leaves:
        if leaf.values.stitch == "number":
            name = fold(leaf.name, rules)
            scales[name] = max(scales.get(name, 0), leaf.values.array.type.scale)
    fitted: list[TypedLeaf] = []
    for leaf in leaves:
        if leaf.values.stitch == "number":
            scale = columns.scale_for(leaf.name, "number", scales[fold(leaf.name, rules)])
            leaf = replace(leaf, values=fit_number(leaf.values, rules.types["number"], scale))
        fitted.append(leaf)
    return fitted


def collisions(typed: TypedRows, columns: Columns, rules: Rules) -> Iterator[tuple[str, int]]:
    """Yield the column and row wherever two fields of one row come to one column (R05)."""
    paths: dict[str, dict[tuple[str, ...], list[TypedLeaf]]] = {}
    for leaf in typed.leaves:
        paths.setdefault(fold(leaf.name, rules), {}).setdefault(leaf.path, []).append(leaf)
    for same in (by_path for by_path in paths.values() if len(by_path) > 1):
        leaves = list(same.values())
        name = columns.spelled(leaves[0][0].name) or leaves[0][0].name
        seen = present(leaves[0])
        for other in leaves[1:]:
            for index in positions(pc.and_(seen, present(other))):
                yield name, index
            seen = pc.or_(seen, present(other))


def shared_subtables(typed: Sequence[TypedRows], rules: Rules) -> Iterator[tuple[str, int]]:
    """Yield the subtable and record wherever two arrays of one record come to one subtable (R06)."""
    by_name: dict[str, list[TypedRows]] = {}
    for one in typed[1:]:
        by_name.setdefault(fold(one.name, rules), []).append(one)
    for same in (tables for tables in by_name.values() if len(tables) > 1):
        seen: dict[int, tuple[str, ...]] = {}
        for one in same:
            for record in pc.unique(one.rows.top_row).to_pylist():
                if seen.setdefault(record, one.rows.path) != one.rows.path:
                    yield same[0].name, record


def present(leaves: Sequence[TypedLeaf], count: int = 0) -> pa.BooleanArray:
    """Return which rows carry a value, good or bad, in any of the leaves of one field."""
    found = pa.repeat(pa.scalar(False), len(leaves[0].values.array) if leaves else count)
    for leaf in leaves:
        found = pc.or_(found, leaf.values.array.is_valid())
        if leaf.values.bad is not None:
            found = pc.or_(found, leaf.values.bad)
    return found


def positions(mask: pa.BooleanArray) -> list[int]:
    return pc.indices_nonzero(mask).to_pylist()
