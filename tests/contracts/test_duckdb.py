"""DuckDB keeps every promise of a destination."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lockstitch.destinations.duckdb.spec import Properties, open_destination
from lockstitch.testing.contract.shop import Shop
from lockstitch.testing.destination_contract import Database, DestinationContract


class TestDuckDB(DestinationContract):
    @pytest.fixture
    def database(self, tmp_path: Path) -> Database:
        return _database(tmp_path / "warehouse.duckdb")

    def check_index(self, shop: Shop, name: str) -> None:
        assert shop.database.sql(f"select 1 from duckdb_indexes() where index_name = '{name}'")

    def test_a_file_named_like_the_schema(self, tmp_path: Path) -> None:
        """DuckDB names the database after its file, and then cannot tell it from a schema of that name."""
        shop = Shop(_database(tmp_path / "shop.duckdb"))
        table = shop.create("orders", {"id": "integer"}, ["id"])
        shop.given(table, [shop.row(id=1)])
        assert shop.tuples("orders", "id") == [(1,)]


def _database(path: Path) -> Database:
    def sql(statement: str) -> Sequence[tuple[Any, ...]]:
        with duckdb.connect(str(path)) as db:
            return db.execute(statement).fetchall()

    return Database(lambda: open_destination(Properties(path=str(path))), sql)
