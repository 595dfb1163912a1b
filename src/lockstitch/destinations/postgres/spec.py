"""What is known of the PostgreSQL destination without its driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from lockstitch.core.errors import SettingsError

if TYPE_CHECKING:
    from lockstitch.core.protocols import Destination

TYPES = ("postgres",)
TITLE = "PostgreSQL"
EXTRA = "postgres"
CREDENTIALS = frozenset({"password"})
HOSTS = {"host": "hostaddr"}
PATHS = {"sslrootcert": "(?s)(?!system$|.*-----BEGIN)"}

Port = Annotated[int, Meta(ge=1, le=65535, description="the server's TCP port")]
Seconds = Annotated[int, Meta(ge=1, le=600, description="seconds to wait for a connection")]


class Properties(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Connect API's properties of a `postgres` destination, and `connect_timeout`.

    `ssl` left out encrypts where the server can; true demands it, false does without. `sslrootcert`, a file or the
    certificate's own text, has the server's certificate and name checked. `hostaddr`, of libpq, are the addresses of
    `host`, separated by commas; left out, the name is resolved.
    """

    host: str
    hostaddr: str | None = None
    port: Port = 5432
    username: str
    password: str = ""
    database: str
    ssl: bool | None = None
    sslrootcert: str | None = None
    encryption_type: Literal["none", "ssh"] = "none"
    encryption_host: str | None = None
    encryption_port: str | None = None
    encryption_username: str | None = None
    connect_timeout: Seconds = 10


def open_destination(properties: Properties) -> Destination:
    """Return the destination; nothing is connected yet."""
    refuse_impossible(properties)

    from lockstitch.destinations.postgres.destination import Postgres

    return Postgres(properties)


def refuse_impossible(properties: Properties) -> None:
    """Raise a user error for settings that contradict each other, or that are not built yet."""
    if properties.encryption_type == "ssh":
        raise SettingsError(
            "encryption_type is 'ssh', and tunnels are not built yet",
            hint="open the tunnel yourself (ssh -L 5433:host:5432 bastion), then use its end as host and port",
        )
    if properties.sslrootcert and properties.ssl is False:
        raise SettingsError(
            "sslrootcert is set, and ssl is false: there would be no certificate to check",
            hint="set ssl to true, or leave sslrootcert out",
        )
