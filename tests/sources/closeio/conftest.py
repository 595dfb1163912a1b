"""Close as a fake: nobody waits long, and every source that a test opened is closed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstitch.sources.closeio import api
from lockstitch.testing.postgres_server import PostgresDatabase
from lockstitch.toolkit.http.client import Patience
from lockstitch.toolkit.http.quota import Rate
from sources.closeio.account import Account
from sources.closeio.pipelines import Warehouse


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let waits be short: a test of thousands of requests must not keep Close's real limits."""
    monkeypatch.setattr(api, "RATE", Rate(100_000, 1.0, burst=1000))
    monkeypatch.setattr(api, "PATIENCE", Patience(first=0.005, most=0.02, unsaid=0.05, budget=5.0))


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """A server with an account that tests fill, and sources that read it."""
    with Account(tmp_path) as made:
        yield made


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """An empty destination of each type."""
    monkeypatch.setenv("LOCKSTITCH_HOME", str(tmp_path / "home"))
    if request.param == "duckdb":
        return Warehouse("duckdb", {"path": str(tmp_path / "warehouse.duckdb")})
    database: PostgresDatabase = request.getfixturevalue("postgres")
    return Warehouse("postgres", database.properties)
