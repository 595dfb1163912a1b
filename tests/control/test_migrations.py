"""The way to the newest schema: it ends where `tables.py` says, may be begun by many, and turns nobody back."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import DBAPIError
from tests.control.serving import start

from lockstitch.control import accounts
from lockstitch.control.store.database import Store, revision_of
from lockstitch.control.store.tables import metadata
from lockstitch.core.errors import AccessError
from lockstitch.testing.postgres_server import PostgresDatabase


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/control.sqlite"
    postgres: PostgresDatabase = request.getfixturevalue("postgres")
    return postgres.uri


def test_migrations_end_at_the_tables(url: str):
    store = Store(url)
    store.migrate()
    with store.begin() as db:
        context = MigrationContext.configure(db, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        # Alembic does not look at these.
        inspected = sa.inspect(db)
        for table in metadata.tables.values():
            defaults = {one["name"] for one in inspected.get_columns(table.name) if one.get("default")}
            assert {one.name for one in table.columns if one.server_default is not None} <= defaults
            found = {tuple(one["constrained_columns"]): one for one in inspected.get_foreign_keys(table.name)}
            for constraint in table.foreign_key_constraints:
                deletion = found[tuple(constraint.column_keys)].get("options", {}).get("ondelete")
                assert deletion == constraint.ondelete, (table.name, constraint.column_keys)
    store.close()


def test_a_second_start_changes_nothing(url: str):
    store = Store(url)
    store.migrate()
    with store.begin() as db:
        db.execute(sa.insert(metadata.tables["accounts"]), [_ACCOUNT])
        before = _shape(db), revision_of(db)
    store.close()
    again = Store(url)
    again.migrate()
    with again.read() as db:
        assert (_shape(db), revision_of(db)) == before
        assert db.scalar(sa.text("SELECT count(*) FROM accounts")) == 1
    again.close()


def test_the_schema_of_a_newer_version_is_refused_and_left_alone(url: str):
    store = Store(url)
    store.migrate()
    with store.begin() as db:
        db.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(AccessError, match="has schema 9999, which this version does not know\nhint: a newer version"):
        store.migrate()
    with store.read() as db:
        assert revision_of(db) == "9999"
    store.close()


def test_a_failed_migration_leaves_no_trace(url: str):
    store = Store(url)

    def upgrade_and_fail() -> None:
        with store.begin() as db:
            store.upgrade(db)
            db.execute(sa.text("no statement"))

    with pytest.raises(DBAPIError):
        upgrade_and_fail()
    with store.read() as db:
        assert sa.inspect(db).get_table_names() == []
    store.migrate()
    store.close()


def test_many_commands_may_start_on_an_empty_database_at_once(tmp_path: Path, postgres: PostgresDatabase):
    command = [sys.executable, "-m", "lockstitch", "tokens", "create", "--database-url", postgres.uri]
    homes = [tmp_path / str(number) for number in range(3)]
    started = [
        subprocess.Popen([*command, "--home", str(home)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for home in homes
    ]
    for process in started:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert output.startswith("ac_")
    assert postgres.query("SELECT count(*) FROM tokens") == [(3,)]


def test_two_servers_may_start_on_an_empty_database_at_once(tmp_path: Path, postgres: PostgresDatabase):
    def serve(name: str) -> int:
        served = start(tmp_path / name, "--database-url", postgres.uri)
        try:
            return served.client.get(served.address + "/ready").status_code
        finally:
            served.close()

    with ThreadPoolExecutor() as pool:
        assert list(pool.map(serve, ("one", "two"))) == [200, 200]


_ACCOUNT = {**accounts.FIRST, "created_at": datetime(2026, 1, 1, tzinfo=UTC)}


def _shape(db: sa.Connection) -> dict[str, list[str]]:
    inspected = sa.inspect(db)
    return {name: [str(one) for one in inspected.get_columns(name)] for name in inspected.get_table_names()}
