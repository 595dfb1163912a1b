"""A row as the object that Heap takes, or the reason why it takes none (`spec/source-heap.md` section 13)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from lockstitch.destinations.heap.rules import RULES
from lockstitch.destinations.heap.sends import LONGEST_PROPERTY, Call, Identify, Send, Track, columns_of
from lockstitch.toolkit.moments import read_moment

LONGEST_IDENTITY = 255
#: Whole numbers up to here are exact wherever JSON is read; a greater one goes as text.
MOST_EXACT = 2**53 - 1
#: The most that an idempotency key may have is not documented; this is a hash of 32 characters.
_KEY_BYTES = 16

Row = Mapping[str, Any]


class Unfit(Exception):
    """The row cannot be sent; says why."""


@dataclass(frozen=True, slots=True)
class Object:
    """One object of a call.

    `place` is what it is about: of two objects of one call and place only one counts. `whose` is the identity or user
    id that limits count by.
    """

    call: Call
    place: str
    whose: str
    body: Mapping[str, Any]


class Objects:
    """Makes the objects of one table's rows for one `send`. `present` are the columns that the table has."""

    def __init__(self, send: Send, table: str, key: Sequence[str], present: Iterable[str]) -> None:
        self._send = send
        self._table = table
        there = frozenset(present)
        self._columns = {name: forms_of(name, there) for name in (*send.required, *send.optional)}
        self._key = key
        if isinstance(send, Track):
            names = send.idempotency_key or key
            self._columns |= {name: forms_of(name, there) for name in names}
            self._key = names

    def of(self, row: Row) -> Object:
        """Return the row's object. Raises Unfit."""
        match self._send:
            case Track():
                return self._track(self._send, row)
            case Identify():
                user_id, identity = self._id(row, self._send.user_id), self._identity(row, self._send.identity)
                body = {"identity": identity, "user_id": user_id, **self._timestamp(row, self._send.timestamp)}
                return Object("identify", user_id, identity, body)
            case _:
                identity = self._identity(row, self._send.identity)
                body = {"identity": identity, "properties": self._properties(row)}
                return Object("add_user_properties", identity, identity, body)

    def _track(self, send: Track, row: Row) -> Object:
        if send.identity is not None:
            who = {"identity": self._identity(row, send.identity)}
        else:
            who = {"user_id": self._id(row, send.user_id or "")}
        key = self._idempotency_key(send.event, row)
        body = {
            "event": send.event,
            **who,
            **self._session(row, send.session_id),
            **self._timestamp(row, send.timestamp),
            "properties": self._properties(row),
            "idempotency_key": key,
        }
        return Object("track", key, next(iter(who.values())), body)

    def _idempotency_key(self, event: str, row: Row) -> str:
        """Return a hash of the table, the key and the event's name: however often it is sent, Heap keeps it once."""
        values = [plain(self._value(row, name)) for name in self._key]
        if all(value is None for value in values):
            raise Unfit(f"all of {', '.join(self._key)} are null: nothing tells this event from others")
        told = json.dumps([self._table, [None if value is None else str(value) for value in values], event])
        return hashlib.blake2b(told.encode(), digest_size=_KEY_BYTES).hexdigest()

    def _identity(self, row: Row, name: str) -> str:
        value = plain(self._value(row, name))
        text = "" if value is None else str(value)
        if not 1 <= len(text) <= LONGEST_IDENTITY:
            seen = "null" if value is None else f"{len(text)} characters long"
            raise Unfit(f"{name} is {seen}; an identity has 1 to {LONGEST_IDENTITY} characters")
        return text

    def _id(self, row: Row, name: str) -> str:
        """Return the id of a user or a session."""
        value = plain(self._value(row, name))
        text = "" if value is None else str(value)
        if not (text.isascii() and text.isdecimal() and int(text) <= MOST_EXACT):
            raise Unfit(f"{name} is {'null' if value is None else repr(text[:40])}; an id in Heap is 0 to 2^53 - 1")
        return str(int(text))

    def _session(self, row: Row, name: str | None) -> dict[str, str]:
        return {} if name is None or self._value(row, name) is None else {"session_id": self._id(row, name)}

    def _timestamp(self, row: Row, name: str | None) -> dict[str, str]:
        if name is None:
            return {}
        value = self._value(row, name)
        if isinstance(value, str):
            try:
                value = read_moment(value)
            except ValueError:
                raise Unfit(f"{name} is {value[:40]!r}, which is no time in ISO 8601") from None
        if not isinstance(value, datetime):
            raise Unfit(f"{name} is {'null' if value is None else repr(value)}; the event has no time")
        return {"timestamp": _iso(value)}

    def _properties(self, row: Row) -> dict[str, str | int | float]:
        found: dict[str, str | int | float] = {}
        for name, column in columns_of(self._send.properties).items():
            value = plain(self._value(row, column))
            if value is None:
                continue
            if isinstance(value, str) and len(value) > LONGEST_PROPERTY:
                raise Unfit(f"{column} is {len(value)} characters long; a property has up to {LONGEST_PROPERTY}")
            if isinstance(value, float) and not math.isfinite(value):
                raise Unfit(f"{column} is {value}, which is no number in JSON")
            found[name] = value
        return found

    def _value(self, row: Row, name: str) -> Any:
        """Return a column's value; one of another type than the first stands in a column of its own."""
        for form in self._columns[name]:
            value = row.get(form)
            if value is not None:
                return value
        return None


def forms_of(name: str, present: frozenset[str]) -> tuple[str, ...]:
    """Return the columns that hold a field's values: under its name, and split off by type."""
    split = (f"{name}__{rule.suffix}" for rule in RULES.types.values())
    return tuple(form for form in (name, *split) if form in present)


def plain(value: Any) -> str | int | float | None:
    """Return a value as Heap takes it, a text or a number, without changing it."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return value if abs(value) <= MOST_EXACT else str(value)
        case Decimal():
            return _decimal(value)
        case datetime():
            return _iso(value)
        case _:
            return value


def _decimal(value: Decimal) -> str | int | float:
    if value == value.to_integral_value():
        return plain(int(value)) or 0
    number = float(value)
    return number if Decimal(repr(number)) == value else format(value.normalize(), "f")


def _iso(value: datetime) -> str:
    moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat()


def record_of(row: Row) -> str:
    """Return the row as JSON, for who looks at why it was refused."""
    told = {name: value for name, value in row.items() if value is not None and not name.startswith("_sdc_")}
    return json.dumps(told, ensure_ascii=False, default=str)[: RULES.record_limit]
