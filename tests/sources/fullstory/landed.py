"""FullStory in a warehouse: all rows of all tables against what the fake has, and changes of an account."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from lockstitch.sources.fullstory.shapes import EVENT_FIELDS, SETTINGS, TABLES
from lockstitch.testing.vendors.fullstory_data import FullStoryData, stamp
from lockstitch.testing.vendors.messages import Record
from lockstitch.toolkit.shapes import Fields
from sources.reassembled import Tables, appended, expected, moment, reassembled

LONGEST_NAME = 63
#: A list of the fake's has a name that is too long for all destinations.
TOO_LONG = "Table name privacy_settings_history__elementBlocks__targetingConditions__urls is too long for "

#: How a fault has changed a stream's record.
Changed = Callable[[str, Record], Record]


class Truth:
    """What a warehouse should have after each run. Of settings in force, it has all that were there at some run."""

    def __init__(self, data: FullStoryData, changed: Changed = lambda _, record: record) -> None:
        self._data = data
        self._changed = changed
        self._settings: dict[str, dict[Any, Record]] = {name: {} for name in SETTINGS}

    def assert_events(self, tables: Tables, events: Iterable[Record] | None = None) -> None:
        """Compare the events with those told, or with those of all bundles."""
        told = self._data.truth("events") if events is None else events
        assert _counted(appended(tables, "events")) == _counted(expected(one, EVENT_FIELDS) for one in told)

    def assert_whole(self, tables: Tables) -> None:
        """Compare all rows of all tables."""
        assert [row for row in tables["_sdc_rejected"] if not row["reason"].startswith(TOO_LONG)] == []
        self.assert_events(tables)
        for stream, table in TABLES.items():
            wanted = {one["id"]: _expected(stream, one, table.fields) for one in self._told(stream)}
            _assert_same(tables, stream, "id", wanted)
        self.note_settings()
        for stream in SETTINGS:
            _assert_same(tables, stream, "lastupdated", self._settings[stream])

    def note_settings(self) -> None:
        """Note what a run delivers of the settings now: those in force are rows of their own once they change."""
        for stream, setting in SETTINGS.items():
            for one in self._told(stream):
                self._settings[stream][moment(one["lastUpdated"])] = _expected(stream, one, setting.fields)

    def _told(self, stream: str) -> list[Record]:
        return [self._changed(stream, record) for record in self._data.truth(stream)]


def _expected(stream: str, record: Record, fields: Fields) -> Record:
    """All streams but events are delivered with fields that are not documented, too."""
    return expected(_without_long_lists(stream, record), fields, lambda _: True)


def _without_long_lists(name: str, value: Any) -> Any:
    """Leave out lists whose tables would have names that are too long (docs/layout.md, R13)."""
    if isinstance(value, list):
        return [_without_long_lists(name, element) for element in value]
    if not isinstance(value, dict):
        return value
    named = {key: (f"{name}__{key}", below) for key, below in value.items()}
    return {
        key: _without_long_lists(table, below)
        for key, (table, below) in named.items()
        if not (isinstance(below, list) and len(table) > LONGEST_NAME)
    }


def _assert_same(tables: Tables, stream: str, key: str, wanted: dict[Any, Record]) -> None:
    found, deleted = reassembled(tables, stream, key)
    assert found.keys() == wanted.keys(), stream
    for name, record in wanted.items():
        assert found[name] == record, (stream, name)
    assert deleted == set(), stream


def _counted(records: Iterable[Record]) -> list[str]:
    return sorted(json.dumps(record, sort_keys=True, default=str) for record in records)


def change(data: FullStoryData, round_number: int) -> None:
    """A day later there is another bundle of events, and of all else something is new, updated or deleted."""
    data.clock.advance(timedelta(days=1))
    last = data.bundles(data.clock.now())[-1]
    for event in list(data.events)[:5]:
        late = {**event.fields, "EventStart": stamp(last.start + timedelta(minutes=7)), "PageNumInfos": round_number}
        data.capture(late)
    for records, name in ((data.users, "display_name"), (data.segments, "name")):
        first, *_, last_one = records
        records[f"new{round_number}"] = {**records[last_one], "id": f"new{round_number}"}
        records[first] = {**records[first], name: f"of round {round_number}"}
        if round_number or records is data.users:
            del records[last_one]
    for versions in data.settings.values():
        changed = stamp(data.clock.now())
        versions.append({**versions[-1], "metadata": {**versions[-1]["metadata"], "lastUpdated": changed}})
        versions[-1][["recordGeoMode", "newField"][round_number % 2]] = f"of round {round_number}"
