"""A pipeline with an empty warehouse: once with each destination, or with one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

pytest.register_assert_rewrite("faults.holds", "faults.rig")

from faults.rig import Rig  # noqa: E402 - told first how to show what differs
from faults.warehouses import DuckDBFile, PostgresTables  # noqa: E402
from lockstitch.testing.postgres_server import PostgresDatabase  # noqa: E402


@pytest.fixture
def into_duckdb(tmp_path: Path) -> Iterator[Rig]:
    with closing(Rig(tmp_path, DuckDBFile(tmp_path / "warehouse.duckdb"))) as rig:
        yield rig


@pytest.fixture
def into_postgres(tmp_path: Path, postgres: PostgresDatabase) -> Iterator[Rig]:
    with closing(Rig(tmp_path, PostgresTables(postgres))) as rig:
        yield rig


@pytest.fixture(params=["duckdb", "postgres"])
def rig(request: pytest.FixtureRequest) -> Rig:
    return request.getfixturevalue(f"into_{request.param}")
