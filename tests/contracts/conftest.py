"""One database a module of tests; each script of messages goes into a schema of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lockstitch.destinations.duckdb.destination import DuckDB
from lockstitch.destinations.postgres.spec import Properties, open_destination
from lockstitch.testing.contract.shop import Database
from lockstitch.testing.postgres_server import PostgresServer


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Give destinations on one database, and what a user of it may run."""
    if request.param == "duckdb":
        path: Path = tmp_path_factory.mktemp("duckdb") / "warehouse.duckdb"

        def sql(statement: str) -> Sequence[tuple[Any, ...]]:
            with duckdb.connect(str(path)) as db:
                return db.execute(statement).fetchall()

        yield Database(lambda: DuckDB(path), sql)
        return
    server: PostgresServer = request.getfixturevalue("postgres_18")
    database = server.create_database()
    yield Database(lambda: open_destination(Properties(**database.parsed)), database.query)
    server.drop_database(database)
