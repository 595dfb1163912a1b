"""Import API: the records that clients push to this server. Light: imports no driver."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lockstitch.core.errors import SettingsError

if TYPE_CHECKING:
    from lockstitch.core.protocols import Source
    from lockstitch.toolkit.inbox.reader import InboxReader

TYPES = ("import_api",)
TITLE = "Import API"
EXTRA: str | None = None
CREDENTIALS: frozenset[str] = frozenset({"database"})


class Properties(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The settings of an Import API source: either a folder, or a database and a source in it."""

    #: The folder in which the server keeps what was pushed until it is loaded.
    inbox: str = ""
    #: The control store of servers that share one: a PostgreSQL address, with its password.
    database: str = ""
    #: The source's id there.
    source_id: int = 0


def open_source(properties: Properties, *, spool: Path | None = None) -> Source:
    """Return the source; nothing is opened yet. Raises SettingsError. `spool` is not needed."""
    del spool
    from lockstitch.sources.import_api.source import ImportApiSource

    return ImportApiSource(_inbox(properties))


def _inbox(properties: Properties) -> InboxReader:
    if bool(properties.inbox) == bool(properties.database) or bool(properties.database) != (properties.source_id > 0):
        raise SettingsError(
            "source.properties do not name one inbox",
            hint="give `inbox`, a folder; or `database`, a PostgreSQL address, and `source_id`",
        )
    if properties.inbox:
        from lockstitch.toolkit.inbox.inbox import Inbox

        return Inbox(Path(properties.inbox).expanduser())
    from lockstitch.toolkit.inbox.shared import SharedInbox

    return SharedInbox(properties.database, properties.source_id)
