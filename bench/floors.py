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
class FloorJob:
    """Prepared rows and where they are to go. `columns` are the table's, with their types, as SQL."""

    place: str
    rows: str
    table: str
    key: str
    columns: tuple[tuple[str, str], ...]

    def command(self, kind: str) -> list[str]:
        return ["-m", "bench.floors", kind, json.dumps(asdict(self))]

    @property
    def definition(self) -> str:
        return ", ".join(f'"{name}" {kind}' for name, kind in self.columns)


def first_duckdb(job: FloorJob) -> dict[str, float]:
    """Insert the rows of a Parquet file into a new table of a new file."""
    import duckdb

    parts: dict[str, float] = {}
    with duckdb.connect(job.place, config={"preserve_insertion_order": "false"}) as db, _timed(parts, "insert"):
        db.begin()
        db.execute(f"create schema {job.table.split('.')[0]}")
        db.execute(f"create table {job.table} ({job.definition})")
        db.execute(f"insert into {job.table} select * from read_parquet('{job.rows}')")
        db.commit()
    return parts


def upsert_duckdb(job: FloorJob) -> dict[str, float]:
    """Delete the rows of these keys, then insert those of a Parquet file."""
    import duckdb

    parts: dict[str, float] = {}
    with duckdb.connect(job.place, config={"preserve_insertion_order": "false"}) as db:
        db.begin()
        with _timed(parts, "delete"):
            same = f"stored.{job.key} = sent.{job.key}"
            db.execute(f"delete from {job.table} as stored using read_parquet('{job.rows}') as sent where {same}")
        with _timed(parts, "insert"):
            db.execute(f"insert into {job.table} by name select * from read_parquet('{job.rows}')")
            db.commit()
    return parts


def first_postgres(job: FloorJob) -> dict[str, float]:
    """Copy a binary file into a new table, then add the key, in one transaction."""
    parts: dict[str, float] = {}
    with _connected(job) as connection:
        connection.execute(_sql(f"create schema {job.table.split('.')[0]}"))
        connection.execute(_sql(f"create table {job.table} ({job.definition})"))
        with _timed(parts, "copy"):
            _copy(connection, job.table, job.rows)
        with _timed(parts, "key"):
            connection.execute(_sql(f"alter table {job.table} add primary key ({job.key})"))
        with _timed(parts, "commit"):
            connection.commit()
    return parts


def upsert_postgres(job: FloorJob) -> dict[str, float]:
    """Copy a binary file into a temporary table, then insert from it, updating where the key is there."""
    parts: dict[str, float] = {}
    others = ", ".join(f'"{name}" = excluded."{name}"' for name, _ in job.columns if name != job.key)
    with _connected(job) as connection:
        connection.execute(_sql(f"create temporary table sent ({job.definition}) on commit drop"))
        with _timed(parts, "copy"):
            _copy(connection, "sent", job.rows)
        with _timed(parts, "merge"):
            names = ", ".join(f'"{name}"' for name, _ in job.columns)
            connection.execute(
                _sql(
                    f"insert into {job.table} ({names}) select {names} from sent "
                    f"on conflict ({job.key}) do update set {others}"
                )
            )
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
    fields = json.loads(sys.argv[2])
    columns = tuple((name, kind) for name, kind in fields.pop("columns"))
    print(json.dumps(KINDS[sys.argv[1]](FloorJob(**fields, columns=columns))))
