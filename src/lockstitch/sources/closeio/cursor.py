"""How far each stream of a Close account has come. Everything is one lane, as the event log tells of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from lockstitch.core.errors import SettingsError
from lockstitch.core.model import Json
from lockstitch.sources.closeio.shapes import STREAMS
from lockstitch.toolkit.moments import moment_or_none


class Position(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Records before `at` are delivered, and of those at that very moment the ones with these ids."""

    at: datetime
    ids: list[str] = []


class Cursor(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """By stream; `began` is since when the tables are filled: what was deleted before never was in them.

    `organization` is whose records they have: a key belongs to one.
    """

    began: datetime
    streams: dict[str, Position] = {}
    organization: str | None = None

    def refuse_another(self, organizations: Iterable[str | None]) -> None:
        """Take note of whose records come. Raises SettingsError where those before were another organisation's."""
        for found in organizations:
            if found is not None and found != self.organization:
                if self.organization is not None:
                    raise SettingsError(
                        f"this API key reads the organisation {found}, and all before is of {self.organization}",
                        hint="set a key of the same organisation, or reset the connection to replace its tables",
                    )
                self.organization = found

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


def of_state(state: Mapping[str, Any], start: datetime) -> Cursor:
    """Take over a state of tap-closeio, which has filled the tables from `start` on, and marked no deletion in them.

    Offsets are left out, as they hold for one query only. Raises SettingsError.
    """
    bookmarks = state.get("bookmarks")
    streams: dict[str, Position] = {}
    for name in STREAMS:
        bookmark = bookmarks.get(name) if isinstance(bookmarks, dict) else None
        values = [bookmark.get(key) for key in ("date_updated", "date_created")] if isinstance(bookmark, dict) else []
        text = next((value for value in values if value), None)
        if text is not None:
            streams[name] = Position(_bookmarked(name, text))
    return Cursor(min([start, *(position.at for position in streams.values())]), streams)


def _bookmarked(name: str, text: object) -> datetime:
    moment = moment_or_none(text)
    if moment is None:
        raise SettingsError(
            f"the state's bookmark of {name} is {text!r}, which is no moment",
            hint='write it as tap-closeio does: {"bookmarks": {"leads": {"date_updated": "2026-01-31T12:00:00Z"}}}',
        )
    return moment
