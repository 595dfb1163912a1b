"""The SQL text of what we do to tables. Identifiers are always quoted; nothing here runs anything.

Syntax of PostgreSQL 13: ON CONFLICT, no MERGE.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lockstitch.core.model import Column
from lockstitch.destinations.postgres.rules import native_type

#: Our own schema, for all that is not the user's.
STATE = "_lockstitch"
SEQUENCE = "_sdc_sequence"
DELETED_AT = "_sdc_deleted_at"

#: What a row that is only marked as deleted keeps, beside its key.
SYSTEM = ("_sdc_batched_at", "_sdc_received_at", SEQUENCE, "_sdc_table_version")


class Relation(NamedTuple):
    """A table's schema and name; as text it is quoted."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"


def quoted(name: str) -> str:
    """Return an identifier as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQL, for the few places that take no parameter."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def listed(names: Iterable[str]) -> str:
    return ", ".join(quoted(name) for name in names)


def create_table(relation: Relation, columns: Sequence[Column], *, temporary: bool = False) -> str:
    """Columns of a type that we never write are left out: only others can have made them."""
    typed = ", ".join(f"{quoted(one.name)} {native_type(one.type)}" for one in columns if one.type is not None)
    if temporary:
        return f"CREATE TEMPORARY TABLE {relation} ({typed}) ON COMMIT DROP"
    return f"CREATE TABLE {relation} ({typed})"


def add_column(relation: Relation, column: Column) -> str:
    assert column.type is not None
    return f"ALTER TABLE {relation} ADD COLUMN {quoted(column.name)} {native_type(column.type)}"


def rename_column(relation: Relation, old: str, new: str) -> str:
    return f"ALTER TABLE {relation} RENAME COLUMN {quoted(old)} TO {quoted(new)}"


def move_table(relation: Relation, target: Relation) -> tuple[str, str]:
    """Give a table of ours, by a name that no other table can have, its place among the user's."""
    moved = Relation(target.schema, relation.name)
    return (
        f"ALTER TABLE {relation} SET SCHEMA {quoted(target.schema)}",
        f"ALTER TABLE {moved} RENAME TO {quoted(target.name)}",
    )


def add_key(relation: Relation, key: Sequence[str]) -> str:
    """PostgreSQL names the constraint `<table>_pkey` by itself, cut to its 63 bytes, and makes its columns NOT NULL."""
    return f"ALTER TABLE {relation} ADD PRIMARY KEY ({listed(key)})"


def drop_key(relation: Relation, constraint: str, key: Sequence[str]) -> str:
    """Forget a key; its columns may be NULL from now on."""
    nullable = ", ".join(f"ALTER COLUMN {quoted(name)} DROP NOT NULL" for name in key)
    return f"ALTER TABLE {relation} DROP CONSTRAINT {quoted(constraint)}, {nullable}"


def add_key_to_latest(relation: Relation, key: Sequence[str]) -> str:
    """Add a key; where rows share one, keep those of the greatest sequence first, the last arrived among equals.

    Tells the number of rows removed in the setting `lockstitch.removed`. The common case pays for no search.
    """
    places = f"row_number() OVER (PARTITION BY {listed(key)} ORDER BY {quoted(SEQUENCE)} DESC NULLS LAST, ctid DESC)"
    body = f"""
        DECLARE
            removed bigint := 0;
        BEGIN
            BEGIN
                {add_key(relation, key)};
            EXCEPTION WHEN unique_violation THEN
                DELETE FROM {relation} WHERE ctid IN (
                    SELECT line FROM (SELECT ctid AS line, {places} AS place FROM {relation}) AS ranked WHERE place > 1
                );
                GET DIAGNOSTICS removed = ROW_COUNT;
                {add_key(relation, key)};
            END;
            PERFORM set_config('lockstitch.removed', removed::text, true);
        END"""
    return f"DO {literal(body)}"


def pages_of(relation: Relation) -> str:
    """Tell how many pages the relation has; NULL before PostgreSQL 14, which cannot search from one on."""
    return (
        "SELECT CASE WHEN current_setting('server_version_num')::int >= 140000"
        f" THEN pg_relation_size({literal(str(relation))}) / current_setting('block_size')::int END"
    )


def count_from(relation: Relation, page: int) -> str:
    """Count the rows from a page on."""
    return f"SELECT count(*) FROM {relation} WHERE ctid >= '({page},0)'"


def insert_rows(target: Relation, source: Relation, columns: Sequence[str]) -> str:
    return f"INSERT INTO {target} ({listed(columns)}) SELECT {listed(columns)} FROM {source}"


