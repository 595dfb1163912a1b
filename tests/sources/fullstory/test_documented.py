"""Streams, columns and types are the documented ones; `documented.txt` has them, a line a column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lockstitch import verbs
from lockstitch.sources.fullstory import api
from lockstitch.sources.fullstory.shapes import EVENT_FIELDS, SETTINGS, TABLES
from lockstitch.testing.vendors.fullstory import FullStoryServer
from lockstitch.testing.vendors.fullstory_account import make_account
from lockstitch.testing.vendors.fullstory_data import SETTING_STREAMS, stamp
from lockstitch.toolkit.http.quota import Rate
from lockstitch.toolkit.shapes import Fields
from lockstitch.verbs import PipelineSettings
from sources.documented import documented, flat, record_of
from sources.fullstory.account import KEY, START, Account
from sources.fullstory.landed import Truth
from sources.warehouses import Warehouse

DOCUMENTED = documented(__file__)

OURS: dict[str, Fields] = {
    "events": EVENT_FIELDS,
    **{name: table.fields for name, table in TABLES.items()},
    **{name: setting.fields for name, setting in SETTINGS.items()},
}
KEYS = {"users": ("id",), "user": ("id",), "segments": ("id",), "events": ()}
OF_SETTINGS = ("created", "createdBy", "lastUpdated")


def test_there_are_the_documented_streams(small: Account) -> None:
    found = {stream.name: stream for stream in small.source().discover()}
    assert sorted(found) == sorted(DOCUMENTED)
    for name, stream in found.items():
        assert stream.key == KEYS.get(name, OF_SETTINGS)
        assert {field.name for field in stream.fields} == {path.split(".")[0].rstrip("[]") for path in DOCUMENTED[name]}
        if name == "events":
            assert (stream.replication_method, stream.replication_key) == ("INCREMENTAL", "EventStart")
        elif name in KEYS:
            assert (stream.replication_method, stream.replication_key) == ("FULL_TABLE", None)
        else:
            assert (stream.replication_method, stream.replication_key) == ("INCREMENTAL", "lastUpdated")


@pytest.mark.parametrize("stream", sorted(DOCUMENTED))
def test_the_shapes_are_what_is_documented(stream: str) -> None:
    assert flat(OURS[stream]) == DOCUMENTED[stream]


def test_every_column_lands_in_its_documented_type(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "DOWNLOADS", Rate(1000, 1.0))
    monkeypatch.setenv("LOCKSTITCH_HOME", str(tmp_path / "home"))
    data = make_account(seed=1, bundles=1, events=1, users=0)
    begins = {"EventStart": stamp(data.begins)}
    data.events = []
    data.capture({**record_of(DOCUMENTED["events"]), **begins})
    data.users = {"☃": record_of(DOCUMENTED["users"])}
    data.segments = {"☃": record_of(DOCUMENTED["segments"])}
    for stream, (setting, _) in SETTING_STREAMS.items():
        record = record_of(DOCUMENTED[stream])
        data.settings[setting] = [{name: value for name, value in record.items() if name not in OF_SETTINGS}]
    with FullStoryServer(data, key=KEY) as vendor:
        vendor.downloads = None
        properties: dict[str, Any] = {"api_key": KEY, "start_date": START}
        properties |= {"base_url": vendor.url, "export_base_url": vendor.url}
        result = verbs.run(
            PipelineSettings(
                connection="fullstory",
                schema="fullstory",
                source_type="platform.fullstory",
                source_properties=properties,
                destination_type=warehouse.type,
                destination_properties=warehouse.properties,
            )
        )
    assert [lane.error for lane in result.lanes if lane.error] == []
    Truth(data).assert_whole(warehouse.tables())
