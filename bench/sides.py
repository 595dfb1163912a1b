"""Where rows go: a DuckDB file or a PostgreSQL database, begun anew for each run, and looked into afterwards."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from shutil import copyfile
from typing import Any, Protocol

import psutil
import psycopg

from bench.floors import FloorJob, FloorTable
from bench.measure import BenchFailed, processes
from bench.sums import Sums
from lockstitch.testing.postgres_server import PostgresServer, postgres_server

#: The schema that runs fill: the pipeline's name.
SCHEMA = "heap"


@dataclass(frozen=True, slots=True)
class Content:
    """What lies in a table: its sums, its columns with their types, its key constraint, and the last sequence."""

    sums: Sums
    columns: tuple[tuple[str, str], ...]
    constraint: tuple[str, ...]
    sequence: int

    @classmethod
    def of(
        cls, expected: Sums, found: Sequence[Any], columns: Sequence[Sequence[str]], constraint: tuple[str, ...]
    ) -> Content:
        """Return what the row of `_question` tells. Raises BenchFailed where rows double or lack a system column."""
        rows, distinct, sequence, *counts = found
        system = [name for name, _ in columns if name.startswith("_sdc")]
        for what, number in [("keys", distinct), *zip(system, counts[: len(system)], strict=True)]:
            if number != rows:
                raise BenchFailed(f"a table has {rows} rows, but {number} {what}")
        sums = expected.found(rows, counts[len(system) :])
        return cls(sums, tuple((name, kind) for name, kind in columns), constraint, sequence)


def _question(table: str, expected: Sums, columns: Sequence[Sequence[str]], condition: str) -> str:
    system = [f"count({name})" for name, _ in columns if name.startswith("_sdc")]
    first = ["count(*)", f"count(distinct {expected.key})", "coalesce(max(_sdc_sequence), 0)"]
    return f"select {', '.join([*first, *system, *expected.terms()])} from {table} where {condition}"


class Side(Protocol):
    """A destination under measurement."""

    name: str

    @property
    def title(self) -> str: ...

    def begin(self, *, from_base: bool = False) -> None:
        """Make an empty database, or a copy of the one kept."""
        ...

    def keep_as_base(self) -> None:
        """Keep the database as it is for `begin(from_base=True)`; it is gone until then."""
        ...

    def look(self, table: str, expected: Sums, condition: str = "true") -> Content: ...

    def destination_properties(self) -> Mapping[str, str | int]:
        """Return what a pipeline file says of it."""
        ...

    def query(self, statement: str) -> list[tuple[Any, ...]]: ...

    def columns(self, table: str) -> list[tuple[str, str]]:
        """Return a table's columns with their types, as SQL."""
        ...

    def constraint(self, table: str) -> tuple[str, ...]:
        """Return the columns of the key that the database enforces."""
        ...

    def export(self, table: str, after: int = 0) -> str:
        """Write the table's rows after a sequence to a file of the kind that the floor reads; return its path."""
        ...

    def job(self, *tables: FloorTable) -> FloorJob: ...

    def other_cpu(self) -> float:
        """Return the CPU seconds of the processes that work for a run without being its children."""
        ...


class DuckDBSide:
    """A file; `process` is where it is looked into, away from the one that measures."""

    name = "duckdb"

    def __init__(self, folder: Path, process: Executor) -> None:
        self._process = process
        self._path = folder / "warehouse.duckdb"
        self._base = folder / "base.duckdb"
        self._folder = folder

    @property
    def title(self) -> str:
        return f"DuckDB {version('duckdb')}"

    def destination_properties(self) -> Mapping[str, str | int]:
        return {"path": str(self._path)}

    def begin(self, *, from_base: bool = False) -> None:
        for path in self._path.parent.glob(self._path.name + "*"):
            path.unlink()
        if from_base:
            copyfile(self._base, self._path)

    def keep_as_base(self) -> None:
        self._path.rename(self._base)

    def look(self, table: str, expected: Sums, condition: str = "true") -> Content:
        return self._process.submit(_look_into_file, self._path, f"{SCHEMA}.{table}", expected, condition).result()

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        return self._process.submit(query_file, self._path, statement).result()

    def columns(self, table: str) -> list[tuple[str, str]]:
        return [(name, kind) for name, kind in self.query(_COLUMNS.format(f"{SCHEMA}.{table}"))]

    def constraint(self, table: str) -> tuple[str, ...]:
        del table
        return ()  # none of ours (docs/decisions/0002)

    def export(self, table: str, after: int = 0) -> str:
        path = self._folder / f"{table}.parquet"
        self.query(f"copy (select * from {SCHEMA}.{table} where _sdc_sequence > {after}) to '{path}' (format parquet)")
        return str(path)

    def job(self, *tables: FloorTable) -> FloorJob:
        return FloorJob(str(self._path), tables)

    def other_cpu(self) -> float:
        return 0.0


