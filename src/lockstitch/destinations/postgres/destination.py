"""The PostgreSQL destination: binary COPY into stages, and one transaction for all tables of a load and its mark."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from lockstitch.core.errors import AccessError, SettingsError
from lockstitch.core.loads import LedgerRow, Load
from lockstitch.core.model import Capabilities, Mark, Table
from lockstitch.core.protocols import Writer
from lockstitch.core.rules import Rules
from lockstitch.destinations.postgres import catalog, state
from lockstitch.destinations.postgres.rules import RULES
from lockstitch.destinations.postgres.session import Session, connect
from lockstitch.destinations.postgres.spec import Properties
from lockstitch.destinations.postgres.sql import STATE, Relation, quoted

if TYPE_CHECKING:
    import pyarrow as pa

#: The oldest server whose syntax we keep to.
OLDEST = 13

_REJECTED = (
    "_sdc_rejected_at timestamp with time zone, table_name text, reason text, record text"  # spec/loading.md section 5
)

_WRONG_TYPE = (
    "We encountered an error while attempting to check the type or version for this destination. "
    "Please select the correct destination type and try again."
)


class Postgres:
    """Connects when first needed, and again after an error. May be used by several threads."""

    capabilities: ClassVar[Capabilities] = Capabilities(atomic="all", exclusive=False, upsert=True)
    rules: ClassVar[Rules] = RULES

    def __init__(self, properties: Properties, *, lock_timeout: float = 10.0) -> None:
        self._properties = properties
        self._lock_timeout = lock_timeout
        self._schema = ""
        self._idle: list[Session] = []

    def check(self) -> None:
        """Raise a user error that tells the mend, or return: we may create schemas, tables and load."""
        with self._session() as session:
            refuse_version(session.value("SELECT version()"))
            ((encoding, standby, may_create, database, made),) = session.rows(
                "SELECT current_setting('server_encoding'), pg_is_in_recovery(),"
                " has_database_privilege(current_database(), 'CREATE'), current_database()::text,"
                " to_regnamespace('_lockstitch') IS NOT NULL"
            )
            if encoding != "UTF8":
                raise AccessError(
                    f"database {database!r} has encoding {encoding}, which cannot hold every text",
                    hint="make another one: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0",
                )
            if standby:
                raise AccessError("the server is a read-only standby", hint="connect to the primary server")
            if made:
                state.format_of(session)
            elif not may_create:
                raise self._may_not_create(database)

    def open(self, connection: str, schema: str) -> None:  # noqa: ARG002 (all connections share our tables)
        """Make the schema, `_sdc_rejected` and our own tables, as far as they are missing; refuse a newer format."""
        _refuse_name(schema)
        self._schema = schema
        with self._session() as session:
            if self._is_made(session):
                return
            state.lock_making(session)
            for name in (STATE, schema):
                if session.value("SELECT to_regnamespace($1) IS NULL", quoted(name)):
                    self._make_schema(session, name)
            state.make(session)
            rejected = Relation(schema, RULES.rejected_table)
            session.run(f"CREATE TABLE IF NOT EXISTS {rejected} ({_REJECTED})")
            session.commit()

    def marks(self, connection: str) -> Mapping[str, Mark]:
        """Return the mark of each lane of the connection; {} where nothing was ever committed. Creates nothing."""
        with self._session() as session:
            return state.read_marks(session, connection)

    def tables(self) -> Sequence[Table]:
        """Return the opened schema's tables and the generations being filled for them, `_sdc_rejected` left out."""
        with self._session() as session:
            stored = catalog.read_tables(session, self._schema)
        return [one.table for one in stored if one.table.name != RULES.rejected_table]

    @contextmanager
    def begin(self, load: Load, after: Mark | None) -> Generator[Writer]:
        """Open a load; its transaction begins with the first rows and is undone unless it is committed."""
        from lockstitch.destinations.postgres.writer import PostgresWriter

        with self._session() as session:
            yield PostgresWriter(session, self._schema, load, after)

    def adopt(self, connection: str, lane: str, mark: Mark, after: Mark | None) -> None:
        """Write a mark without rows, fenced by `after`."""
        with self._session() as session:
            state.lock_mark(session, connection, lane, after)
            state.write_mark(session, connection, lane, mark)
            session.commit()

    def ledger(self, connection: str) -> Sequence[tuple[str, int, LedgerRow]]:
        """Return (lane, commit number, row) of all committed loads of the connection, in their order."""
        with self._session() as session:
            return state.read_ledger(session, connection)

    def read_back(self, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the table's rows, in no particular order."""
        from lockstitch.destinations.postgres.reading import read_rows

        with self._session() as session:
            yield from read_rows(session, Relation(self._schema, table), columns)

    def query(self, schema: str, sql: str) -> Iterator[pa.RecordBatch]:
        """Yield the answer to a statement, in a transaction that can only read."""
        from lockstitch.destinations.postgres.reading import query_rows

        with self._session() as session:
            yield from query_rows(session, schema, sql)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    # --- sessions ------------------------------------------------------------------------------------------------

    @contextmanager
    def _session(self) -> Generator[Session]:
        """Lend a connection. What was not committed is undone; after an error no idle one is trusted either."""
        session = self._idle.pop() if self._idle else connect(self._properties, lock_timeout=self._lock_timeout)
        try:
            yield session
            session.rollback()
        except BaseException:
            session.close()
            self.close()
            raise
        self._idle.append(session)

    # --- making --------------------------------------------------------------------------------------------------

    def _is_made(self, session: Session) -> bool:
        if state.format_of(session) != len(state.MIGRATIONS):
            return False
        rejected = str(Relation(self._schema, RULES.rejected_table))
        return bool(session.value("SELECT to_regclass($1) IS NOT NULL", rejected))

    def _make_schema(self, session: Session, name: str) -> None:
        try:
            session.run(f"CREATE SCHEMA {quoted(name)}")
        except AccessError as error:
            raise AccessError(
                f"Encountered error while attempting to create new schema. {error.message}", hint=error.hint
            ) from error

    def _may_not_create(self, database: str) -> AccessError:
        return AccessError(
            f"user {self._properties.username!r} may not create schemas in database {database!r}",
            hint=f"GRANT CREATE ON DATABASE {quoted(database)} TO {quoted(self._properties.username)}",
        )


def refuse_version(told: str) -> None:
    """Refuse servers that are too old, those among them that only call themselves PostgreSQL (Redshift: 8.0.2)."""
    found = re.match(r"PostgreSQL (\d+)", told)
    if found is None or int(found[1]) < OLDEST:
        raise AccessError(f"{_WRONG_TYPE} (it is: {told})", hint=f"PostgreSQL {OLDEST} or newer is needed")


def _refuse_name(schema: str) -> None:
    if not schema or len(schema.encode()) > 63 or schema == STATE or schema.lower().startswith("pg_"):
        raise SettingsError(
            f"the schema cannot be named {schema!r}",
            hint="set name in [source] to 1 to 63 letters, digits and underscores, not beginning with pg_",
        )
