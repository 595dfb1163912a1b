"""Events out of the Segment Export: slice after slice of time, each exported, fetched and delivered as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstitch.core.errors import SettingsError
from lockstitch.core.model import Checkpoint, Message
from lockstitch.sources.fullstory.api import Apis
from lockstitch.sources.fullstory.cursor import EventsCursor, as_json, stamp
from lockstitch.sources.fullstory.shapes import CUSTOM_PATTERNS, EVENT_FIELDS, EXTRA_FIELDS, RENAMED
from lockstitch.sources.fullstory.spec import Properties
from lockstitch.toolkit.moments import read_moment

if TYPE_CHECKING:
    from lockstitch.sources.fullstory.rows import EventRows

_DAY = datetime(1970, 1, 1, tzinfo=UTC)


class SliceReader:
    """Reads an account's events from a cursor on, up to where they are settled at `now`."""

    def __init__(
        self,
        apis: Apis,
        properties: Properties,
        folder: Callable[[], Path],
        rows: Callable[[], EventRows],
        now: Callable[[], datetime],
    ) -> None:
        self._apis = apis
        self._properties = properties
        self._folder = folder
        self._rows = rows
        self._now = now

    def read(self, cursor: EventsCursor) -> Iterator[Message]:
        """Yield the events slice by slice, with a checkpoint after each."""
        from lockstitch.sources.fullstory.delivery import Delivery

        if cursor.within is not None:
            raise SettingsError(
                f"events stands within bundle {cursor.within.id} of the Data Export",
                hint="let one run end with events_api = data_export, or reset events",
            )
        for start, end in slices(
            read_moment(cursor.stop),
            self._now() - timedelta(hours=self._properties.delay_hours),
            timedelta(minutes=self._properties.slice_minutes),
        ):
            delivery = Delivery(f"the export of {stamp(start)} to {stamp(end)}")
            path = self._folder() / "slice.json"
            export = self._apis.ordered_export(self._order(start, end))
            yield from delivery.read(export, path, self._rows(), self._apis.sleep)
            yield Checkpoint(as_json(EventsCursor(stamp(end), sliced=True)))

    def _order(self, start: datetime, end: datetime) -> dict[str, Any]:
        return {
            "segmentId": self._properties.segment_id,
            "type": "TYPE_EVENT",
            "format": "FORMAT_JSON",
            "scope": "SCOPE_EVENT",
            "timezone": "UTC",
            "timeRange": {"start": stamp(start), "end": stamp(end)},
            # Empty: all time, so that the segment's own window does not cut the events.
            "segmentTimeRange": {"start": "", "end": ""},
            "fields": _fields(extra=self._properties.extra_fields),
        }


def slices(start: datetime, settled: datetime, size: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """Yield all slices from `start` that end by `settled`; they end at multiples of their size from midnight."""
    while start < settled and (end := start + size - (start - _DAY) % size) <= settled:
        yield start, end
        start = end


def _fields(*, extra: bool) -> list[str]:
    named = {new: old for old, new in RENAMED.items()}
    fields = [named.get(name, name) for name in EVENT_FIELDS]
    return [*fields, *EXTRA_FIELDS, *CUSTOM_PATTERNS] if extra else fields
