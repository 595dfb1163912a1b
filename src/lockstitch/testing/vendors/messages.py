"""What a vendor's fake server gets and gives: requests, replies, how their bytes go, and the clock behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

#: One object of a vendor's API, as its JSON has it.
Record = dict[str, Any]


class Clock:
    """A vendor's time: the real one until a test sets it; from then on it stands still and is moved by hand."""

    def __init__(self, at: datetime | None = None) -> None:
        self._at = at

    def now(self) -> datetime:
        return datetime.now(UTC) if self._at is None else self._at

    def set(self, at: datetime) -> None:
        self._at = at

    def advance(self, by: timedelta) -> None:
        self._at = self.now() + by


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came. `path` is decoded and has no query; names of `headers` are in lower case.

    `number` counts the server's requests from 1; `at` is what the server's clock said.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes
    number: int
    at: datetime

    def get(self, name: str) -> str | None:
        """Return the last value of a query parameter, or None."""
        return next((value for key, value in reversed(self.query) if key == name), None)

    def json(self) -> Any:
        """Return the body's JSON; ValueError when it is none."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How an answer's bytes go over the wire.

    delay      seconds before the first byte
    piece      bytes between two pauses of `pause` seconds; 0: all at once
    cut        bytes of the body after which the connection ends although more was announced; None: whole
    end        how the connection ends after a cut, or in the place of an answer
    chunked    announce no length: chunks, whose closing one is missing after a cut
    answered   False: the connection ends and not a byte of an answer goes
    """

    delay: float = 0.0
    piece: int = 0
    pause: float = 0.0
    cut: int | None = None
    end: Literal["close", "reset"] = "close"
    chunked: bool = False
    answered: bool = True


@dataclass(slots=True)
class Reply:
    """What the server answers. A `Date` is added by the server's clock unless it is among the headers."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    delivery: Delivery = Delivery()


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a reply whose body is the value as JSON."""
    body = json.dumps(value, ensure_ascii=False).encode()
    return Reply(status, body, {"Content-Type": "application/json", **(headers or {})})
