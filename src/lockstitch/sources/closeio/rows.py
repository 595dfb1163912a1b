"""Records of Close as rows, and deletions out of its event log. Loads Arrow: imported with the first record."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
import pyarrow as pa

from lockstitch.core.model import Batch, Selected
from lockstitch.sources.closeio.custom_fields import FIELD, gathered, is_custom
from lockstitch.sources.closeio.shapes import EVENTS, STREAMS
from lockstitch.toolkit.json_rows import JsonRows
from lockstitch.toolkit.moments import moment_or_none
from lockstitch.toolkit.shapes import Fields

_log = logging.getLogger(__name__)

#: What Close sends: custom fields come under names of their own.
_SENT: Mapping[str, Fields] = {
    **STREAMS,
    "leads": {name: shape for name, shape in STREAMS["leads"].items() if name != FIELD},
}
#: By an event's `object_type`, or its first word: the stream whose record was deleted.
_DELETED = {
    "lead": "leads",
    "activity": "activities",
    "task": "tasks",
    "custom_fields.lead": "custom_fields",
    "custom_fields.shared": "custom_fields",
}


class Rows:
    """What the records of one reading become. What was deleted before `began` never was in the tables."""

    def __init__(self, wanted: dict[str, Selected], began: datetime, *, extra_fields: bool) -> None:
        self._wanted = wanted
        self._began = began
        self._closed = not extra_fields
        self._readers: dict[str, JsonRows] = {}

    def batches(self, stream: str, records: Sequence[msgspec.Raw]) -> Iterator[Batch]:
        """Yield a stream's records as rows; of events first the deletions that they tell of: no other stream does."""
        if stream == EVENTS:
            yield from self._deletions(records)
            rows = self._reader(stream).batch([_with_texts(record) for record in records])
        else:
            rows = self._reader(stream).batch(records)
        if stream == "leads":
            rows = gathered(rows)
        wants = self._wanted[stream].wants
        yield Batch(stream, rows.select([name for name in rows.schema.names if wants(name)]))

    def warn_of_unseen(self, stream: str) -> None:
        """Tell which fields of a stream were left out."""
        unseen = self._readers[stream].unseen - {"custom"} if stream in self._readers else None
        if unseen:
            _log.warning(
                "%s: Close also sends %s, which the documented table does not have; extra_fields loads them",
                stream,
                ", ".join(sorted(unseen)),
            )

    def _reader(self, stream: str) -> JsonRows:
        if stream not in self._readers:
            keeps = is_custom if stream == "leads" else lambda _: False
            self._readers[stream] = JsonRows(_SENT[stream], closed=self._closed, keeps=keeps)
        return self._readers[stream]

    def _deletions(self, events: Sequence[msgspec.Raw]) -> Iterator[Batch]:
        keys: dict[str, list[str]] = {}
        for record in events:
            try:
                event = _EVENT.decode(record)
            except msgspec.ValidationError:
                continue  # it tells of no record
            stream = _DELETED.get(event.object_type) or _DELETED.get(event.object_type.partition(".")[0])
            if event.action == "deleted" and stream in self._wanted and event.is_since(self._began):
                keys.setdefault(stream, []).append(event.object_id)
        for stream, ids in keys.items():
            yield Batch(stream, pa.RecordBatch.from_pydict({"id": pa.array(ids, pa.string())}), kind="delete")


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
