"""Compares what a destination holds with what the model says, and names every difference."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from lockstitch.core.model import Table
from lockstitch.core.protocols import Destination
from lockstitch.testing.contract.shop import plain
from lockstitch.testing.model.layout import LayoutModel, ModelReject
from lockstitch.testing.model.tables import SOME, ModelTable
from lockstitch.testing.model.values import exact

_SOURCE_KEY = "_sdc_source_key_"


def differences(model: LayoutModel, destination: Destination) -> list[str]:
    """Return what differs between the model and the destination's opened schema, as sentences; [] if nothing does."""
    expected = model.tables()
    stored = {_as_expected(one.name, expected, model): one for one in destination.tables() if one.version is None}
    found = [f"there is no table {name}" for name in expected.keys() - stored.keys()]
    found += [f"there is a table {name}" for name in stored.keys() - expected.keys()]
    held = {name: plain(destination.read_back(table.name)) for name, table in stored.items()}
    for name in sorted(expected.keys() & stored.keys()):
        found += _table(expected[name], stored[name], held[name])
    for name in sorted(stored.keys() & expected.keys()):
        parent = stored[name].parent
        if parent is not None and parent in held:
            found += _children(name, held[name], held[parent], stored[parent].key)
    return [*found, *_rejects(model, plain(destination.read_back(model.rules.rejected_table)))]


def _as_expected(name: str, expected: Iterable[str], model: LayoutModel) -> str:
    """Return how the model spells a table, where case makes no difference.

    Of two spellings that come in one batch the layout takes that of the first column, the model that of the first row.
    """
    if model.rules.case_sensitive:
        return name
    return next((one for one in expected if one.lower() == name.lower()), name)


def _table(model: ModelTable, stored: Table, held: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    expected = {column.name: (column.stitch, column.scale) for column in model.columns}
    actual = {
        column.name: (None, None) if column.type is None else (column.type.stitch, column.type.scale)
        for column in stored.columns
        if column.name not in model.users
    }
    if expected != actual:
        yield f"{model.name}: columns are {_less(actual, expected)}, not {_less(expected, actual)}"
        return
    if set(model.key) != set(stored.key):
        yield f"{model.name}: key is {stored.key}, not {model.key}"
    if model.parent != stored.parent:
        yield f"{model.name}: parent is {stored.parent}, not {model.parent}"
    rows = model.held()
    unknown = {name for row in rows for name, value in row.items() if value is SOME}
    wanted, there = _counted(rows, expected, unknown), _counted(held, expected, unknown)
    for row in (wanted - there).elements():
        yield f"{model.name}: row is missing: {_shown(row)}"
    for row in (there - wanted).elements():
        yield f"{model.name}: row is too many: {_shown(row)}"


def _less(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in left.items() if right.get(name) != value}


def _counted(
    rows: Iterable[Mapping[str, Any]], names: Iterable[str], unknown: set[str]
) -> Counter[tuple[tuple[str, str], ...]]:
    """Count rows; of a column whose value nobody can foretell only whether it is null counts."""

    def one(row: Mapping[str, Any], name: str) -> str:
        return ("null" if row[name] is None else "some") if name in unknown else repr(row[name])

    return Counter(tuple((name, one(row, name)) for name in sorted(names)) for row in rows)


def _shown(row: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name}={value}" for name, value in row if value not in ("None", "null"))


def _children(
    name: str, rows: Sequence[Mapping[str, Any]], parents: Sequence[Mapping[str, Any]], key: Sequence[str]
) -> Iterator[str]:
    """Every row of a subtable came with a row of its top table: same key, same number, same version.

    A key that was split has columns of several types, of which a row fills one.
    """
    own = [column for column in (rows[0] if rows else ()) if column.startswith(_SOURCE_KEY)]
    its = key or [column.removeprefix(_SOURCE_KEY) for column in own]
    shared = ("_sdc_sequence", "_sdc_table_version", "_sdc_batched_at", "_sdc_received_at")

    def place(row: Mapping[str, Any], names: Sequence[str]) -> tuple[Any, ...]:
        values = sorted(repr(row[column]) for column in names if row.get(column) is not None)
        return (*values, *(row[each] for each in shared))

    known = {place(row, its) for row in parents}
    for row in rows:
        if place(row, own) not in known:
            yield f"{name}: row without its parent: {place(row, own)}"


# --- rejects ----------------------------------------------------------------------------------------------------


def _rejects(model: LayoutModel, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    told = [(row["table_name"], row["reason"], json.loads(row["record"])) for row in rows]
    adjusted = [one for one in told if one[1].startswith("adjusted: ")]
    dropped = {(table, reason) for table, reason, _ in told} & model.may_be_dropped
    rejected = [one for one in told if one not in adjusted and (one[0], one[1]) not in dropped]
    for table, reason in model.dropped - dropped:
        yield f"no reject tells: {table}, {reason}"
    yield from _unmatched("reject", model.rejects, rejected)
    yield from _unmatched("adjustment", model.adjusted, adjusted)


def _unmatched(what: str, expected: Sequence[ModelReject], told: Sequence[tuple[str, str, Any]]) -> Iterator[str]:
    left = list(told)
    for reject in expected:
        found = next((one for one in left if _is(reject, one)), None)
        if found is None:
            near = [reason for _, reason, record in told if record.get("row") == reject.record.get("row")]
            yield f"no {what} tells: {reject.table}, {' or '.join(reject.reasons)}, {dict(reject.record)}; told: {near}"
        else:
            left.remove(found)
    for table, reason, record in left:
        yield f"a {what} too many: {table}, {reason}, {record}"


def _is(reject: ModelReject, told: tuple[str, str, Any]) -> bool:
    table, reason, record = told
    if table != reject.table or record.get("row") != reject.record.get("row"):
        return False
    return any(_comparable(reason) == _comparable(one) for one in reject.reasons)


def _comparable(reason: str) -> str:
    """The text of a time or a decimal is the teller's choice; a decimal still has to be the same number."""
    what, _, value = reason.partition(" on ")
    if what.startswith("timestamp out of range"):
        return what
    return f"{what} on {exact(Decimal(value))}" if what.startswith("decimal out of range") else reason
