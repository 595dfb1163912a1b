"""Reads a Close account: one lane for all its streams, in the tap's order, with the deletions out of its event log."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from lockstitch.core.model import Checkpoint, Field, Json, Lane, Message, Part, Selected, Stream
from lockstitch.sources.closeio import reading
from lockstitch.sources.closeio.api import CloseApi, Page
from lockstitch.sources.closeio.cursor import Position, of_state, read_cursor
from lockstitch.sources.closeio.reading import Found
from lockstitch.sources.closeio.shapes import EVENTS, STREAMS
from lockstitch.sources.closeio.spec import Properties
from lockstitch.toolkit.shapes import fields_of

if TYPE_CHECKING:
    from lockstitch.sources.closeio.rows import Rows

_log = logging.getLogger(__name__)

LANE = "closeio"
KEY = ("id",)
#: Streams that are replicated by another field than `date_updated`.
_REPLICATION_KEYS = {"activities": "date_created"}
#: How many bytes of records become one batch.
_BATCH_BYTES = 4 << 20
#: Close keeps events for so long.
_EVENTS_KEPT = timedelta(days=30)


class CloseSource:
    """One API key's view of a Close organisation."""

    new_fields: ClassVar[Literal["add", "report"]] = "add"

    def __init__(self, properties: Properties, start: datetime, home: Path) -> None:
        self._properties = properties
        self._start = start
        self._api = CloseApi(properties.api_key, properties.base_url, user_agent=properties.user_agent, home=home)
        self._wanted: dict[str, Selected] = {}
        #: The newest page of the event log; None where the plan has none, absent until it was asked for.
        self._events: list[Page | None] = []

    def check(self) -> None:
        """Ask for the event log: it costs one request and tells whether the key is one."""
        self._newest_events()

    def discover(self) -> Sequence[Stream]:
        """Return the streams; the event log only where the organisation's plan has one."""
        names = [name for name in STREAMS if name != EVENTS or self._newest_events() is not None]
        return [_stream(name) for name in names]

    def lanes(self, wanted: Sequence[Selected]) -> Sequence[Lane]:
        self._wanted = {one.stream.name: one for one in wanted}
        names = tuple(name for name in STREAMS if name in self._wanted)
        return [Lane(LANE, names, "repeats")] if names else []

    def parts(self, lane: Lane, cursor: Json) -> Sequence[Part]:
        del lane, cursor
        return ()

    def read(self, lane: Lane, cursor: Json) -> Iterator[Message]:
        limit = self._api.now()
        at = read_cursor(cursor, limit)
        rows: Rows | None = None
        yield Checkpoint(cursor)
        for name in lane.streams:
            begun = at.streams.get(name)
            if begun is None and self._start > limit:
                # No position is kept: from there a start date that is corrected would never be looked at.
                _log.warning("%s: nothing comes before start_date, %s, which is to come", name, self._start.isoformat())
                continue
            if name == EVENTS:
                _warn_of_lost_events(begun.at if begun is not None else at.began, limit)
            begun = begun or Position(self._start)
            for records, position in _gathered(self._found(name, begun, limit)):
                if records:
                    at.refuse_another(stamp.organization_id for stamp, _ in records)
                    rows = rows or self._rows(at.began)
                    yield from rows.batches(name, [raw for _, raw in records])
                if position is not None:
                    at.streams[name] = position
                    yield Checkpoint(at.to_json())
            if rows is not None:
                rows.warn_of_unseen(name)

    def cursors(self, state: Mapping[str, Any]) -> Mapping[str, Json]:
        """Take over tap-closeio's state."""
        cursor = of_state(state, self._start)
        return {LANE: cursor.to_json()} if cursor.streams else {}

    def versions(self, lane: Lane, cursor: Json) -> Mapping[str, int]:
        del lane, cursor
        return {}

    def committed(self, lane: Lane, cursor: Json) -> None:
        del lane, cursor  # Close keeps no account of who has read what

    def close(self) -> None:
        self._api.close()

    def _rows(self, began: datetime) -> Rows:
        from lockstitch.sources.closeio.rows import Rows

        return Rows(self._wanted, began, extra_fields=self._properties.extra_fields)

    def _newest_events(self) -> Page | None:
        if not self._events:
            self._events = [self._api.newest_events()]
        return self._events[0]

    def _found(self, name: str, begun: Position, limit: datetime) -> Iterator[Found]:
        match name:
            case "leads":
                return reading.read_leads(self._api, begun, limit)
            case "activities":
                window = timedelta(days=self._properties.date_window)
                overlap = timedelta(seconds=self._properties.activities_window_seconds)
                return reading.read_activities(self._api, begun, limit, window=window, overlap=overlap)
            case "event_log":
                return reading.read_events(self._api, begun, limit, self._newest_events())
            case "tasks":
                return reading.read_tasks(self._api, begun, limit, all_types=self._properties.all_task_types)
            case _:
                return reading.read_list(self._api, _PATHS[name], begun, limit)


#: Where the lists are that are given as a whole.
_PATHS: Mapping[str, str] = {"custom_fields": "/custom_field/lead/", "users": "/user/"}


def _stream(name: str) -> Stream:
    fields: tuple[Field, ...] = fields_of(STREAMS[name], automatic=tuple(STREAMS[name]))
    key = _REPLICATION_KEYS.get(name, "date_updated")
    return Stream(name, fields, KEY, "INCREMENTAL", key, expires=name == EVENTS)


def _warn_of_lost_events(read_up_to: datetime, now: datetime) -> None:
    if now - read_up_to > _EVENTS_KEPT:
        _log.warning(
            "event_log: read up to %s so far, and Close keeps events for 30 days only: "
            "those between, and the deletions they told of, are lost",
            read_up_to.isoformat(),
        )


def _gathered(found: Iterable[Found]) -> Iterator[tuple[reading.Records, Position | None]]:
    """Put pages together until they make a batch, with the position after it."""
    records: reading.Records = []
    size = 0
    position: Position | None = None
    for one in found:
        records += one.records
        size += sum(len(raw) for _, raw in one.records)
        position = one.position or position
        if size >= _BATCH_BYTES:
            yield records, one.position
            records, size = [], 0
    yield records, position
