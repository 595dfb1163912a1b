"""Reads how tables stand: PostgreSQL's catalog, with what we remember of them beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from lockstitch.core.model import Column, Table
from lockstitch.destinations.postgres.rules import COLUMN_TYPES
from lockstitch.destinations.postgres.session import Session
from lockstitch.destinations.postgres.sql import STATE, Relation


@dataclass(frozen=True, slots=True)
class Stored:
    """A table or generation as it stands, and where. `constraint` is the name of its key's."""

    relation: Relation
    table: Table
    constraint: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.table.columns)


# Partitions are part of their table; a generated column cannot be written, so it is none of ours.
_COLUMNS = """
SELECT coalesce(generation.table_name, relation.relname::text), generation.version, generation.key, known.parent,
    relation.relname::text, constrained.conname::text, one.attname::text,
    CASE WHEN one.attgenerated = '' THEN format_type(one.atttypid, one.atttypmod) ELSE '' END,
    coalesce(array_position(constrained.conkey, one.attnum), 0)::bigint, ours.column_name IS NOT NULL
FROM pg_class AS relation
JOIN pg_namespace AS place ON place.oid = relation.relnamespace
JOIN pg_attribute AS one ON one.attrelid = relation.oid AND one.attnum > 0 AND NOT one.attisdropped
LEFT JOIN pg_constraint AS constrained ON constrained.conrelid = relation.oid AND constrained.contype = 'p'
LEFT JOIN _lockstitch.generations AS generation
    ON place.nspname = '_lockstitch' AND generation.relation = relation.relname AND generation.schema_name = $1
LEFT JOIN _lockstitch.subtables AS known
    ON known.schema_name = $1 AND known.table_name = coalesce(generation.table_name, relation.relname::text)
LEFT JOIN _lockstitch.columns AS ours
    ON place.nspname = $1 AND ours.schema_name = $1
    AND ours.table_name = relation.relname AND ours.column_name = one.attname
WHERE (place.nspname = $1 OR generation.relation IS NOT NULL)
    AND relation.relkind IN ('r', 'p') AND NOT relation.relispartition
    AND ($2::text IS NULL OR coalesce(generation.table_name, relation.relname::text)
        IN (SELECT jsonb_array_elements_text($2::jsonb)))
ORDER BY relation.relnamespace, relation.relname, one.attnum
"""


def read_tables(session: Session, schema: str, names: Sequence[str] | None = None) -> list[Stored]:
    """Return the schema's tables and their generations, or only those of these names."""
    wanted = None if names is None else json.dumps(list(names))
    rows = session.rows(_COLUMNS, schema, wanted)
    stored = [
        _stored(schema, [_Line(*row) for row in lines])
        for _, lines in groupby(rows, key=lambda row: (row[1] is None, row[4]))
    ]
    return [_with_parent(one, stored) for one in stored]


@dataclass(frozen=True, slots=True)
class _Line:
    """One column of the answer's rows."""

    table: str
    version: int | None
    generation_key: str | None
    parent: str | None
    relation: str
    constraint: str | None
    column: str
    type: str
    key_position: int
    ours: bool


def _stored(schema: str, lines: Sequence[_Line]) -> Stored:
    first = lines[0]
    keyed = sorted((line for line in lines if line.key_position), key=lambda line: line.key_position)
    generation = first.generation_key is not None
    table = Table(
        name=first.table,
        columns=tuple(Column(line.column, COLUMN_TYPES.get(line.type)) for line in lines),
        key=tuple(json.loads(first.generation_key or "[]")) if generation else tuple(line.column for line in keyed),
        ours=frozenset(line.column for line in lines if line.ours or generation),
        parent=first.parent,
        version=first.version,
    )
    return Stored(Relation(STATE if generation else schema, first.relation), table, first.constraint)


def _with_parent(one: Stored, all_tables: Sequence[Stored]) -> Stored:
    """Recognise a subtable that Stitch itself has made: by its columns, and by its parent's name before `__`."""
    table = one.table
    names = {column.name for column in table.columns}
    if table.parent is not None or "_sdc_level_0_id" not in names:
        return one
    others = {other.table.name for other in all_tables if other.table.version is None}
    parents = sorted((name for name in others if table.name.startswith(f"{name}__")), key=len)
    if not parents:
        return one
    found = Table(table.name, table.columns, table.key, table.ours, parents[0], table.version)
    return Stored(one.relation, found, one.constraint)
