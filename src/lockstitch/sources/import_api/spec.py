"""Import API: the records that clients push to this server. Light: imports no driver."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lockstitch.core.errors import SettingsError

if TYPE_CHECKING:
    from lockstitch.core.protocols import Source

TYPES = ("import_api",)
TITLE = "Import API"
EXTRA: str | None = None
CREDENTIALS: frozenset[str] = frozenset()


class Properties(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The settings of an Import API source."""

    #: The folder in which the server keeps what was pushed until it is loaded.
    inbox: str


def open_source(properties: Properties, *, spool: Path | None = None) -> Source:
    """Return the source; nothing is opened yet. Raises SettingsError. `spool` is not needed."""
    del spool
    if not properties.inbox:
        raise SettingsError("source.properties.inbox is empty", hint="give the folder of the inbox")
    from lockstitch.sources.import_api.source import ImportApiSource

    return ImportApiSource(Path(properties.inbox).expanduser())
