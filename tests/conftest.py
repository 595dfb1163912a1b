"""Servers for the whole session, and a fresh database for each test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from tests.planted import found_below

from lockstitch.testing.postgres_server import PostgresDatabase, PostgresServer, ServerMissing, postgres_server

# The tests start hundreds of processes. Where Python may not keep what it compiled, each compiles all modules anew,
# which takes more than half of the tests' time.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(scope="session", autouse=True)
def started_without_pandas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide pandas from the processes that tests start, as users have none unless they install it.

    Where it is there PyArrow loads it, in every process: a fifth of what a small run takes.
    """
    hiding = tmp_path_factory.mktemp("without_pandas")
    (hiding / "pandas.py").write_text("raise ImportError('pandas is hidden from this process')\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(hiding), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_secret_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Look through all files that the tests have written, once all are over."""
    yield
    assert found_below(tmp_path_factory.getbasetemp()) == []


def _server(version: int) -> Iterator[PostgresServer]:
    try:
        with postgres_server(version) as server:
            yield server
            assert found_below(server.folder) == []
    except ServerMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def postgres_18() -> Iterator[PostgresServer]:
    """PostgreSQL 18 out of a wheel: on every machine."""
    yield from _server(18)


@pytest.fixture(scope="session")
def postgres_16() -> Iterator[PostgresServer]:
    """PostgreSQL 16 out of the same wheel, for the long tests."""
    yield from _server(16)


@pytest.fixture(scope="session")
def postgres_15() -> Iterator[PostgresServer]:
    """PostgreSQL 15 of the distribution; tests that need it are skipped where it is not installed."""
    yield from _server(15)


def _fresh(server: PostgresServer) -> Iterator[PostgresDatabase]:
    database = server.create_database()
    yield database
    server.drop_database(database)


@pytest.fixture
def postgres(postgres_18: PostgresServer) -> Iterator[PostgresDatabase]:
    """An empty database on PostgreSQL 18."""
    yield from _fresh(postgres_18)


@pytest.fixture(params=[15, pytest.param(16, marks=pytest.mark.long), 18])
def any_postgres(request: pytest.FixtureRequest) -> Iterator[PostgresDatabase]:
    """An empty database, once on each version that is tested."""
    yield from _fresh(request.getfixturevalue(f"postgres_{request.param}"))
