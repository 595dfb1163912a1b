"""Profiles of users, looked up in Heap's API one by one. Apart from `platform.heap`, which reads dumps. Light."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from lockstitch.core.errors import SettingsError
from lockstitch.toolkit import databases
from lockstitch.toolkit.home import home_of

if TYPE_CHECKING:
    from lockstitch.core.protocols import Source

TYPES = ("heap_api",)
TITLE = "Heap (look-up of users)"
EXTRA: str | None = None
CREDENTIALS = databases.CREDENTIALS | {"access_token", "client_secret"}
PATHS = databases.PATHS
HOSTS = {**databases.HOSTS, "base_url": None, "token_url": None}

BASE_URL = "https://api.heap.io"


class Properties(databases.DatabaseProperties, kw_only=True, frozen=True):
    """The settings of a look-up: whose profiles, and either a token or a client that gets tokens.

    Whose is said by a list, or by a query of a database, to which the other settings lead.
    """

    #: Whose profiles are read: a list, or as a text a query of one column.
    identities: Annotated[list[str], Meta(min_length=1)] | Annotated[str, Meta(min_length=1)]
    #: Where the API is; Heap does not confirm that it exists.
    base_url: str = BASE_URL
    #: A token.
    access_token: str | None = None
    #: A client that gets tokens, from `<base_url>/oauth/token` or `token_url`.
    client_id: str | None = None
    client_secret: str | None = None
    token_url: str | None = None


def open_source(properties: Properties, *, spool: Path | None = None) -> Source:
    """Return the source; nothing is asked yet. Raises SettingsError. Tokens are kept beside `spool`."""
    _refuse_wrong(properties)
    from lockstitch.sources.heap_api.source import HeapUsers

    database = databases.open_database(properties) if isinstance(properties.identities, str) else None
    return HeapUsers(properties, database, home_of(spool))


def _refuse_wrong(properties: Properties) -> None:
    for name in ("base_url", "token_url"):
        address = getattr(properties, name)
        if address is not None and not re.match(r"https?://[^/]+", address):
            raise SettingsError(f"source.properties.{name} is {address!r}", hint=f"write an address such as {BASE_URL}")
    if not properties.access_token and not (properties.client_id and properties.client_secret):
        raise SettingsError(
            "source.properties has neither access_token nor client_id and client_secret", hint="set one or the other"
        )
    if isinstance(properties.identities, str) and properties.path is None and properties.host is None:
        raise SettingsError(
            f"source.properties.identities is {properties.identities[:200]!r}, a query, and no database is named",
            hint="name its path or host; whoever is not looked for by a query stands in brackets, as in ['ann']",
        )
    if not all(properties.identities):
        raise SettingsError("source.properties.identities has an empty one", hint="name each as Heap knows it")
