"""Our own tables in the file (`_lockstitch`), and what the file says of the user's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lockstitch.core.errors import AccessError
from lockstitch.core.loads import LedgerRow, Step
from lockstitch.core.model import Column, ColumnType, Mark, Table
from lockstitch.destinations.duckdb.rules import RULES

if TYPE_CHECKING:
    import duckdb

#: Version of the tables below. A newer file is refused; an older one is brought here by `_MIGRATIONS[version]`.
FORMAT = 1

_TABLES = """
create schema if not exists _lockstitch;
create table if not exists _lockstitch.format (version integer not null);
create table if not exists _lockstitch.marks (
    connection varchar not null, lane varchar not null, epoch bigint not null, number bigint not null,
    cursor varchar not null, sequence bigint not null, versions varchar not null, committed_at timestamptz not null);
create table if not exists _lockstitch.ledger (
    connection varchar not null, lane varchar not null, number bigint not null, table_name varchar not null,
    read bigint not null, inserted bigint not null, updated bigint not null, superseded bigint not null,
    rejected bigint not null, adjusted bigint not null, checksum bigint not null, removed bigint not null, total bigint,
    committed_at timestamptz not null);
create table if not exists _lockstitch.tables (
    schema_name varchar not null, table_name varchar not null, parent varchar);
create table if not exists _lockstitch.columns (
    schema_name varchar not null, table_name varchar not null, column_name varchar not null);
create table if not exists _lockstitch.generations (
    schema_name varchar not null, table_name varchar not null, version bigint not null,
    relation_schema varchar not null, relation varchar not null, parent varchar, key varchar not null);
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LEDGER_FIELDS = ("read", "inserted", "updated", "superseded", "rejected", "adjusted", "checksum", "removed", "total")


def quoted(*parts: str) -> str:
    """Return a quoted, dotted identifier."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def has_format(db: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether the file has tables of ours; raise AccessError if they are newer than this code."""
    found = db.execute(
        "select 1 from duckdb_tables() where schema_name = '_lockstitch' and table_name = 'format'"
    ).fetchall()
    if not found:
        return False
    [(version,)] = db.execute("select max(version) from _lockstitch.format").fetchall()
    if version is not None and version > FORMAT:
        raise AccessError(
            f"the file's _lockstitch schema has format {version}, this program knows formats up to {FORMAT}",
            hint="upgrade Lockstitch",
        )
    return version is not None


def create(db: duckdb.DuckDBPyConnection, schema: str) -> None:
    """Make our own tables, the schema and its `_sdc_rejected`, where they are missing."""
    if not has_format(db):
        db.execute(_TABLES)
        db.execute("insert into _lockstitch.format values (?)", [FORMAT])
    db.execute(f"create schema if not exists {quoted(schema)}")
    db.execute(
        f"create table if not exists {quoted(schema, RULES.rejected_table)} "
        "(_sdc_rejected_at timestamptz, table_name varchar, reason varchar, record varchar)"
    )


def read_marks(db: duckdb.DuckDBPyConnection, connection: str) -> dict[str, Mark]:
    if not has_format(db):
        return {}
    rows = db.execute(
        "select lane, epoch, number, cursor, sequence, versions from _lockstitch.marks where connection = ?",
        [connection],
    ).fetchall()
    return {
        lane: Mark(epoch, number, json.loads(cursor), sequence, json.loads(versions))
        for lane, epoch, number, cursor, sequence, versions in rows
    }


def write_mark(db: duckdb.DuckDBPyConnection, connection: str, lane: str, mark: Mark) -> None:
    db.execute("delete from _lockstitch.marks where connection = ? and lane = ?", [connection, lane])
    db.execute(
        "insert into _lockstitch.marks values (?, ?, ?, ?, ?, ?, ?, now())",
        [
            connection,
            lane,
            mark.epoch,
            mark.number,
            json.dumps(mark.cursor),
            mark.sequence,
            json.dumps(dict(mark.versions)),
        ],
    )


def write_ledger(
    db: duckdb.DuckDBPyConnection, connection: str, lane: str, number: int, rows: Sequence[LedgerRow]
) -> None:
    for row in rows:
        values = [getattr(row, name) for name in LEDGER_FIELDS]
        marks = ", ".join("?" * (len(values) + 4))
        db.execute(
            f"insert into _lockstitch.ledger values ({marks}, now())", [connection, lane, number, row.table, *values]
        )


def read_ledger(db: duckdb.DuckDBPyConnection, connection: str) -> list[tuple[str, int, LedgerRow]]:
    rows = db.execute(
        f"select lane, number, table_name, {', '.join(LEDGER_FIELDS)}, epoch_us(committed_at) from _lockstitch.ledger "
        "where connection = ? order by lane, number, rowid",
        [connection],
    ).fetchall()
    return [
        (lane, number, LedgerRow(table, *fields, committed_at=_EPOCH + timedelta(microseconds=at)))
        for lane, number, table, *fields, at in rows
    ]


