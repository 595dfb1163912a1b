"""A control store of its own for a test, with an account, a destination and sources in it, all ready to run."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lockstitch.control import accounts, connections, runs
from lockstitch.control.catalogue import properties
from lockstitch.control.catalogue.catalogue import find
from lockstitch.control.server import Server, Settings, open_server
from lockstitch.control.store.tables import checks
from lockstitch.control.store.tables import connections as table
from lockstitch.control.store.tables import runs as run_table

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HEAP = {
    "bucket": "heap-rs3-acme",
    "account_id": "123456789012",
    "external_id": "stitch_connection_1",
    "role_name": "stitch_heap",
    "start_date": "2026-01-01T00:00:00Z",
    "frequency_in_minutes": "30",
}


@contextmanager
def opened(home: Path, url: str | None = None) -> Generator[Server]:
    """Open a server's store and what belongs to it; nothing works or listens."""
    server = open_server(Settings(home, url))
    try:
        yield server
    finally:
        server.store.close()


def add_sources(server: Server, count: int = 1, *, next_fire_at: datetime | None = None) -> list[int]:
    """Add sources that are complete: discovered, selected, with a destination."""
    kind = find("source", "platform.heap")
    assert kind is not None
    complete = {**properties.system_values(kind), **HEAP}
    with server.store.begin() as db:
        account = accounts.insert(db, accounts.FIRST, NOON)
        common = {"account_id": account, "secrets": {}, "display_name": None}
        given = {"kind": "destination", "type": "duckdb", "name": "w", "properties": {"path": "w.duckdb"}}
        destination = connections.insert(db, {**common, **given}, NOON)
        return [
            connections.insert(
                db,
                {
                    **common,
                    "kind": "source",
                    "type": "platform.heap",
                    "name": f"heap{number}",
                    "properties": complete,
                    "destination_id": destination,
                    "discovered_at": NOON,
                    "has_selection": True,
                    "next_fire_at": next_fire_at,
                },
                NOON,
            )
            for number in range(count)
        ]


def begin_run(server: Server, source_id: int, now: datetime = NOON) -> str:
    with server.store.begin() as db:
        name = runs.begin(db, server.store.insert_new, source(db, source_id), now)
    assert name is not None
    return name


def begin_check(server: Server, connection_id: int, tail: str = "1") -> str:
    name = f"1.{connection_id}.check.{tail}"
    with server.store.begin() as db:
        db.execute(sa.insert(checks).values(name=name, connection_id=connection_id, start_time=NOON))
    return name


def source(db: sa.Connection, source_id: int) -> Any:
    return db.execute(sa.select(table).where(table.c.id == source_id)).one()


def run_row(server: Server, name: str) -> Any:
    with server.store.read() as db:
        return db.execute(sa.select(run_table).where(run_table.c.name == name)).one()


def check_row(server: Server, name: str) -> Any:
    with server.store.read() as db:
        return db.execute(sa.select(checks).where(checks.c.name == name)).one()


def log_text(server: Server, name: str) -> str:
    with server.store.read() as db:
        return "".join(runs.log_pieces(db, name))


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)
