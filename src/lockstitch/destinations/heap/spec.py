"""Heap's server-side API, as a place to send rows to: events, identities, properties of users. Light: no driver."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lockstitch.core.errors import SettingsError
from lockstitch.toolkit.home import home_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lockstitch.core.protocols import Destination

TYPES = ("heap",)
TITLE = "Heap (sender)"
EXTRA: str | None = None
CREDENTIALS = frozenset({"access_token", "client_secret"})
PATHS = {"state": ""}
HOSTS: dict[str, str | None] = {"base_url": None, "token_url": None}

BASE_URLS = {"us": "https://heapanalytics.com", "eu": "https://c.eu.heap-api.com"}
#: Where the variant behind a token is said to be; Heap does not confirm it.
TOKEN_BASE_URL = "https://api.heap.io"


class Properties(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The settings of a sender to Heap."""

    #: By table, what its rows are sent as: one, or a list of several.
    send: dict[str, Any]
    #: The id of the environment in Heap; with `auth` "app_id" it goes with each request.
    app_id: str | None = None
    #: Where the environment's data lie.
    region: Literal["us", "eu"] = "us"
    #: Where the API is, in place of the region's address.
    base_url: str | None = None
    #: How requests are authorised; a token is asked for by other addresses than Heap's documented one.
    auth: Literal["app_id", "bearer", "client_credentials"] = "app_id"
    #: With `auth` "bearer": the token.
    access_token: str | None = None
    #: With `auth` "client_credentials": the client, and where it gets its tokens if not below `base_url`.
    client_id: str | None = None
    client_secret: str | None = None
    token_url: str | None = None
    #: The folder for what the sender must remember; without it, one below the home folder.
    state: str | None = None


def open_destination(properties: Properties) -> Destination:
    """Return the destination; nothing is asked yet. Raises SettingsError."""
    from lockstitch.destinations.heap.sends import read_sends

    sends = read_sends(properties.send)
    _refuse_wrong(properties)
    from lockstitch.destinations.heap.api import RATE, HeapApi
    from lockstitch.destinations.heap.destination import Heap
    from lockstitch.destinations.heap.state import State
    from lockstitch.toolkit.http.quota import Quota

    home = home_folder()
    by_app_id = properties.auth == "app_id"
    base_url = properties.base_url or (BASE_URLS[properties.region] if by_app_id else TOKEN_BASE_URL)
    account = properties.app_id if by_app_id else properties.client_id or properties.access_token
    quota = Quota(home, "heap", f"{base_url} {account}", RATE)
    api = HeapApi(base_url, properties.app_id, authorize=_authorize(properties, base_url, home), quota=quota)
    return Heap(api, sends, State(_state(properties, base_url, home)))


def _authorize(properties: Properties, base_url: str, home: Path) -> Callable[[bool], Mapping[str, str]] | None:
    """Return what gives the header with a token, or None where the app_id is enough."""
    if properties.auth == "client_credentials":
        from lockstitch.toolkit.http.oauth import Grant, Tokens

        token_url = properties.token_url or f"{base_url.rstrip('/')}/oauth/token"
        return Tokens(home, Grant(token_url, properties.client_id or "", properties.client_secret or "")).headers
    if properties.auth == "bearer":
        headers = {"Authorization": f"Bearer {properties.access_token}"}
        return lambda _: headers
    return None


def _state(properties: Properties, base_url: str, home: Path) -> Path:
    import hashlib
    from pathlib import Path

    if properties.state is not None:
        return Path(properties.state).expanduser()
    name = f"{base_url}\0{properties.app_id}\0{properties.client_id}"
    return home / "heap" / hashlib.blake2b(name.encode(), digest_size=8).hexdigest()


def _refuse_wrong(properties: Properties) -> None:
    for name in ("base_url", "token_url"):
        address = getattr(properties, name)
        if address is not None and not re.match(r"https?://[^/]+", address):
            raise SettingsError(
                f"destination.properties.{name} is {address!r}",
                hint=f"write an address such as {BASE_URLS['us']}, or leave it out",
            )
    for name in _NEEDED[properties.auth]:
        if not (getattr(properties, name) or "").strip():
            raise SettingsError(
                f"destination.properties lacks {name}", hint=f"auth = {properties.auth!r} cannot do without"
            )


_NEEDED = {"app_id": ("app_id",), "bearer": ("access_token",), "client_credentials": ("client_id", "client_secret")}
