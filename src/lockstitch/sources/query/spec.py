"""Tables and queries of a DuckDB file or a PostgreSQL database, as a source. Light: imports no driver."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from lockstitch.core.errors import SettingsError
from lockstitch.toolkit.home import home_folder

if TYPE_CHECKING:
    from lockstitch.core.protocols import Source
    from lockstitch.sources.query.databases import Database

TYPES = ("query",)
TITLE = "Tables and queries"
EXTRA: str | None = None
CREDENTIALS = frozenset({"password"})
PATHS = {"path": ""}
HOSTS: dict[str, str | None] = {"host": "hostaddr"}

Port = Annotated[int, Meta(ge=1, le=65535, description="the server's TCP port")]


class Properties(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The settings of a source of tables and queries: either a DuckDB file, or a PostgreSQL database."""

    #: By the stream's name: its `table` or `query`, and, where there are, its `key` and `cursor` columns.
    streams: dict[str, Any]
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


class StreamQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One stream: a table, or the answer to a query."""

    table: str | None = None
    query: str | None = None
    key: list[str] = []
    cursor: str | None = None


def open_source(properties: Properties, *, spool: Path | None = None) -> Source:
    """Return the source; nothing is opened yet. Raises SettingsError. Answers wait below `spool`."""
    streams = {name: _stream(name, value) for name, value in properties.streams.items()}
    if not streams:
        raise SettingsError("source.properties.streams is empty", hint="name a stream, and its table or query")
    database = _database(properties)
    from lockstitch.sources.query.source import QuerySource

    return QuerySource(database, streams, spool or home_folder() / "spool")


def _database(properties: Properties) -> Database:
    if (properties.path is None) == (properties.host is None):
        raise SettingsError(
            f"source.properties names {'neither' if properties.path is None else 'both'} of path and host",
            hint="give the path of a DuckDB file, or the host of a PostgreSQL server",
        )
    from lockstitch.sources.query import databases

    if properties.path is not None:
        return databases.DuckDBFile(Path(properties.path).expanduser())
    missing = [name for name in ("username", "database") if not getattr(properties, name)]
    if missing:
        raise SettingsError(f"source.properties lacks {', '.join(missing)}", hint="PostgreSQL cannot do without")
    return databases.PostgresDatabase(properties)


def _stream(name: str, value: Any) -> StreamQuery:
    place = f"source.properties.streams.{name}"
    hint = 'write table = "schema.table" or query = "select ...", and where there are key = ["id"], cursor = "column"'
    try:
        stream = msgspec.convert(value, StreamQuery)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{place}: {error}", hint=hint) from None
    if bool(stream.table) == bool(stream.query):
        raise SettingsError(f"{place} names {'both' if stream.table else 'neither'} of table and query", hint=hint)
    return stream
