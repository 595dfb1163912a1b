"""How far each stream of a Close account has come. Everything is one lane, as the event log tells of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from lockstitch.core.errors import SettingsError
from lockstitch.core.model import Json


class Position(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Records before `at` are delivered, and of those at that very moment the ones with these ids."""

    at: datetime
    ids: list[str] = []


class Cursor(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """By stream; `began` is when the connection was first read: what was deleted before never was in its tables."""

    began: datetime
    streams: dict[str, Position] = {}

    def to_json(self) -> Json:
        return msgspec.to_builtins(self)


def read_cursor(cursor: Json, began: datetime) -> Cursor:
    """Return a cursor as it was given; None is a beginning."""
    if cursor is None:
        return Cursor(began)
    try:
        return msgspec.convert(cursor, Cursor)
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"the mark holds {str(cursor)[:200]}, which is no position in a Close account ({error})",
            hint="reset the stream, or adopt a state of tap-closeio",
        ) from None


def of_state(state: Mapping[str, Any], began: datetime) -> Cursor:
    """Take over a state of tap-closeio; offsets are left out, as they hold for one query only."""
    streams: dict[str, Position] = {}
    for name, bookmark in (state.get("bookmarks") or {}).items():
        values = [bookmark.get(key) for key in ("date_updated", "date_created")] if isinstance(bookmark, dict) else []
        text = next((value for value in values if isinstance(value, str)), None)
        if text is not None:
            streams[name] = Position(moment_of(text))
    return Cursor(began, streams)


def moment_of(text: str) -> datetime:
    """Return a moment of Close's, which is UTC where it names no zone."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
