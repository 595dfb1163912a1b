"""A FullStory account on a fake server, and the source over it, with pauses that take no time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from lockstitch.core.model import Batch, Checkpoint, Json, Lane, Message, Selected
from lockstitch.sources.fullstory.shapes import EVENT_FIELDS, EXTRA_FIELDS
from lockstitch.sources.fullstory.source import FullStorySource
from lockstitch.sources.fullstory.spec import Properties
from lockstitch.testing.vendors.fullstory import FullStoryServer

KEY = "na1.TESTKEY"
START = "2025-01-01T00:00:00Z"


class Account:
    """Opens sources over one server. `pauses` are the seconds that any of them would have slept."""

    def __init__(self, server: FullStoryServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.pauses: list[float] = []
        self.sleep: Callable[[float], None] = self.pauses.append
        self._opened: list[FullStorySource] = []

    def properties(self, **values: Any) -> Properties:
        told: dict[str, Any] = {
            "api_key": KEY,
            "start_date": START,
            "base_url": self.server.url,
            "export_base_url": self.server.url,
            "request_timeout": 5,
        }
        return msgspec.convert({**told, **values}, Properties)

    def source(self, **values: Any) -> FullStorySource:
        """Return a source as another process would have it."""
        source = FullStorySource(
            self.properties(**values),
            spool=self.folder / "spool",
            home=self.folder,
            now=self.server.clock.now,
            sleep=self.sleep,
        )
        self._opened.append(source)
        return source

    def read(
        self, stream: str, cursor: Json = None, *, fields: frozenset[str] | None = None, **values: Any
    ) -> list[Message]:
        source = self.source(**values)
        (found,) = [one for one in source.discover() if one.name == stream]
        source.lanes([Selected(found, fields)])
        return list(source.read(Lane(stream, (stream,)), cursor))

    def close(self) -> None:
        for source in self._opened:
            source.close()


def cursors(messages: Sequence[Message]) -> list[Json]:
    return [message.cursor for message in messages if isinstance(message, Checkpoint)]


def shape(messages: Sequence[Message]) -> str:
    """Return the messages' kinds by their first letters."""
    return "".join(type(message).__name__[0] for message in messages)


def rows(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return the rows without nulls, as a field without a value and a missing one are the same."""
    found = [row for message in messages if isinstance(message, Batch) for row in message.rows.to_pylist()]
    return [without_nulls(row) for row in found]


def truth(server: FullStoryServer, stream: str, *, extra: bool = False) -> list[dict[str, Any]]:
    """Return what the rows are to be, in the same form."""
    return [without_nulls(expected(stream, row, extra=extra)) for row in server.data.truth(stream)]


def expected(stream: str, row: Mapping[str, Any], *, extra: bool) -> dict[str, Any]:
    moments = with_moments(row)
    if stream != "events":
        return moments
    columns = {name: value for name, value in moments.items() if name in EVENT_FIELDS}
    if not extra:
        return columns
    more = {name: value for name, value in moments.items() if name in EXTRA_FIELDS}
    custom = {name: value for name, value in moments.items() if name not in EVENT_FIELDS | EXTRA_FIELDS}  # pyright: ignore[reportOperatorIssue]
    return {**columns, **more, "CustomVars": custom}


_MOMENTS = ("EventStart", "lastUpdated", "created")


def with_moments(value: Any) -> Any:
    """Turn the texts of moments into such, at every depth."""
    if isinstance(value, dict):
        return {
            name: datetime.fromisoformat(below).astimezone(UTC)
            if name in _MOMENTS and isinstance(below, str)
            else with_moments(below)
            for name, below in value.items()
        }
    return [with_moments(below) for below in value] if isinstance(value, list) else value


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(below) for name, below in value.items() if below is not None}
    return [without_nulls(below) for below in value] if isinstance(value, list) else value


def counted(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return rows as sorted text, whatever their order and that of their fields."""
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in found)
