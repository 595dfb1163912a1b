"""A fake FullStory for each test, and sources that are closed after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstitch.testing.postgres_server import PostgresDatabase
from lockstitch.testing.vendors.fullstory import FullStoryServer
from lockstitch.testing.vendors.fullstory_account import make_account
from sources.fullstory.account import KEY, Account
from sources.warehouses import Warehouse


@pytest.fixture
def fullstory() -> Iterator[FullStoryServer]:
    """FullStory with 45 bundles, which sets no limit to downloads."""
    with FullStoryServer(make_account(seed=1), key=KEY) as server:
        server.downloads = None
        yield server


@pytest.fixture
def account(fullstory: FullStoryServer, tmp_path: Path) -> Iterator[Account]:
    opened = Account(fullstory, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Account]:
    """An account of five bundles, for what is read again and again."""
    with FullStoryServer(make_account(seed=2, bundles=5, events=6, users=5), key=KEY) as server:
        server.downloads = None
        opened = Account(server, tmp_path)
        yield opened
        opened.close()


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    """An empty destination of each type."""
    if request.param == "duckdb":
        return Warehouse("duckdb", {"path": str(tmp_path / "warehouse.duckdb")}, "fullstory")
    database: PostgresDatabase = request.getfixturevalue("postgres")
    return Warehouse("postgres", database.properties, "fullstory")
