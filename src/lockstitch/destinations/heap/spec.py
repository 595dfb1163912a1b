"""Heap's server-side API, as a place to send rows to: events, identities, properties of users. Light: no driver."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lockstitch.core.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from lockstitch.core.protocols import Destination

TYPES = ("heap",)
TITLE = "Heap (sender)"
EXTRA: str | None = None
CREDENTIALS = frozenset({"access_token"})
PATHS = {"state": ""}
HOSTS: dict[str, str | None] = {"base_url": None}

BASE_URLS = {"us": "https://heapanalytics.com", "eu": "https://c.eu.heap-api.com"}


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
    auth: Literal["app_id", "bearer"] = "app_id"
    #: With `auth` "bearer": the token.
    access_token: str | None = None
    #: The folder for what the sender must remember; without it, one below the home folder.
    state: str | None = None


def open_destination(properties: Properties) -> Destination:
    """Return the destination; nothing is asked yet. Raises SettingsError."""
    from lockstitch.destinations.heap.sends import read_sends

    sends = read_sends(properties.send)
    _refuse_wrong(properties)
    from lockstitch.destinations.heap.api import HeapApi
    from lockstitch.destinations.heap.destination import Heap
    from lockstitch.destinations.heap.state import State
    from lockstitch.toolkit.home import home_folder

    base_url = properties.base_url or BASE_URLS[properties.region]
    token = properties.access_token
    home = home_folder()
    api = HeapApi(
        base_url,
        properties.app_id,
        authorize=(lambda _: {"Authorization": f"Bearer {token}"}) if properties.auth == "bearer" else None,
        home=home,
    )
    return Heap(api, sends, State(_state(properties, base_url, home)))


def _state(properties: Properties, base_url: str, home: Path) -> Path:
    import hashlib
    from pathlib import Path

    if properties.state is not None:
        return Path(properties.state).expanduser()
    name = f"{base_url}\0{properties.app_id}"
    return home / "heap" / hashlib.blake2b(name.encode(), digest_size=8).hexdigest()


def _refuse_wrong(properties: Properties) -> None:
    if properties.base_url is not None and not re.match(r"https?://[^/]+", properties.base_url):
        raise SettingsError(
            f"destination.properties.base_url is {properties.base_url!r}",
            hint=f"write an address such as {BASE_URLS['us']}, or leave it out",
        )
    for name in _NEEDED[properties.auth]:
        if not (getattr(properties, name) or "").strip():
            raise SettingsError(
                f"destination.properties lacks {name}", hint=f"auth = {properties.auth!r} cannot do without"
            )


_NEEDED = {"app_id": ("app_id",), "bearer": ("access_token",)}
