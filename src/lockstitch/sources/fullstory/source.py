"""Reads FullStory: events by Data Export or Segment Export, and the tables of the server API; one lane a stream."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from lockstitch.core.model import Checkpoint, Field, Json, Lane, Message, Part, Selected, Stream
from lockstitch.sources.fullstory.cursor import EventsCursor, TableCursor, read_cursor, stamp, taps_cursors
from lockstitch.sources.fullstory.errors import NoDataExport
from lockstitch.sources.fullstory.shapes import (
    CUSTOM,
    EVENTS,
    KEY_OF_SETTINGS,
    KEY_OF_TABLES,
    REPLICATION_KEY_OF_SETTINGS,
    SETTINGS,
    TABLES,
    event_fields,
)
from lockstitch.sources.fullstory.spec import Properties
from lockstitch.toolkit.downloads import Downloads
from lockstitch.toolkit.shapes import fields_of

if TYPE_CHECKING:
    from lockstitch.sources.fullstory.api import Apis, Bundle
    from lockstitch.sources.fullstory.rows import EventRows

_log = logging.getLogger(__name__)

EVERYTHING = (EVENTS, *TABLES, *SETTINGS)


class FullStorySource:
    """One FullStory account. `now` and `sleep` are the clock by which slices settle and pauses pass."""

    new_fields: ClassVar[Literal["add", "report"]] = "add"

    def __init__(
        self,
        properties: Properties,
        *,
        spool: Path,
        home: Path,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._properties = properties
        self._home = home
        self._downloads = Downloads(spool)
        self._now = now
        self._sleep = sleep
        self._opened: Apis | None = None
        self._wanted: dict[str, Selected] = {}

    def check(self) -> None:
        """Ask for what costs nothing: the bundles that are to come, or a segment."""
        if self._properties.events_api != "segment_export":
            try:
                self._apis().list_bundles(int(self._now().timestamp()))
                return
            except NoDataExport as error:
                if self._properties.events_api == "data_export":
                    raise
                _log.warning("%s", error.message)
        self._apis().page("/segments/v1", "segments", None)

    def discover(self) -> Sequence[Stream]:
        return [_stream(name, extra=self._properties.extra_fields) for name in self._offered()]

    def lanes(self, wanted: Sequence[Selected]) -> Sequence[Lane]:
        self._wanted = {selected.stream.name: selected for selected in wanted}
        # A table too large to be held until it is known to be unchanged comes again as a whole.
        return [
            Lane(name, (name,), "repeats" if name in TABLES else "exact") for name in EVERYTHING if name in self._wanted
        ]

    def parts(self, lane: Lane, cursor: Json) -> Sequence[Part]:
        del lane, cursor
        return ()

    def read(self, lane: Lane, cursor: Json) -> Iterator[Message]:
        name = lane.name
        if cursor is None and name not in TABLES and self._properties.start > self._now():
            _log.warning(
                "%s: nothing comes before start_date, %s, which is to come", name, stamp(self._properties.start)
            )
        if name == EVENTS:
            yield from self._events(cursor)
        elif name in TABLES:
            from lockstitch.sources.fullstory.tables import TableReader

            yield from TableReader(self._apis(), name, TABLES[name], self._wants(name)).read(cursor)
        else:
            from lockstitch.sources.fullstory.settings import SettingReader

            start = self._properties.start
            yield from SettingReader(self._apis(), name, SETTINGS[name], self._wants(name), start).read(cursor)

    def _events(self, cursor: Json) -> Iterator[Message]:
        at = read_cursor(cursor, EventsCursor) or EventsCursor(stamp(self._properties.start))
        rows: list[EventRows] = []

        def shared_rows() -> EventRows:
            if not rows:
                from lockstitch.sources.fullstory.rows import EventRows

                rows.append(EventRows(self._wants(EVENTS), extra=self._properties.extra_fields))
            return rows[0]

        page = self._listed(at)
        if page is not None:
            from lockstitch.sources.fullstory.bundles import BundleReader

            messages = BundleReader(self._apis(), self._downloads.folder, shared_rows).read(at, page)
        else:
            from lockstitch.sources.fullstory.slices import SliceReader

            folder = self._downloads.folder
            messages = SliceReader(self._apis(), self._properties, folder, shared_rows, self._now).read(at)
        last: Message | None = None
        for last in messages:
            yield last
        if not isinstance(last, Checkpoint):
            yield Checkpoint(cursor)
        for one in rows:
            one.warn_of_unseen()

    def _listed(self, at: EventsCursor) -> Sequence[Bundle] | None:
        """Return the first bundles after the cursor, or None where events are to come by Segment Export.

        Whoever has begun with slices goes on with them: a bundle may begin within one.
        """
        chosen = self._properties.events_api
        if chosen == "segment_export" or (chosen == "auto" and at.sliced):
            return None
        try:
            return self._apis().list_bundles(at.seconds)
        except NoDataExport as error:
            if chosen == "data_export":
                raise
            _log.warning("%s; trying Segment Export", error.message)
            return None

    def cursors(self, state: Mapping[str, Any]) -> Mapping[str, Json]:
        return taps_cursors(state, frozenset({EVENTS, *SETTINGS}) & frozenset(self._offered()))

    def versions(self, lane: Lane, cursor: Json) -> Mapping[str, int]:
        if lane.name not in TABLES:
            return {}
        at = read_cursor(cursor, TableCursor)
        return {lane.name: at.version} if at is not None and at.token is None else {}

    def committed(self, lane: Lane, cursor: Json) -> None:
        del lane, cursor  # nothing is ever written to FullStory

    def close(self) -> None:
        self._downloads.close()
        if self._opened is not None:
            self._opened.close()

    def _offered(self) -> Sequence[str]:
        return (EVENTS,) if self._properties.only_events else EVERYTHING

    def _apis(self) -> Apis:
        if self._opened is None:
            from lockstitch.sources.fullstory.api import Apis

            self._opened = Apis.of(self._properties, self._home, self._sleep)
        return self._opened

    def _wants(self, stream: str) -> Callable[[str], bool]:
        selected = self._wanted.get(stream)
        return selected.wants if selected is not None else lambda _: True


def _stream(name: str, *, extra: bool) -> Stream:
    if name in TABLES:
        return Stream(name, fields_of(TABLES[name].fields, KEY_OF_TABLES), KEY_OF_TABLES, "FULL_TABLE")
    if name in SETTINGS:
        fields = fields_of(SETTINGS[name].fields, KEY_OF_SETTINGS)
        return Stream(name, fields, KEY_OF_SETTINGS, "INCREMENTAL", REPLICATION_KEY_OF_SETTINGS)

    fields = fields_of(event_fields(extra=extra))
    if extra:
        fields = (*fields, Field(CUSTOM, "object"))
    return Stream(EVENTS, fields, (), "INCREMENTAL", "EventStart", expires=True)
