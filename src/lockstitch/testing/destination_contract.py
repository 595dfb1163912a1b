"""What every destination must do. Inherit `DestinationContract`, give one fixture, and have all tests.

    class TestDuckDB(DestinationContract):
        @pytest.fixture
        def database(self, tmp_path: Path) -> Database:
            path = tmp_path / "shop.duckdb"
            properties = Properties(path=str(path))
            return Database(lambda: open_destination(properties), lambda statement: run(path, statement))

The tests speak to the Destination protocol with rows made by hand: no engine, no layout.
"""

from __future__ import annotations

import pytest

from lockstitch.testing.contract.changes import ChangesContract
from lockstitch.testing.contract.generations import GenerationsContract
from lockstitch.testing.contract.marks import MarksContract
from lockstitch.testing.contract.neighbours import GrantsContract, NeighboursContract
from lockstitch.testing.contract.reading import ReadingContract
from lockstitch.testing.contract.shop import Database, Shop
from lockstitch.testing.contract.steps import StepsContract
from lockstitch.testing.contract.subtables import SubtablesContract
from lockstitch.testing.contract.values import ValuesContract

__all__ = ["Database", "DestinationContract", "GrantsContract"]


class DestinationContract(
    MarksContract,
    StepsContract,
    GenerationsContract,
    SubtablesContract,
    ChangesContract,
    ValuesContract,
    ReadingContract,
    NeighboursContract,
):
    """All promises of a destination, on an empty database each."""

    @pytest.fixture
    def database(self) -> Database:
        """Return an empty database; every connector overrides this."""
        raise NotImplementedError

    @pytest.fixture
    def shop(self, database: Database) -> Shop:
        """Return the schema `shop` in the empty database, opened."""
        return Shop(database)
