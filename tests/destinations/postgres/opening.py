"""How the tests of this folder reach a database."""

from __future__ import annotations

from typing import Any

from lockstitch.destinations.postgres.destination import Postgres
from lockstitch.destinations.postgres.session import Session, connect
from lockstitch.destinations.postgres.spec import Properties
from lockstitch.testing.postgres_server import PostgresDatabase


def properties_of(postgres: PostgresDatabase, **changed: Any) -> Properties:
    values: dict[str, Any] = {**postgres.parsed, **changed}
    return Properties(**values)


def session_on(postgres: PostgresDatabase, **changed: Any) -> Session:
    return connect(properties_of(postgres, **changed), lock_timeout=1)


class Opener:
    """Opens destinations on one database, with a short patience for locks."""

    def __init__(self, postgres: PostgresDatabase) -> None:
        self.postgres = postgres
        self.opened: list[Postgres] = []

    def __call__(self, **changed: Any) -> Postgres:
        self.opened.append(Postgres(properties_of(self.postgres, **changed), lock_timeout=0.5))
        return self.opened[-1]

    def close(self) -> None:
        """Close all connections; the destinations can still be used."""
        for destination in self.opened:
            destination.close()
