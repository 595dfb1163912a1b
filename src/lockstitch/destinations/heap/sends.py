"""What a table's rows become: `send` in the settings, as data that is found right before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

import msgspec

from lockstitch.core.errors import SettingsError

Call = Literal["identify", "add_user_properties", "track"]

#: The order in which a load's calls go: an identity first, then what is known of it, then what it has done.
CALLS: tuple[Call, ...] = ("identify", "add_user_properties", "track")

#: Names of properties and the columns that they are read from.
Named = list[str] | dict[str, str]

LONGEST_EVENT = 1_024
LONGEST_PROPERTY = 1_023


class Track(msgspec.Struct, tag_field="as", tag="track", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """An event for each row. All but `event` are names of columns."""

    call: ClassVar[Call] = "track"
    event: str
    #: Who has done it: one of these two.
    identity: str | None = None
    user_id: str | None = None
    #: When; without it, when Heap gets it.
    timestamp: str | None = None
    #: In which session of Heap's; a row without a value has none.
    session_id: str | None = None
    properties: Named = []
    #: What tells one event from others; without it, the table's key.
    idempotency_key: list[str] | None = None

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that a row cannot do without."""
        named = (self.identity, self.user_id, self.timestamp, *(self.idempotency_key or ()))
        return tuple(name for name in named if name is not None)

    @property
    def optional(self) -> tuple[str, ...]:
        """The columns that are sent where a row has a value."""
        session = () if self.session_id is None else (self.session_id,)
        return (*session, *columns_of(self.properties).values())


class Identify(msgspec.Struct, tag_field="as", tag="identify", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """An identity for each row's user id."""

    call: ClassVar[Call] = "identify"
    identity: str
    user_id: str
    timestamp: str | None = None
    properties: ClassVar[Named] = []
    optional: ClassVar[tuple[str, ...]] = ()

    @property
    def required(self) -> tuple[str, ...]:
        return (self.identity, self.user_id, *((self.timestamp,) if self.timestamp is not None else ()))


class UserProperties(
    msgspec.Struct, tag_field="as", tag="add_user_properties", forbid_unknown_fields=True, kw_only=True, frozen=True
):
    """What is known of each row's identity."""

    call: ClassVar[Call] = "add_user_properties"
    identity: str
    properties: Named

    @property
    def required(self) -> tuple[str, ...]:
        return (self.identity,)

    @property
    def optional(self) -> tuple[str, ...]:
        return tuple(columns_of(self.properties).values())


Send = Track | Identify | UserProperties

_KINDS: Mapping[str, type[Send]] = {"track": Track, "identify": Identify, "add_user_properties": UserProperties}


def read_sends(settings: Mapping[str, Any]) -> Mapping[str, tuple[Send, ...]]:
    """Return what is sent of each table. Raises SettingsError, which names the table and the word."""
    if not settings:
        raise SettingsError(
            "destination.properties.send is empty", hint="say for each table what its rows are sent as; see docs"
        )
    return {table: tuple(_several(table, each)) for table, each in settings.items()}


def columns_of(properties: Named) -> Mapping[str, str]:
    """Return the column of each property."""
    return properties if isinstance(properties, dict) else {name: name for name in properties}


def _several(table: str, value: Any) -> Sequence[Send]:
    place = f"destination.properties.send.{table}"
    if not isinstance(value, list):
        return [_one(place, value)]
    found = [_one(f"{place}[{at}]", each) for at, each in enumerate(cast("list[Any]", value))]
    if not found:
        raise SettingsError(f"{place} is an empty list", hint="say what the table's rows are sent as, or leave it out")
    return found


def _one(place: str, value: Any) -> Send:
    kind = cast("Mapping[str, Any]", value).get("as") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise SettingsError(
            f"{place}.as is {'missing' if kind is None else repr(kind)}", hint=f"write one of {', '.join(_KINDS)}"
        )
    try:
        send = msgspec.convert(value, Send)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{place}: {error}", hint=_takes(kind)) from None
    _refuse_wrong(place, send)
    return send


def _takes(kind: str) -> str:
    fields = msgspec.structs.fields(_KINDS[kind])
    must = ", ".join(field.encode_name for field in fields if field.required)
    may = ", ".join(field.encode_name for field in fields if not field.required)
    return f"{kind} needs {must}" + (f" and takes {may}" if may else "")


def _refuse_wrong(place: str, send: Send) -> None:
    if isinstance(send, Track):
        if (send.identity is None) == (send.user_id is None):
            raise SettingsError(
                f"{place} names {'neither' if send.identity is None else 'both'} of identity and user_id",
                hint="name the one column that says who has done it",
            )
        if not 1 <= len(send.event) <= LONGEST_EVENT:
            raise SettingsError(
                f"{place}.event has {len(send.event)} characters", hint=f"Heap takes 1 to {LONGEST_EVENT}"
            )
        if send.idempotency_key is not None and not send.idempotency_key:
            raise SettingsError(
                f"{place}.idempotency_key is empty", hint="name columns, or leave it out to use the table's key"
            )
    for name in columns_of(send.properties):
        if not 1 <= len(name) <= LONGEST_PROPERTY:
            raise SettingsError(
                f"{place}.properties has a name of {len(name)} characters", hint=f"Heap takes 1 to {LONGEST_PROPERTY}"
            )
        if isinstance(send, UserProperties) and name.lower() == "id":
            raise SettingsError(
                f"{place}.properties has {name!r}, a name that Heap keeps for itself",
                hint='give it another name: properties = { customer = "id" }',
            )
    if isinstance(send, UserProperties) and not send.properties:
        raise SettingsError(f"{place}.properties is empty", hint="name the columns to send")