@dataclass(frozen=True, slots=True)
class Upsert:
    """Rows of `source` that replace those of `target` with the same key.

    `cleared` columns become NULL in replaced rows. `guarded`: a row of a greater sequence is not replaced. `ordered`:
    rows go in by key, so that each page of a large table is visited once (measured: 0.8 of the time).
    """

    target: Relation
    source: Relation
    columns: Sequence[str]
    key: Sequence[str]
    cleared: Sequence[str] = ()
    guarded: bool = False
    ordered: bool = False


def upsert_rows(upsert: Upsert) -> str:
    """Returns how many rows were inserted and updated."""
    columns, key, sequence = listed(upsert.columns), listed(upsert.key), quoted(SEQUENCE)
    others = [name for name in upsert.columns if name not in upsert.key] or upsert.key[:1]
    sets = [f"{quoted(name)} = excluded.{quoted(name)}" for name in others]
    sets += [f"{quoted(name)} = NULL" for name in upsert.cleared]
    order = f" ORDER BY {key}" if upsert.ordered else ""
    guard = f" WHERE (stored.{sequence} > excluded.{sequence}) IS NOT TRUE" if upsert.guarded else ""
    return (
        f"WITH merged AS ("
        f"INSERT INTO {upsert.target} AS stored ({columns}) SELECT {columns} FROM {upsert.source}{order}"
        f" ON CONFLICT ({key}) DO UPDATE SET {', '.join(sets)}{guard}"
        f" RETURNING xmax = 0 AS is_new"
        f") SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM merged"
    )


def delete_superseded(source: Relation, target: Relation, key: Sequence[str]) -> str:
    """Remove from a stage the rows that a guarded upsert has left out."""
    sequence = quoted(SEQUENCE)
    return (
        f"DELETE FROM {source} AS sent USING {target} AS stored"
        f" WHERE {same_key('sent', 'stored', [(name, name) for name in key])} AND stored.{sequence} > sent.{sequence}"
    )


def delete_children(child: Relation, parents: Relation, pairs: Sequence[tuple[str, str]]) -> str:
    """Returns the number of rows deleted."""
    return (
        f"WITH removed AS (DELETE FROM {child} AS child USING {parents} AS parent"
        f" WHERE {same_key('child', 'parent', pairs)} RETURNING 1) SELECT count(*) FROM removed"
    )


def insert_children(
    child: Relation,
    source: Relation,
    columns: Sequence[str],
    parents: Relation,
    pairs: Sequence[tuple[str, str]],
) -> str:
    """Insert the rows of a subtable whose parents landed; returns their number."""
    return (
        f"WITH added AS ({insert_rows(child, source, columns)} AS child"
        f" WHERE EXISTS (SELECT FROM {parents} AS parent WHERE {same_key('child', 'parent', pairs)})"
        f" RETURNING 1) SELECT count(*) FROM added"
    )


def delete_orphans(child: Relation, parent: Relation, pairs: Sequence[tuple[str, str]]) -> str:
    """Remove from a subtable's generation the rows that came with an older row of their parent.

    A sequence of the source's own may come again, in another load.
    """
    together = [(name, name) for name in (SEQUENCE, "_sdc_batched_at")]
    return (
        f"WITH removed AS (DELETE FROM {child} AS child WHERE NOT EXISTS (SELECT FROM {parent} AS parent"
        f" WHERE {same_key('child', 'parent', [*pairs, *together])})"
        f" RETURNING 1) SELECT count(*) FROM removed"
    )


def is_absent(target: str, source: Relation, key: Sequence[str]) -> str:
    """The condition that a stored row's key is not among the rows of `source`."""
    pairs = [(name, name) for name in key]
    return f"NOT EXISTS (SELECT FROM {source} AS sent WHERE {same_key(target, 'sent', pairs)})"


def mark_deleted(target: Relation, absent: str, cleared: Iterable[str]) -> str:
    """`absent` is a condition on `stored`. Rows that were marked earlier keep their moment."""
    sets = [f"{quoted(DELETED_AT)} = now()", *(f"{quoted(name)} = NULL" for name in cleared)]
    return f"UPDATE {target} AS stored SET {', '.join(sets)} WHERE stored.{quoted(DELETED_AT)} IS NULL AND {absent}"


def same_key(left: str, right: str, pairs: Iterable[tuple[str, str]]) -> str:
    return " AND ".join(f"{left}.{quoted(one)} = {right}.{quoted(other)}" for one, other in pairs)
