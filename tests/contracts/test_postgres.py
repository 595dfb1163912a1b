"""PostgreSQL keeps every promise of a destination, 15 and 18."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lockstitch.core.protocols import Destination
from lockstitch.destinations.postgres.spec import Properties, open_destination
from lockstitch.testing.destination_contract import Database, DestinationContract, GrantsContract
from lockstitch.testing.postgres_server import PostgresDatabase


class TestPostgres(DestinationContract, GrantsContract):
    @pytest.fixture
    def database(self, any_postgres: PostgresDatabase) -> Iterator[Database]:
        opened: list[Destination] = []

        def open_one() -> Destination:
            opened.append(open_destination(Properties(**any_postgres.parsed)))
            return opened[-1]

        yield Database(open_one, any_postgres.query)
        for destination in opened:
            destination.close()
