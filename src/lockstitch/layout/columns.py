"""What columns a table has and gets: new ones, splits, and the changes that bring the destination there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lockstitch.core.loads import AddColumn, Change, CreateTable, RenameColumn
from lockstitch.core.model import Column, ColumnType, StitchType, Table
from lockstitch.core.rules import Rules
from lockstitch.layout.names import SEPARATOR, fold

_SYSTEM_ORDER = (
    "_sdc_batched_at",
    "_sdc_deleted_at",
    "_sdc_extracted_at",
    "_sdc_received_at",
    "_sdc_sequence",
    "_sdc_table_version",
)


def system_rank(name: str) -> int:
    """Order a new table's columns: the source's, then the system's (docs/layout.md, R50), then key substitutes."""
    if name in _SYSTEM_ORDER:
        return 1 + _SYSTEM_ORDER.index(name)
    return 9 if name.startswith(("_sdc_source_key_", "_sdc_level_", "__sdc_primary_key")) else 0


#: A decimal column keeps at least this many digits after the point where the destination must choose a scale.
LEAST_SCALE = 9


@dataclass(slots=True)
class Columns:
    """The columns that a table has, or will have once the open loads are committed."""

    name: str
    rules: Rules
    key: tuple[str, ...] = ()
    parent: str | None = None
    columns: dict[str, ColumnType | None] = field(default_factory=dict[str, ColumnType | None])
    renamed: dict[str, str] = field(default_factory=dict[str, str])
    used: set[str] = field(default_factory=set[str])
    users: frozenset[str] = frozenset()
    stored: bool = False
    _spelling: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, table: Table, rules: Rules) -> Columns:
        """Return the columns of a table as it stands."""
        users = frozenset(fold(one.name, rules) for one in table.columns if one.name not in table.ours)
        columns = cls(table.name, rules, table.key, table.parent, users=users, stored=table.version is None)
        columns.include(table)
        return columns

    def include(self, table: Table) -> None:
        """Add what a generation of the table has already, the splits that its rows have caused among it."""
        for column in table.columns:
            if self.spelled(column.name) is None:
                self._split_like(column)
                self._put(column.name, column.type)
            if table.version is not None:
                self.used.add(self._spelling[fold(column.name, self.rules)])
        if table.version is not None:
            self.key = table.key

    def _split_like(self, column: Column) -> None:
        base, _, _ = column.name.rpartition(SEPARATOR)
        first = self.spelled(base) if base and self.rules.split == "rename" else None
        kind = self.columns[first] if first is not None else None
        if first is None or kind is None or not self._is_suffixed(column.name, base):
            return
        if self.spelled(self.suffixed(base, kind.stitch)) is None:
            self._rename(first, self.suffixed(first, kind.stitch))

    def _is_suffixed(self, name: str, base: str) -> bool:
        return any(
            fold(name, self.rules) == fold(self.suffixed(base, stitch), self.rules) for stitch in self.rules.types
        )

    def _put(self, name: str, kind: ColumnType | None) -> None:
        self.columns[name] = kind
        self._spelling[fold(name, self.rules)] = name

    def spelled(self, name: str) -> str | None:
        """Return an existing column's own spelling of the name, or None."""
        return self._spelling.get(fold(name, self.rules))

    def is_users(self, name: str) -> bool:
        """Tell whether this is a column of the user's own."""
        return fold(name, self.rules) in self.users

    def suffixed(self, name: str, stitch: StitchType) -> str:
        return f"{name}{SEPARATOR}{self.rules.types[stitch].suffix}"

    def find(self, name: str, stitch: StitchType) -> str | None:
        """Return the existing column that holds the field's values of this type, or None."""
        for candidate in (name, self.suffixed(name, stitch)):
            spelled = self.spelled(candidate)
            kind = self.columns[spelled] if spelled is not None else None
            if kind is not None and kind.stitch == stitch:
                return spelled
        return None

    def key_column(self, name: str) -> str | None:
        """Return the column of the table's key that holds a key field; a split may have moved it (R69)."""
        forms = {
            fold(name, self.rules),
            *(fold(self.suffixed(name, stitch), self.rules) for stitch in self.rules.types),
        }
        return next((column for column in self.key if fold(column, self.rules) in forms), None)

    def has_key(self, names: Sequence[str]) -> bool:
        """Tell whether the table keeps just this key."""
        return len(self.key) == len(names) and all(self.key_column(name) is not None for name in names)

    def type_of(self, column: str | None) -> StitchType | None:
        kind = self.columns.get(column) if column is not None else None
        return kind.stitch if kind is not None else None

    def typed_as(self, name: str) -> StitchType | None:
        """Return the type of the only column that holds the field's values, or None."""
        found: list[StitchType] = [stitch for stitch in self.rules.types if self.find(name, stitch) in self.used]
        return found[0] if len(found) == 1 else None

    def scale_for(self, name: str, stitch: StitchType, declared: int) -> int | None:
        """Return the scale that a decimal must have in the field's column, or None where any is kept."""
        rule = self.rules.types[stitch]
        if rule.precision is None:
            return None
        found = self.find(name, stitch)
        kind = self.columns[found] if found is not None else None
        if kind is not None and kind.scale is not None:
            return kind.scale
        return min(max(declared, LEAST_SCALE), rule.precision)

    def place(self, name: str, stitch: StitchType, scale: int | None = None) -> str:
        """Return the column for the field's values of this type, adding or splitting columns as needed."""
        placed = self.find(name, stitch) or self._add(name, stitch, scale)
        self.used.add(placed)
        return placed

    def _add(self, name: str, stitch: StitchType, scale: int | None) -> str:
        kind = self.type_for(stitch, scale)
        spelled = self.spelled(name)
        if spelled is None and not self._is_split(name):
            self._put(name, kind)
            return name
        first = self.columns[spelled] if spelled is not None else None
        if spelled is not None and first is not None and self.rules.split == "rename":
            self._rename(spelled, self.suffixed(spelled, first.stitch))
        target = self.suffixed(spelled or name, stitch)
        self._put(target, kind)
        return target

    def type_for(self, stitch: StitchType, scale: int | None = None) -> ColumnType:
        """Return the destination's type for a new column."""
        kind = self.rules.types[stitch].type
        if scale is None:
            return kind
        return ColumnType(kind.stitch, kind.native.format(scale=scale), scale)

    def _is_split(self, name: str) -> bool:
        return any(self.spelled(self.suffixed(name, stitch)) is not None for stitch in self.rules.types)

    def _rename(self, old: str, new: str) -> None:
        kind = self.columns[old]
        self.columns = {new if name == old else name: kind for name, kind in self.columns.items()}
        del self._spelling[fold(old, self.rules)]
        self._spelling[fold(new, self.rules)] = new
        self.columns[new] = kind
        self.renamed[old] = new
        if old in self.used:
            self.used = (self.used - {old}) | {new}

    def changes_from(self, base: Table | None, version: int | None = None) -> list[Change]:
        """Return what brings a table (None: there is none yet), or its generation, to the columns in use."""
        if base is None:
            return [CreateTable(self.name, self._in_use(), self.key, self.parent, version)]
        changes: list[Change] = []
        have = {fold(column.name, self.rules) for column in base.columns}
        for old, new in self.renamed.items():
            if fold(old, self.rules) in have and fold(new, self.rules) not in have:
                changes.append(RenameColumn(self.name, old, new, version))
                have.add(fold(new, self.rules))
        missing = (column for column in self._in_use() if fold(column.name, self.rules) not in have)
        return [*changes, *(AddColumn(self.name, column, version) for column in missing)]

    def _in_use(self) -> tuple[Column, ...]:
        """Return the columns that loads write, the source's before the system's, each in the order of its coming."""
        columns = [Column(name, kind) for name, kind in self.columns.items() if name in self.used]
        return tuple(sorted(columns, key=lambda column: system_rank(column.name)))

    def table(self, base: Table | None, version: int | None = None) -> Table:
        """Return the table as it stands once the changes from `base` are made."""
        stood = base.columns if base is not None else ()
        renamed = [Column(self.renamed.get(column.name, column.name), column.type) for column in stood]
        names = {column.name for column in renamed}
        columns = (*renamed, *(column for column in self._in_use() if column.name not in names))
        key = base.key if base is not None else self.key
        ours = frozenset(self.used) | (base.ours if base is not None else frozenset())
        return Table(self.name, columns, key, ours, self.parent, version)
