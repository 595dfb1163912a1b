"""Tables and queries of a DuckDB file or a PostgreSQL database, as a source. Light: imports no driver."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lockstitch.core.errors import SettingsError
from lockstitch.toolkit import databases
from lockstitch.toolkit.home import home_folder

if TYPE_CHECKING:
    from lockstitch.core.protocols import Source

TYPES = ("query",)
TITLE = "Tables and queries"
EXTRA: str | None = None
CREDENTIALS = databases.CREDENTIALS
PATHS = databases.PATHS
HOSTS = databases.HOSTS


class Properties(databases.DatabaseProperties, kw_only=True, frozen=True):
    """The settings of a source of tables and queries, beside those that lead to their database."""

    #: By the stream's name: its `table` or `query`, and, where there are, its `key` and `cursor` columns.
    streams: dict[str, Any]


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
    database = databases.open_database(properties)
    from lockstitch.sources.query.source import QuerySource

    return QuerySource(database, streams, spool or home_folder() / "spool")


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
