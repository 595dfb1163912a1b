"""Tables as they must stand: columns with their types, rows, keys. Rules R30 to R34, R50 to R56."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lockstitch.core.model import StitchType
from lockstitch.core.rules import Rules
from lockstitch.testing.model.names import same


class SomeValue:
    """Stands for a value that nobody can foretell: a time of loading, a generated key."""

    def __repr__(self) -> str:
        return "SOME"


SOME: Final = SomeValue()


@dataclass(slots=True)
class ModelColumn:
    """One column. `scale` is that of a decimal, where the destination needs one."""

    name: str
    stitch: StitchType
    scale: int | None = None


@dataclass(slots=True)
class ModelRow:
    """One row: values by column name, nulls left out. `record` numbers the record that it came with."""

    values: dict[str, Any]
    record: int
    sequence: int
    levels: tuple[int, ...] = ()


@dataclass(slots=True)
class ModelTable:
    """One table. `bases` holds, for each source name, the column of each type that arrived for it; `key_types` the
    type of each key.
    """

    name: str
    rules: Rules
    parent: str | None = None
    columns: list[ModelColumn] = field(default_factory=list[ModelColumn])
    bases: dict[str, dict[StitchType, ModelColumn]] = field(default_factory=dict[str, dict[StitchType, ModelColumn]])
    rows: list[ModelRow] = field(default_factory=list[ModelRow])
    key: tuple[str, ...] = ()
    key_types: dict[str, StitchType] = field(default_factory=dict[str, StitchType])
    users: tuple[str, ...] = ()

    def base(self, name: str) -> dict[StitchType, ModelColumn]:
        return self.bases.setdefault(same(name, self.rules), {})

    def named(self, name: str) -> str:
        """Return a name as the table has it: the case of the first that was written."""
        types = self.bases.get(same(name, self.rules))
        if not types:
            return name
        first = next(iter(types.values())).name
        return first[: len(name)]

    def is_users(self, name: str) -> bool:
        return any(same(name, self.rules) == same(user, self.rules) for user in self.users)

    def column_of(self, name: str, stitch: StitchType) -> ModelColumn:
        """Return the column for a source name and a type that has been made."""
        return self.base(name)[stitch]

    def make(self, name: str, stitch: StitchType, scale: int | None = None) -> ModelColumn:
        """Return the column for a source name and a type, making it and splitting the first where needed (R32)."""
        types = self.base(name)
        if stitch in types:
            return types[stitch]
        if not types:
            column = ModelColumn(name, stitch, scale)
        else:
            written = self.named(name)
            first_type, first = next(iter(types.items()))
            if self.rules.split == "rename" and first.name == written:
                self._rename(first, f"{written}__{self.rules.types[first_type].suffix}")
            column = ModelColumn(f"{written}__{self.rules.types[stitch].suffix}", stitch, scale)
        types[stitch] = column
        self.columns.append(column)
        return column

    def _rename(self, column: ModelColumn, name: str) -> None:
        old, column.name = column.name, name
        self.key = tuple(name if part == old else part for part in self.key)
        for row in self.rows:
            if old in row.values:
                row.values[name] = row.values.pop(old)

    def width(self) -> int:
        return len(self.columns) + len(self.users)

    def next_generation(self) -> ModelTable:
        """Return the table with its columns and no rows."""
        empty = copy.deepcopy(self)
        empty.rows = []
        empty.key_types = {}
        return empty

    def held(self, leave_out: Iterable[str] = ()) -> list[Mapping[str, Any]]:
        """Return all rows with all columns, nulls as None."""
        names = [column.name for column in self.columns if column.name not in set(leave_out)]
        return [{name: row.values.get(name) for name in names} for row in self.rows]