_COLUMNS = "select column_name, column_type from (describe {})"


def query_file(path: Path, statement: str) -> list[tuple[Any, ...]]:
    import duckdb

    with duckdb.connect(str(path), read_only=True) as db:
        return db.execute(statement).fetchall()


def _look_into_file(path: Path, table: str, expected: Sums, condition: str) -> Content:
    columns = query_file(path, _COLUMNS.format(table))
    (found,) = query_file(path, _question(table, expected, columns, condition))
    return Content.of(expected, found, columns, ())


class PostgresSide:
    """A database of a server that lives as long as the benchmarks."""

    name = "postgres"

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._database = replace(server.admin, database="bench")
        postmaster = int((server.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        self._postmaster = psutil.Process(postmaster)

    @property
    def uri(self) -> str:
        return self._database.uri

    @property
    def title(self) -> str:
        return f"PostgreSQL {self._server.admin.query('show server_version')[0][0].split()[0]}"

    def destination_properties(self) -> Mapping[str, str | int]:
        return dict(self._database.parsed)

    def begin(self, *, from_base: bool = False) -> None:
        template = "bench_base strategy file_copy" if from_base else "template0"
        self._server.admin.run(
            "drop database if exists bench with (force)", f"create database bench template {template}", "checkpoint"
        )

    def keep_as_base(self) -> None:
        self._server.admin.run(
            "drop database if exists bench_base with (force)", "alter database bench rename to bench_base"
        )

    def look(self, table: str, expected: Sums, condition: str = "true") -> Content:
        place = f"{SCHEMA}.{table}"
        columns = self.columns(table)
        (found,) = self.query(_question(place, expected, columns, condition))
        return Content.of(expected, found, columns, self.constraint(table))

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        return self._database.query(statement)

    def columns(self, table: str) -> list[tuple[str, str]]:
        found = self.query(
            f"select attname, format_type(atttypid, atttypmod) from pg_attribute "
            f"where attrelid = '{SCHEMA}.{table}'::regclass and attnum > 0 and not attisdropped order by attnum"
        )
        return [(name, kind) for name, kind in found]

    def constraint(self, table: str) -> tuple[str, ...]:
        found = self.query(
            f"select attname from pg_index join pg_attribute on attrelid = indrelid and attnum = any(indkey) "
            f"where indrelid = '{SCHEMA}.{table}'::regclass and indisprimary order by attnum"
        )
        return tuple(name for (name,) in found)

    def export(self, table: str, after: int = 0) -> str:
        path = self._folder / f"{table}.copy"
        chosen = f"select * from {SCHEMA}.{table} where _sdc_sequence > {after}"
        with (
            psycopg.connect(self._database.uri) as connection,
            connection.cursor() as cursor,
            cursor.copy(f"copy ({chosen}) to stdout (format binary)".encode()) as copy,
            path.open("wb") as file,
        ):
            for piece in copy:
                file.write(piece)
        return str(path)

    def job(self, *tables: FloorTable) -> FloorJob:
        return FloorJob(self._database.uri, tables)

    def other_cpu(self) -> float:
        """Return what the server's processes have used, those that have ended among them."""
        total = 0.0
        for process in (self._postmaster, *self._postmaster.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue  # its time is its parent's by now
            total += times.user + times.system + times.children_user + times.children_system
        return total


#: A durable server as it comes, but for its memory; the throw-away settings of the tests are taken back.
_SERVER: Mapping[str, str] = {
    "shared_buffers": "1GB",
    "fsync": "on",
    "max_wal_size": "1GB",
    "max_connections": "100",
    "log_min_messages": "warning",
}


@contextmanager
def opened(name: str, folder: Path, postgres: int) -> Generator[Side]:
    """Yield the side of this name."""
    if name == DuckDBSide.name:
        with processes(1) as process:
            yield DuckDBSide(folder, process)
        return
    with postgres_server(postgres, _SERVER) as server:
        yield PostgresSide(server, folder)
