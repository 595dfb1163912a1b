"""The floors: what a database itself takes to write the finished rows, as a child process that does nothing else.

Called as `python -m bench.floors KIND JSON`; prints the seconds of its parts as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

#: One write into the connection of a COPY.
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class FloorTable:
    """Prepared rows of a table. `columns` are the table's, with their types, as SQL.

    An upsert replaces rows of the same `key`, one column; rows of a subtable, whose `parents` are the rows and the key
    of its top table, replace all of the parents that are sent. `constraint` is the key that the database enforces.
    """

    rows: str
    table: str
    key: str
    columns: tuple[tuple[str, str], ...]
    constraint: tuple[str, ...] = ()
    parents: tuple[str, str] | None = None

    @property
    def definition(self) -> str:
        return ", ".join(f'"{name}" {kind}' for name, kind in self.columns)

    @property
    def names(self) -> str:
        return ", ".join(f'"{name}"' for name, _ in self.columns)


@dataclass(frozen=True, slots=True)
class FloorJob:
    """Prepared rows, and where they are to go; a top table comes before its subtables."""

    place: str
    tables: tuple[FloorTable, ...]

    def command(self, kind: str) -> list[str]:
        return ["-m", "bench.floors", kind, json.dumps(asdict(self))]

    @property
    def schema(self) -> str:
        return self.tables[0].table.split(".")[0]

    @classmethod
    def of(cls, text: str) -> FloorJob:
        """Return the job that a command names."""
        fields = json.loads(text)
        return cls(fields["place"], tuple(_table(one) for one in fields["tables"]))


def _table(fields: dict[str, Any]) -> FloorTable:
    columns = tuple((name, kind) for name, kind in fields.pop("columns"))
    parents = fields.pop("parents")
    constraint = tuple(fields.pop("constraint"))
    return FloorTable(**fields, columns=columns, constraint=constraint, parents=parents and tuple(parents))


def first_duckdb(job: FloorJob) -> dict[str, float]:
    """Insert the rows of Parquet files into new tables of a new file."""
    import duckdb

    parts: dict[str, float] = {}
    with duckdb.connect(job.place, config={"preserve_insertion_order": "false"}) as db, _timed(parts, "insert"):
        db.begin()
        db.execute(f"create schema {job.schema}")
        for one in job.tables:
            db.execute(f"create table {one.table} ({one.definition})")
            db.execute(f"insert into {one.table} select * from read_parquet('{one.rows}')")
        db.commit()
    return parts


def upsert_duckdb(job: FloorJob) -> dict[str, float]:
    """Delete the rows of these keys, then insert those of Parquet files."""
    import duckdb

    parts: dict[str, float] = {}
    with duckdb.connect(job.place, config={"preserve_insertion_order": "false"}) as db:
        db.begin()
        with _timed(parts, "delete"):
            for one in job.tables:
                rows, key = one.parents or (one.rows, one.key)
                same = f"stored.{one.key} = sent.{key}"
                db.execute(f"delete from {one.table} as stored using read_parquet('{rows}') as sent where {same}")
        with _timed(parts, "insert"):
            for one in job.tables:
                db.execute(f"insert into {one.table} by name select * from read_parquet('{one.rows}')")
            db.commit()
    return parts


def first_postgres(job: FloorJob) -> dict[str, float]:
    """Copy binary files into new tables, then add the keys, in one transaction."""
    parts: dict[str, float] = {}
    with _connected(job) as connection:
        connection.execute(_sql(f"create schema {job.schema}"))
        with _timed(parts, "copy"):
            for one in job.tables:
                connection.execute(_sql(f"create table {one.table} ({one.definition})"))
                _copy(connection, one.table, one.rows)
        with _timed(parts, "key"):
            for one in job.tables:
                if one.constraint:
                    connection.execute(_sql(f"alter table {one.table} add primary key ({', '.join(one.constraint)})"))
        with _timed(parts, "commit"):
            connection.commit()
    return parts


def upsert_postgres(job: FloorJob) -> dict[str, float]:
    """Copy a binary file into a temporary table, then insert from it, updating where the key is there.

    Rows of subtables are copied once those of the same parents are deleted.
    """
    parts: dict[str, float] = {}
    top, *children = job.tables
    others = ", ".join(f'"{name}" = excluded."{name}"' for name, _ in top.columns if name != top.key)
    with _connected(job) as connection:
        connection.execute(_sql(f"create temporary table sent ({top.definition}) on commit drop"))
        with _timed(parts, "copy"):
            _copy(connection, "sent", top.rows)
        with _timed(parts, "merge"):
            connection.execute(
                _sql(
                    f"insert into {top.table} ({top.names}) select {top.names} from sent "
                    f"on conflict ({top.key}) do update set {others}"
                )
            )
            for one in children:
                same = f"stored.{one.key} = sent.{top.key}"
                connection.execute(_sql(f"delete from {one.table} as stored using sent where {same}"))
                _copy(connection, f"{one.table} ({one.names})", one.rows)
        with _timed(parts, "commit"):
            connection.commit()
    return parts


KINDS = {one.__name__: one for one in (first_duckdb, upsert_duckdb, first_postgres, upsert_postgres)}


@contextmanager
def _timed(parts: dict[str, float], name: str) -> Generator[None]:
    began = time.perf_counter()
    yield
    parts[name] = time.perf_counter() - began


@contextmanager
def _connected(job: FloorJob) -> Generator[psycopg.Connection[Any]]:
    """Connect with the memory for sorting that our own sessions have."""
    import psycopg

    with psycopg.connect(job.place) as connection:
        connection.execute("set work_mem = '64MB'")
        connection.execute("set maintenance_work_mem = '256MB'")
        yield connection


def _copy(connection: psycopg.Connection[Any], table: str, rows: str) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(_sql(f"copy {table} from stdin (format binary)")) as copy,
        Path(rows).open("rb") as file,
    ):
        while piece := file.read(_PIECE):
            copy.write(piece)


def _sql(text: str) -> bytes:
    return text.encode()


if __name__ == "__main__":
    print(json.dumps(KINDS[sys.argv[1]](FloorJob.of(sys.argv[2]))))
