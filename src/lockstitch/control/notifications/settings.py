"""What the operator of a server decides about messages that leave it. Read from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from typing import Literal, cast, get_args

from lockstitch.control.notifications.emails import is_address
from lockstitch.core.errors import SettingsError
from lockstitch.toolkit.addresses import Allowed

Security = Literal["starttls", "tls", "none"]

#: Stitch's own is "Stitch Notification - ", which filters of mail may look for.
SUBJECT_PREFIX = "Lockstitch Notification - "
_PORTS: dict[Security, int] = {"starttls": 587, "tls": 465, "none": 25}
_SWITCH = {"on": True, "off": False}


@dataclass(frozen=True, slots=True)
class Smtp:
    """The mail server that takes our mail. `repr` shows no password."""

    host: str
    port: int
    security: Security
    sender: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What may leave the server, and how. Without `smtp` no mail is sent."""

    allowed: Allowed = field(default_factory=Allowed)
    smtp: Smtp | None = None
    subject_prefix: str = SUBJECT_PREFIX
    hooks: bool = True
    plain_hooks: bool = False
    custom_emails: bool = True

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Outgoing:
        """Read LOCKSTITCH_ALLOW_NETWORKS, _SMTP_*, _SUBJECT_PREFIX, _HOOKS, _PLAIN_HOOKS and _CUSTOM_EMAILS.

        Raises SettingsError for a value that is none.
        """
        return cls(
            allowed=Allowed.from_environment(environment),
            smtp=_smtp(environment),
            subject_prefix=environment.get("LOCKSTITCH_SUBJECT_PREFIX", SUBJECT_PREFIX),
            hooks=_switch(environment, "LOCKSTITCH_HOOKS", "on"),
            plain_hooks=_switch(environment, "LOCKSTITCH_PLAIN_HOOKS", "off"),
            custom_emails=_switch(environment, "LOCKSTITCH_CUSTOM_EMAILS", "on"),
        )


def _smtp(environment: Mapping[str, str]) -> Smtp | None:
    host = environment.get("LOCKSTITCH_SMTP_HOST")
    if not host:
        return None
    security = environment.get("LOCKSTITCH_SMTP_SECURITY", "starttls")
    if security not in get_args(Security):
        raise _unusable("LOCKSTITCH_SMTP_SECURITY", security, f"one of {', '.join(get_args(Security))}")
    security = cast("Security", security)
    port = environment.get("LOCKSTITCH_SMTP_PORT", str(_PORTS[security]))
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise _unusable("LOCKSTITCH_SMTP_PORT", port, "a number from 1 to 65535")
    sender = environment.get("LOCKSTITCH_SMTP_FROM")
    if not sender:
        raise SettingsError(
            "LOCKSTITCH_SMTP_HOST is set, but LOCKSTITCH_SMTP_FROM is not",
            hint="set it to the address that mail comes from, such as lockstitch@example.com",
        )
    if not is_address(parseaddr(sender)[1]):
        raise _unusable("LOCKSTITCH_SMTP_FROM", sender, "an address, such as lockstitch@example.com")
    username, password = (environment.get(f"LOCKSTITCH_SMTP_{name}") or None for name in ("USERNAME", "PASSWORD"))
    if username and security == "none":
        raise SettingsError(
            "LOCKSTITCH_SMTP_SECURITY is none, so the password would be sent for all to read",
            hint="use starttls or tls, or leave out LOCKSTITCH_SMTP_USERNAME",
        )
    return Smtp(host, int(port), security, sender, username, password)


def _switch(environment: Mapping[str, str], name: str, default: str) -> bool:
    text = environment.get(name, default)
    if text not in _SWITCH:
        raise _unusable(name, text, "on or off")
    return _SWITCH[text]


def _unusable(name: str, text: str, wanted: str) -> SettingsError:
    return SettingsError(f"{name} is {text!r}", hint=f"set it to {wanted}")
