"""Opens the control store: one engine, transactions that either happen or do not, and the way to the newest schema."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError

from lockstitch.core.errors import AccessError, SettingsError

#: A row as the services hand it on.
Row = sa.Row[*tuple[Any, ...]]

MIGRATIONS = Path(__file__).parent / "migrations"


class Store:
    """The database of the control plane. May be used by several threads and, by its URL, by several processes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url)

    @property
    def is_shared(self) -> bool:
        """Whether other machines can use it as well."""
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def begin(self) -> Generator[sa.Connection]:
        """Lend a connection in a transaction that is committed at the end, or undone after an error."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Generator[sa.Connection]:
        """Lend a connection for reading: on SQLite it does not wait for one that writes."""
        with self.engine.connect() as connection:
            reading = connection.execution_options(lockstitch_reads=True)
            with reading.begin():
                yield reading

    def migrate(self) -> None:
        """Bring the schema to this version's; a newer one is refused."""
        with self.begin() as connection:
            self.upgrade(connection)

    def upgrade(self, connection: sa.Connection, revision: str = "head") -> None:
        """Bring the schema to a revision within the connection's transaction; one that is not known is refused."""
        from alembic import command

        if self.is_shared:
            # Several servers may start at once.
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('lockstitch control store'))"))
        refuse_unknown("the control store", revision_of(connection))
        config = _migrations()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    def insert_new(self, table: sa.Table) -> Any:
        """Return an INSERT that does nothing where the row is there already."""
        return (postgresql if self.is_shared else sqlite).insert(table).on_conflict_do_nothing()

    def upsert(self, table: sa.Table, values: dict[str, Any], key: tuple[str, ...]) -> Any:
        """Return an INSERT that updates the row of the same key instead."""
        insert = (postgresql if self.is_shared else sqlite).insert(table).values(values)
        others = {name: insert.excluded[name] for name in values if name not in key}
        return insert.on_conflict_do_update(index_elements=list(key), set_=others)

    def close(self) -> None:
        self.engine.dispose()


def revision_of(connection: sa.Connection) -> str | None:
    """Return the name of the schema's version, or None where there is no schema yet."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def refuse_unknown(what: str, revision: str | None) -> None:
    """Raise AccessError for a schema that a newer version has made."""
    from alembic.script import ScriptDirectory

    known = {one.revision for one in ScriptDirectory.from_config(_migrations()).walk_revisions()}
    if revision is not None and revision not in known:
        raise AccessError(
            f"{what} has schema {revision}, which this version does not know",
            hint="a newer version has made or upgraded it: use that one",
        )


def _migrations() -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
    except ArgumentError:
        raise SettingsError("the database URL cannot be read", hint=_FORMS) from None
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "postgresql+psycopg":
        return sa.create_engine(
            parsed, json_deserializer=_decoded, pool_size=10, max_overflow=20, pool_pre_ping=True, hide_parameters=True
        )
    if parsed.drivername != "sqlite" or not parsed.database:
        raise SettingsError(f"{parsed.drivername} is no control store", hint=_FORMS)
    settings = {"timeout": 30, "check_same_thread": False}
    engine = sa.create_engine(
        parsed, json_deserializer=_decoded, connect_args=settings, pool_size=10, hide_parameters=True
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_immediately)
    return engine


def _decoded(text: str | bytes) -> Any:
    """Read a JSON column. Lists hold thousands of them, and the standard library takes its time."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)  # which takes what others than we may have written: NaN, half a surrogate pair


_FORMS = "use postgresql://user:password@host/database, or sqlite:////path/to/control.sqlite"


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by us alone
    cursor = connection.cursor()
    for setting in ("journal_mode = WAL", "foreign_keys = ON", "synchronous = FULL", "busy_timeout = 30000"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _begin_immediately(connection: sa.Connection) -> None:
    # One that reads first and writes later would fail at the write if another has written in between.
    reads = connection.get_execution_options().get("lockstitch_reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
