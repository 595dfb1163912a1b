"""DuckDB: a database in one file, or the embedded default of a destination. Light: imports no driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from lockstitch.core.protocols import Destination

TYPES = ("duckdb",)
TITLE = "DuckDB"
EXTRA: str | None = None
CREDENTIALS: frozenset[str] = frozenset()
PATHS = {"path": ""}
DEFAULTS = {"path": "{folder}/{name}.duckdb"}


class Properties(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The settings of a DuckDB destination."""

    #: The database file; it is made where it does not exist.
    path: str
    #: DuckDB's own memory for one commit; more rows are sorted and joined on disk. Without it, what suits the load.
    memory_limit: str | None = None


def open_destination(properties: Properties) -> Destination:
    """Return the destination; nothing is opened yet."""
    from lockstitch.destinations.duckdb.destination import DuckDB

    return DuckDB(properties.path, properties.memory_limit)