def read_tables(db: duckdb.DuckDBPyConnection, schema: str) -> list[Table]:
    """Return the schema's tables and the generations of them."""
    generations = {
        (relation_schema, relation): (table, version, parent, key)
        for table, version, relation_schema, relation, parent, key in db.execute(
            "select table_name, version, relation_schema, relation, parent, key from _lockstitch.generations "
            "where schema_name = ?",
            [schema],
        ).fetchall()
    }
    parents: Mapping[str, str | None] = dict(
        db.execute("select table_name, parent from _lockstitch.tables where schema_name = ?", [schema]).fetchall()
    )
    ours: dict[str, set[str]] = {}
    for table, column in db.execute(
        "select table_name, column_name from _lockstitch.columns where schema_name = ?", [schema]
    ).fetchall():
        ours.setdefault(table, set()).add(column)
    columns: dict[tuple[str, str], list[Column]] = {}
    for relation_schema, relation, column, kind in db.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() where not internal "
        "and schema_name in (?, '_lockstitch') and database_name = current_database() order by column_index",
        [schema],
    ).fetchall():
        columns.setdefault((relation_schema, relation), []).append(Column(column, column_type(kind)))
    tables: list[Table] = []
    for relation_schema, relation, comment in db.execute(
        "select schema_name, table_name, comment from duckdb_tables() where schema_name in (?, '_lockstitch') "
        "and not temporary and database_name = current_database()",
        [schema],
    ).fetchall():
        place = (relation_schema, relation)
        found = tuple(columns.get(place, ()))
        if place in generations:
            table, version, parent, key = generations[place]
            own = frozenset(column.name for column in found)
            tables.append(Table(table, found, tuple(json.loads(key)), own, parent, version))
        elif relation_schema == schema and relation != RULES.rejected_table:
            tables.append(
                Table(relation, found, key_of(comment), frozenset(ours.get(relation, ())), parents.get(relation))
            )
    return tables


def exists(db: duckdb.DuckDBPyConnection, schema: str, table: str) -> bool:
    found = db.execute(
        "select 1 from duckdb_tables() where schema_name = ? and lower(table_name) = lower(?) "
        "and database_name = current_database()",
        [schema, table],
    ).fetchall()
    return bool(found)


def users_columns(db: duckdb.DuckDBPyConnection, schema: str, step: Step) -> list[str]:
    """Return the columns of a step's table that no load of ours has written, nor this step will."""
    written = db.execute(
        "select column_name from _lockstitch.columns where schema_name = ? and table_name = ?", [schema, step.table]
    ).fetchall()
    ours = {row[0].casefold() for row in written} | {column.name.casefold() for column in step.columns if column.type}
    found = db.execute(
        "select column_name from duckdb_columns() where schema_name = ? and table_name = ? "
        "and database_name = current_database()",
        [schema, step.table],
    ).fetchall()
    return [row[0] for row in found if row[0].casefold() not in ours]


def register_table(
    db: duckdb.DuckDBPyConnection, schema: str, table: str, parent: str | None, columns: Sequence[str]
) -> None:
    """Remember a table that a load has made, and nothing of one of that name before it."""
    for name in ("tables", "columns"):
        db.execute(f"delete from _lockstitch.{name} where schema_name = ? and table_name = ?", [schema, table])
    db.execute("insert into _lockstitch.tables values (?, ?, ?)", [schema, table, parent])
    register_columns(db, schema, table, columns)


def register_columns(db: duckdb.DuckDBPyConnection, schema: str, table: str, columns: Sequence[str]) -> None:
    """Remember columns that loads of ours write."""
    db.execute(
        "insert into _lockstitch.columns select ?, ?, name from (select unnest(?::varchar[]) as name) "
        "where name not in (select column_name from _lockstitch.columns where schema_name = ? and table_name = ?)",
        [schema, table, list(columns), schema, table],
    )


def read_key(db: duckdb.DuckDBPyConnection, schema: str, table: str) -> tuple[str, ...]:
    found = db.execute(
        "select comment from duckdb_tables() where schema_name = ? and table_name = ? "
        "and database_name = current_database()",
        [schema, table],
    ).fetchall()
    return key_of(found[0][0] if found else None)


def write_key(db: duckdb.DuckDBPyConnection, schema: str, table: str, key: Sequence[str]) -> None:
    comment = "null" if not key else "'" + json.dumps({"primary_keys": list(key)}).replace("'", "''") + "'"
    db.execute(f"comment on table {quoted(schema, table)} is {comment}")


def key_of(comment: str | None) -> tuple[str, ...]:
    """Return the key that a table's comment keeps, () where it keeps none."""
    try:
        return tuple(json.loads(comment or "")["primary_keys"])
    except (ValueError, KeyError, TypeError):
        return ()


def column_type(native: str) -> ColumnType | None:
    """Return the type of a column by DuckDB's name for it; None for one that we never write."""
    for rule in RULES.types.values():
        if native in rule.reads:
            return rule.type
    if native.startswith("DECIMAL("):
        precision, scale = (int(part) for part in native[8:-1].split(","))
        return ColumnType("number", native, scale) if precision == RULES.types["number"].precision else None
    return None
