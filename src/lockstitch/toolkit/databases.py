"""A DuckDB file or a PostgreSQL database that is only read: its settings, and what is asked of it. Loads no driver."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, cast

import msgspec
from msgspec import Meta

from lockstitch.core.errors import AccessError, LockstitchError, SettingsError, SourceDataError, TransientError
from lockstitch.core.model import Field
from lockstitch.toolkit.held import held

if TYPE_CHECKING:
    import duckdb
    import psycopg
    import pyarrow as pa

Port = Annotated[int, Meta(ge=1, le=65535, description="the server's TCP port")]

#: What a source whose settings lead to a database has in its spec.
CREDENTIALS = frozenset({"password"})
PATHS = {"path": ""}
HOSTS: Mapping[str, str | None] = {"host": "hostaddr"}

_ROWS = 65_536
#: Fewer at a time where they pass through Python.
_PYTHON_ROWS = 8_192

#: JSON Schema's word, and its format, for a column type; text for all others.
_WORDS: Mapping[str, tuple[str, str | None]] = {
    **dict.fromkeys(("tinyint", "smallint", "integer", "bigint", "hugeint", "int2", "int4", "int8"), ("integer", None)),
    **dict.fromkeys(("utinyint", "usmallint", "uinteger", "ubigint"), ("integer", None)),
    **dict.fromkeys(("float", "double", "decimal", "numeric", "float4", "float8"), ("number", None)),
    **dict.fromkeys(("boolean", "bool"), ("boolean", None)),
    **dict.fromkeys(("date", "timestamp", "timestamp with time zone", "timestamptz"), ("string", "date-time")),
}


class DatabaseProperties(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The settings that lead to a database: either a DuckDB file, or a PostgreSQL database."""

    #: A DuckDB file.
    path: str | None = None
    #: A PostgreSQL server. `hostaddr`, of libpq, are the addresses of `host`.
    host: str | None = None
    hostaddr: str | None = None
    port: Port = 5432
    username: str | None = None
    password: str = ""
    database: str | None = None
    #: True demands an encrypted connection, false does without; left out, encrypts where the server can.
    ssl: bool | None = None


@dataclass(frozen=True, slots=True)
class AnswerColumn:
    """A column of an answer, with the database's own name of its type."""

    name: str
    native: str

    def field(self) -> Field:
        kind, form = _WORDS.get(self.native.lower().partition("(")[0], ("string", None))
        return Field(self.name, kind, form)


class Database(Protocol):
    """One database. What is wrong with a statement is a SettingsError."""

    def columns(self, sql: str) -> Sequence[AnswerColumn]:
        """Return the columns of a statement's answer, without its rows."""
        ...

    def rows(self, sql: str) -> Generator[pa.RecordBatch]:
        """Yield a statement's answer; it must be read to its end at once, as others may wait for the database."""
        ...


def open_database(properties: DatabaseProperties) -> Database:
    """Return the database; nothing is opened yet. Raises SettingsError."""
    if (properties.path is None) == (properties.host is None):
        raise SettingsError(
            f"source.properties names {'neither' if properties.path is None else 'both'} of path and host",
            hint="give the path of a DuckDB file, or the host of a PostgreSQL server",
        )
    if properties.path is not None:
        return DuckDBFile(Path(properties.path).expanduser())
    missing = [name for name in ("username", "database") if not getattr(properties, name)]
    if missing:
        raise SettingsError(f"source.properties lacks {', '.join(missing)}", hint="PostgreSQL cannot do without")
    return PostgresDatabase(properties)


