"""The shop, in each kind of database."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from lockstitch.testing.postgres_server import PostgresDatabase
from sources.query.asked import SHOP, Shop


@pytest.fixture
def duckdb_shop(tmp_path: Path) -> Shop:
    path = tmp_path / "shop.duckdb"

    def run(sql: str) -> object:
        with duckdb.connect(str(path)) as db:
            return db.execute(sql).fetchall()

    run(SHOP)
    return Shop(run, {"path": str(path)}, tmp_path / "spool")


@pytest.fixture
def postgres_shop(postgres: PostgresDatabase, tmp_path: Path) -> Shop:
    postgres.query(SHOP)
    names = ("host", "port", "username", "password", "database")
    properties = {name: value for name, value in postgres.parsed.items() if name in names}
    return Shop(postgres.query, properties, tmp_path / "spool")


@pytest.fixture(params=["duckdb", "postgres"])
def shop(request: pytest.FixtureRequest) -> Shop:
    return request.getfixturevalue(f"{request.param}_shop")
