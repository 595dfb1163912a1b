"""The tables as the engine thinks of them. Heap has none: what is kept is how their columns were typed, and the key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from lockstitch.core.loads import AddColumn, Change, CreateTable, DropKey, RenameColumn, Step
from lockstitch.core.model import Column, Table

_Place = tuple[str, int | None]


def after(tables: Iterable[Table], changes: Sequence[Change], steps: Sequence[Step]) -> list[Table]:
    """Return the tables as a load's changes and steps leave them."""
    known: dict[_Place, Table] = {(table.name, table.version): table for table in tables}
    for change in changes:
        _change(known, change)
    for step in steps:
        _apply(known, step)
    return list(known.values())


def _change(known: dict[_Place, Table], change: Change) -> None:
    match change:
        case CreateTable(name, columns, key, parent, version):
            if version is not None:
                _forget_generations(known, name, version)
            known[name, version] = _table(Table(name, (), key, frozenset(), parent, version), columns)
        case AddColumn(name, column, version):
            table = known[name, version]
            known[name, version] = _table(table, (*table.columns, column))
        case RenameColumn(name, old, new, version):
            table = known[name, version]
            renamed = (replace(one, name=new) if one.name == old else one for one in table.columns)
            known[name, version] = _table(table, renamed)
        case DropKey(name):
            known[name, None] = replace(known[name, None], key=())


def _apply(known: dict[_Place, Table], step: Step) -> None:
    table = known.get((step.table, None))
    if step.action == "publish":
        generation = known.pop((step.table, step.version), None)
        if table is None and generation is not None:
            table = replace(generation, version=None)
    if step.action in ("publish", "replace") and table is not None:
        known[step.table, None] = replace(table, key=step.key)
        _forget_generations(known, step.table, None)


def _forget_generations(known: dict[_Place, Table], name: str, but: int | None) -> None:
    for place in [place for place in known if place[0] == name and place[1] not in (None, but)]:
        del known[place]


def _table(table: Table, columns: Iterable[Column]) -> Table:
    held = tuple(columns)
    return replace(table, columns=held, ours=frozenset(column.name for column in held))
