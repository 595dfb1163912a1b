"""Where a lane stands, as data, and moments as FullStory writes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import msgspec

from lockstitch.core.errors import SettingsError
from lockstitch.core.model import Json
from lockstitch.sources.fullstory.shapes import EVENTS
from lockstitch.toolkit.moments import read_moment


class Within(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bundle of which so many records are delivered; `digest` is that of their text."""

    id: int
    done: int
    digest: str


class EventsCursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All events up to `stop` are delivered, and of one more bundle its beginning. `sliced`: by Segment Export."""

    stop: str
    within: Within | None = None
    sliced: bool = False

    @property
    def seconds(self) -> int:
        """The bundles that are left end after this, in Unix seconds."""
        return int(read_moment(self.stop).timestamp())


class TableCursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table's newest version and the digest of what was read of it; `token`: of the next page, if there is one."""

    version: int
    digest: str
    token: str | None = None


class SettingCursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """The latest change that was seen, and the digests of the rows that were delivered with it, as in the tap."""

    last_updated: str | None = None
    seen: list[str] = []


T = TypeVar("T", EventsCursor, TableCursor, SettingCursor)


def read_cursor(cursor: Json, kind: type[T]) -> T | None:
    """Return a lane's cursor; raises SettingsError for one that we never gave."""
    if cursor is None:
        return None
    try:
        found = msgspec.convert(cursor, kind)
        if isinstance(found, EventsCursor):
            _ = found.seconds
        if isinstance(found, SettingCursor) and found.last_updated is not None:
            read_moment(found.last_updated)
    except ValueError as error:
        raise SettingsError(
            f"the FullStory source cannot go on from {cursor!r}: {error}",
            hint="it is no cursor of this stream; reset the stream",
        ) from error
    return found


def as_json(cursor: msgspec.Struct) -> Json:
    return msgspec.to_builtins(cursor)


def stamp(at: datetime) -> str:
    """Return a moment as tap-fullstory writes its bookmarks."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def at_seconds(seconds: int) -> str:
    return stamp(datetime.fromtimestamp(seconds, UTC))


def taps_cursors(state: Mapping[str, Any], only: frozenset[str]) -> Mapping[str, Json]:
    """Take over a state of tap-fullstory: 1.0's, which is flat, and 2.0's with its bookmarks; `only` names streams."""
    known = state.get("bookmarks")
    bookmarks = cast("Mapping[str, Any]", known) if isinstance(known, Mapping) else {}
    found: dict[str, Json] = {}
    for name in only:
        mark = bookmarks.get(name, state.get(name))
        text = mark.get("stop", mark.get("lastUpdated")) if isinstance(mark, Mapping) else mark
        if not isinstance(text, str):
            continue
        try:
            at = read_moment(text)
        except ValueError:
            raise SettingsError(
                f"the state's bookmark of {name} is {text!r}", hint="expected is a moment such as 2026-01-01T00:00:00Z"
            ) from None
        found[name] = as_json(EventsCursor(stamp(at)) if name == EVENTS else SettingCursor(stamp(at)))
    return found
