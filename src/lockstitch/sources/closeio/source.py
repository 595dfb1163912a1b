"""Reads a Close account: one lane for all its streams, in the tap's order, with the deletions out of its event log."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec
import pyarrow as pa

from lockstitch.core.model import Batch, Checkpoint, Field, Json, Lane, Message, Part, Selected, Stream
from lockstitch.sources.closeio import reading
from lockstitch.sources.closeio.api import CloseApi, Page
from lockstitch.sources.closeio.cursor import Position, of_state, read_cursor
from lockstitch.sources.closeio.custom_fields import FIELD, gathered, is_custom
from lockstitch.sources.closeio.reading import Found
from lockstitch.sources.closeio.shapes import STREAMS
from lockstitch.sources.closeio.spec import Properties
from lockstitch.toolkit.json_rows import JsonRows
from lockstitch.toolkit.moments import moment_or_none
from lockstitch.toolkit.shapes import Fields, fields_of

_log = logging.getLogger(__name__)

LANE = "closeio"
EVENTS = "event_log"
KEY = ("id",)
#: Streams that are replicated by another field than `date_updated`.
_REPLICATION_KEYS = {"activities": "date_created"}
#: How many bytes of records become one batch.
_BATCH_BYTES = 4 << 20
#: Close keeps events for so long.
_EVENTS_KEPT = timedelta(days=30)
#: By an event's `object_type`, or its first word: the stream whose record was deleted.
_DELETED = {
    "lead": "leads",
    "activity": "activities",
    "task": "tasks",
    "custom_fields.lead": "custom_fields",
    "custom_fields.shared": "custom_fields",
}


class CloseSource:
    """One API key's view of a Close organisation."""

    new_fields: ClassVar[Literal["add", "report"]] = "add"

    def __init__(self, properties: Properties, start: datetime, home: Path) -> None:
        self._properties = properties
        self._start = start
        self._api = CloseApi(properties.api_key, properties.base_url, user_agent=properties.user_agent, home=home)
        self._wanted: dict[str, Selected] = {}
        self._rows: dict[str, JsonRows] = {}
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
        yield Checkpoint(cursor)
        for name in lane.streams:
            begun = at.streams.get(name) or Position(self._start)
            if name == EVENTS and name in at.streams and limit - begun.at > _EVENTS_KEPT:
                _log.warning(
                    "event_log: read up to %s so far, and Close keeps events for 30 days only: "
                    "those between, and the deletions they told of, are lost",
                    begun.at.isoformat(),
                )
            for records, position in _gathered(self._found(name, begun, limit)):
                yield from self._batches(name, records, at.began)
                if position is not None:
                    at.streams[name] = position
                    yield Checkpoint(at.to_json())
            self._tell_unseen(name)

    def cursors(self, state: Mapping[str, Any]) -> Mapping[str, Json]:
        """Take over tap-closeio's state."""
        cursor = of_state(state, self._api.now())
        return {LANE: cursor.to_json()} if cursor.streams else {}

    def versions(self, lane: Lane, cursor: Json) -> Mapping[str, int]:
        del lane, cursor
        return {}

    def committed(self, lane: Lane, cursor: Json) -> None:
        del lane, cursor  # Close keeps no account of who has read what

    def close(self) -> None:
        self._api.close()

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

    def _batches(self, name: str, records: reading.Records, began: datetime) -> Iterator[Message]:
        if not records:
            return
        if name == EVENTS:
            yield from self._deletions(records, began)
            rows = self._reader(name).batch([_with_texts(raw) for _, raw in records])
        else:
            rows = self._reader(name).batch([raw for _, raw in records])
        if name == "leads":
            rows = gathered(rows)
        wants = self._wanted[name].wants
        yield Batch(name, rows.select([column for column in rows.schema.names if wants(column)]))

    def _reader(self, name: str) -> JsonRows:
        if name not in self._rows:
            closed = not self._properties.extra_fields
            keeps = is_custom if name == "leads" else lambda _: False
            self._rows[name] = JsonRows(_SENT[name], closed=closed, keeps=keeps)
        return self._rows[name]

    def _deletions(self, records: reading.Records, began: datetime) -> Iterator[Message]:
        """Yield the deletions that events tell of: no other stream does."""
        keys: dict[str, list[str]] = {}
        for _, raw in records:
            try:
                event = _EVENT.decode(raw)
            except msgspec.ValidationError:
                continue  # it tells of no record
            stream = _DELETED.get(event.object_type) or _DELETED.get(event.object_type.partition(".")[0])
            if event.action == "deleted" and stream in self._wanted and event.is_since(began):
                keys.setdefault(stream, []).append(event.object_id)
        for stream, ids in keys.items():
            yield Batch(stream, pa.RecordBatch.from_pydict({"id": pa.array(ids, pa.string())}), kind="delete")

    def _tell_unseen(self, name: str) -> None:
        unseen = self._rows[name].unseen - {"custom"} if name in self._rows else None
        if unseen:
            _log.warning(
                "%s: Close also sends %s, which the documented table does not have; extra_fields loads them",
                name,
                ", ".join(sorted(unseen)),
            )


#: What Close sends: custom fields come under names of their own.
_SENT: Mapping[str, Fields] = {
    **STREAMS,
    "leads": {name: shape for name, shape in STREAMS["leads"].items() if name != FIELD},
}

#: Where the lists are that are given as a whole.
_PATHS: Mapping[str, str] = {"custom_fields": "/custom_field/lead/", "users": "/user/"}


class _Event(msgspec.Struct):
    """What tells of a deletion."""

    action: str
    object_type: str
    object_id: str
    date_created: str | None = None

    def is_since(self, began: datetime) -> bool:
        at = moment_or_none(self.date_created)
        return at is None or at >= began


_EVENT = msgspec.json.Decoder(_Event)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _with_texts(event: msgspec.Raw) -> bytes:
    """Turn what an event holds of an object, of whatever type, into the JSON text of it."""
    fields = _OBJECT.decode(event)
    for name in ("data", "previous_data"):
        text = bytes(fields.get(name, b"null"))
        if text != b"null":
            fields[name] = msgspec.Raw(msgspec.json.encode(text.decode()))
    return msgspec.json.encode(fields)


def _stream(name: str) -> Stream:
    fields: tuple[Field, ...] = fields_of(STREAMS[name], automatic=tuple(STREAMS[name]))
    return Stream(name, fields, KEY, "INCREMENTAL", _REPLICATION_KEYS.get(name, "date_updated"))


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
