"""A shop of the contract's on PostgreSQL, whose destinations are closed in the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from destinations.postgres.opening import Opener
from lockstitch.testing.contract.shop import Database, Shop
from lockstitch.testing.postgres_server import PostgresDatabase


@pytest.fixture
def opener(postgres: PostgresDatabase) -> Iterator[Opener]:
    opener = Opener(postgres)
    yield opener
    opener.close()


@pytest.fixture
def shop(opener: Opener, postgres: PostgresDatabase) -> Shop:
    return Shop(Database(opener, postgres.query))