@dataclass(frozen=True, slots=True)
class DuckDBFile:
    """A DuckDB file. Statements reach nothing else: no other file, no network, no variable of this program."""

    path: Path

    def columns(self, sql: str) -> Sequence[AnswerColumn]:
        with self._opened() as db:
            answer = db.sql(sql)  # which runs nothing before rows are taken
            return [AnswerColumn(name, str(kind)) for name, kind in zip(answer.columns, answer.types, strict=True)]

    def rows(self, sql: str) -> Generator[pa.RecordBatch]:
        with self._opened() as db:
            answer = cast("duckdb.DuckDBPyRelation | None", db.sql(sql))  # whatever its stub says
            if answer is None:
                raise SettingsError("the statement has no answer", hint="write one that selects rows")
            yield from answer.to_arrow_reader(_ROWS)

    @contextmanager
    def _opened(self) -> Generator[duckdb.DuckDBPyConnection]:
        import duckdb

        from lockstitch.toolkit.duckdb_errors import translated

        if not self.path.exists():
            raise AccessError(f"there is no file {self.path}", hint="name a DuckDB file that exists")
        confined: dict[str, str | bool | int | float | list[str]] = {
            "enable_external_access": "false",
            "autoload_known_extensions": "false",
        }
        with held(self.path), translated(self.path):
            db = duckdb.connect(str(self.path), read_only=True, config=confined)
            try:
                db.execute("set TimeZone = 'UTC'")
                db.execute("set python_enable_replacements = false")
                db.execute("set lock_configuration = true")
                yield db
            except (
                duckdb.ProgrammingError,
                duckdb.DataError,
                duckdb.NotSupportedError,
                duckdb.PermissionException,
            ) as error:
                raise _wrong_statement("DuckDB", error) from error
            finally:
                db.close()


class PostgresDatabase:
    """A PostgreSQL database, read within read-only transactions."""

    def __init__(self, properties: DatabaseProperties) -> None:
        self._properties = properties
        self._place = f"{properties.host}:{properties.port}/{properties.database}"

    def columns(self, sql: str) -> Sequence[AnswerColumn]:
        # A cursor of the server's runs nothing before rows are taken.
        with self._opened() as db, db.cursor("lockstitch") as cursor:
            cursor.execute(sql.encode())
            types = db.adapters.types
            described = [(one.name, types.get(one.type_code)) for one in cursor.description or ()]
            return [AnswerColumn(name, kind.regtype if kind is not None else "text") for name, kind in described]

    def rows(self, sql: str) -> Generator[pa.RecordBatch]:
        from psycopg.rows import dict_row

        from lockstitch.toolkit.values import UnknownValue, batch_of

        with self._opened() as db, db.cursor("lockstitch", row_factory=dict_row) as cursor:
            cursor.execute(sql.encode())
            while rows := cursor.fetchmany(_PYTHON_ROWS):
                try:
                    yield batch_of(rows, lambda _: True)
                except UnknownValue as error:
                    raise SourceDataError(
                        f"column {error.place} of the answer: {error}", hint="cast it to text in a query"
                    ) from error

    @contextmanager
    def _opened(self) -> Generator[psycopg.Connection[Any]]:
        import psycopg

        mine = self._properties
        try:
            with psycopg.connect(
                host=mine.host,
                hostaddr=mine.hostaddr,
                port=mine.port,
                user=mine.username,
                password=mine.password,
                dbname=mine.database,
                sslmode={None: "prefer", True: "require", False: "disable"}[mine.ssl],
                connect_timeout=10,
                application_name="lockstitch",
                options="-c timezone=UTC",
            ) as db:
                db.read_only = True
                db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                yield db
        except psycopg.Error as error:
            raise self._meant(error) from error

    def _meant(self, error: psycopg.Error) -> LockstitchError:
        """Return ours for an error, by the class of its SQLSTATE; without one the network is at fault."""
        state = (error.sqlstate or "")[:2]
        text = " ".join(str(error).split())
        if state in ("28", "3D") or "authentication failed" in text or ("does not exist" in text and not state):
            hint = "correct username, password or database"
            return AccessError(f"PostgreSQL {self._place} refuses the connection: {text}", hint=hint)
        if state in ("", "08", "40", "53", "55", "57", "58"):
            return TransientError(f"PostgreSQL {self._place}: {text}", hint="run again when the server answers")
        return _wrong_statement("PostgreSQL", error)


def _wrong_statement(title: str, error: Exception) -> SettingsError:
    return SettingsError(
        f"{title} cannot answer the query: {error}",
        hint="correct the stream's table, query, key or cursor; a query reads the database, and nothing else",
    )
