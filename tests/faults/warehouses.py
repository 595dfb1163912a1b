"""The two destinations as someone who queries them sees them, through their own drivers."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import duckdb
import psycopg
from psycopg.rows import dict_row

from lockstitch.testing.postgres_server import PostgresDatabase

Row = dict[str, Any]


class Reader(Protocol):
    """Reads at one moment: all its answers are of the same state."""

    def __call__(self, statement: str) -> list[Row]: ...


class Warehouse(Protocol):
    """A destination under test."""

    @property
    def own_tables(self) -> frozenset[str]:
        """Return the tables of our own that stay."""
        ...

    @property
    def toml(self) -> str:
        """Return the pipeline file's [destination]."""
        ...

    def reading(self) -> AbstractContextManager[Reader]:
        """Return a context that gives a Reader."""
        ...


@dataclass(frozen=True)
class DuckDBFile:
    path: Path
    own_tables: frozenset[str] = frozenset({"format", "marks", "ledger", "tables", "columns", "generations"})

    @property
    def toml(self) -> str:
        return _toml("duckdb", {"path": str(self.path)})

    @contextmanager
    def reading(self) -> Generator[Reader]:
        if not self.path.exists():
            yield _nothing
            return
        # Read only: what a killed process left, such as a log of its last commit, is not tidied up for the next run.
        with duckdb.connect(str(self.path), read_only=True) as db:
            yield lambda statement: db.sql(statement).to_arrow_table().to_pylist()


@dataclass(frozen=True)
class PostgresTables:
    database: PostgresDatabase
    port: int | None = None
    own_tables: frozenset[str] = frozenset({"format", "marks", "ledger", "columns", "subtables", "generations"})

    @property
    def toml(self) -> str:
        properties = self.database.properties
        return _toml("postgres", properties | ({"port": str(self.port)} if self.port is not None else {}))

    @contextmanager
    def reading(self) -> Generator[Reader]:
        with psycopg.connect(self.database.uri) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True

            def rows(statement: str) -> list[Row]:
                return connection.cursor(row_factory=dict_row).execute(statement.encode()).fetchall()

            yield rows


def _nothing(statement: str) -> list[Row]:
    del statement
    return []


def _toml(type_name: str, properties: dict[str, Any]) -> str:
    lines = [f"{name} = {json.dumps(value)}" for name, value in properties.items()]
    return "\n".join(["[destination]", f'type = "{type_name}"', "[destination.properties]", *lines, ""])
