"""The properties: what may be left out, what is refused with which hint, and what streams they offer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lockstitch.connectors import find_connector, parse_properties
from lockstitch.core.errors import LockstitchError, SettingsError
from lockstitch.core.model import Json, Lane, Selected
from lockstitch.core.protocols import Fingerprinted, Source, TakesState
from lockstitch.sources.fullstory.spec import open_source
from sources.alone import read_alone
from sources.fullstory.account import Account, cursors

FORM: dict[str, Json] = {"api_key": "na1.SECRETKEY", "start_date": "2026-01-01T00:00:00Z"}
SCHEDULE: dict[str, Json] = {
    "frequency_in_minutes": "30",
    "anchor_time": "2018-04-30T17:00:00Z",
    "cron_expression": "0 0 12 ? * MON-FRI *",
    "image_version": "1.latest",
}


def open_with(tmp_path: Path, **values: Json) -> Source:
    return open_source(
        parse_properties(find_connector("source", "platform.fullstory"), values), spool=tmp_path / "spool"
    )


GOOD: dict[str, dict[str, Json]] = {
    "the form": FORM,
    "as the platform sends them": {**FORM, **SCHEDULE},
    "a date alone": {**FORM, "start_date": "2026-01-01"},
    "text as the environment has it": {**FORM, "extra_fields": "true", "slice_minutes": "60", "request_timeout": "30"},
    "all": {
        **FORM,
        "events_api": "segment_export",
        "segment_id": "a@example.com:1",
        "delay_hours": 3,
        "user_agent": "our own",
        "base_url": "https://api.eu1.fullstory.com/",
        "export_base_url": "https://export.eu1.fullstory.com",
    },
}


@pytest.mark.parametrize("values", GOOD.values(), ids=GOOD)
def test_good_properties_open_a_source(values: dict[str, Json], tmp_path: Path) -> None:
    open_with(tmp_path, **values)


BAD: dict[str, dict[str, Json]] = {
    "no key": {"start_date": "2026-01-01"},
    "no start": {"api_key": "key"},
    "a key with its scheme": {**FORM, "api_key": "Basic na1.SECRETKEY"},
    "an empty key": {**FORM, "api_key": ""},
    "a start that is none": {**FORM, "start_date": "yesterday"},
    "a start before there was anything": {**FORM, "start_date": "0001-01-01"},
    "an API that is none": {**FORM, "events_api": "export"},
    "an odd slice": {**FORM, "slice_minutes": 77},
    "no delay": {**FORM, "delay_hours": 0},
    "an address without a scheme": {**FORM, "base_url": "api.fullstory.com"},
    "a header of two lines": {**FORM, "user_agent": "one\ntwo"},
    "an unknown property": {**FORM, "colour": "red"},
}


@pytest.mark.parametrize("values", BAD.values(), ids=BAD)
def test_bad_properties_are_refused_with_a_hint_and_without_the_key(values: dict[str, Json], tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        open_with(tmp_path, **values)
    assert refused.value.hint
    assert "SECRETKEY" not in str(refused.value)


def test_version_1_offers_events_and_all_others_14_streams(small: Account) -> None:
    for version in ("1", "1.latest", "1.0"):
        assert [stream.name for stream in small.source(image_version=version).discover()] == ["events"]
    for version in (None, "2", "2.latest", "10"):
        found = [stream.name for stream in small.source(image_version=version).discover()]
        assert (found[0], len(found)) == ("events", 14)
    assert len(small.source(image_version="1.latest", all_streams=True).discover()) == 14
    assert small.server.requests == []


#: The columns of FullStory's documentation, and those among them that are integers.
COLUMNS = """
    EventStart EventTargetSelectorTok EventTargetText EventType IndvId PageActiveDuration PageAgent PageBrowser
    PageDevice PageDuration PageId PageIp PageLatLong PageNumErrors PageNumInfos PageNumWarnings PageOperatingSystem
    PageRefererUrl PageUrl SessionId UserAppKey UserDisplayName UserEmail UserId
"""
INTEGERS = """
    IndvId PageActiveDuration PageDuration PageId PageNumErrors PageNumInfos PageNumWarnings SessionId UserId
"""


def test_events_is_as_documented(small: Account) -> None:
    events = small.source().discover()[0]
    assert (events.key, events.replication_method, events.replication_key) == ((), "INCREMENTAL", "EventStart")
    assert {field.name for field in events.fields} == set(COLUMNS.split())
    assert {field.name for field in events.fields if field.type == "integer"} == set(INTEGERS.split())
    assert {field.name for field in events.fields if field.type not in ("integer", "string")} == set()
    assert [field.name for field in events.fields if field.format] == ["EventStart"]
    more = small.source(extra_fields=True).discover()[0]
    assert len(more.fields) == 24 + 9 + 1
    assert (more.fields[-1].name, more.fields[-1].type) == ("CustomVars", "object")


def test_the_server_apis_streams_are_as_documented(small: Account) -> None:
    found = {stream.name: stream for stream in small.source().discover()}
    for name in ("users", "user", "segments"):
        assert (found[name].key, found[name].replication_method) == (("id",), "FULL_TABLE")
    settings = [stream for name, stream in found.items() if name not in ("events", "users", "user", "segments")]
    assert len(settings) == 10
    for stream in settings:
        assert (stream.key, stream.replication_method, stream.replication_key) == (
            ("created", "createdBy", "lastUpdated"),
            "INCREMENTAL",
            "lastUpdated",
        )
        automatic = {field.name for field in stream.fields if field.inclusion == "automatic"}
        assert automatic == {"created", "createdBy", "lastUpdated"}


def test_each_stream_is_a_lane_of_its_own(small: Account) -> None:
    source = small.source()
    assert isinstance(source, TakesState)
    assert not isinstance(source, Fingerprinted)
    wanted = [Selected(stream) for stream in source.discover() if stream.name in ("users", "events")]
    assert list(source.lanes(wanted)) == [Lane("events", ("events",)), Lane("users", ("users",), "repeats")]


@pytest.mark.parametrize(
    ("state", "taken"),
    [
        ({"events": "2018-06-02T00:00:00.000000Z"}, {"events": {"stop": "2018-06-02T00:00:00.000000Z"}}),
        (
            {"bookmarks": {"events": {"stop": "2018-06-02T02:00:00+02:00"}}},
            {"events": {"stop": "2018-06-02T00:00:00.000000Z"}},
        ),
        (
            {"bookmarks": {"block_rules": {"lastUpdated": "2026-01-01T00:00:00Z"}}, "currently_syncing": "users"},
            {"block_rules": {"lastUpdated": "2026-01-01T00:00:00.000000Z"}},
        ),
        ({"bookmarks": {"users": {}, "somebody": {"lastUpdated": "2026-01-01"}}}, {}),
        ({"bookmarks": ["events"]}, {}),
        ({}, {}),
    ],
)
def test_a_taps_state_is_read(small: Account, state: dict[str, Any], taken: dict[str, Json]) -> None:
    assert small.source().cursors(state) == taken
    for name, cursor in taken.items():
        assert small.source().versions(Lane(name, (name,)), cursor) == {}


def test_a_bookmark_that_is_none_is_refused(small: Account) -> None:
    with pytest.raises(LockstitchError) as refused:
        small.source().cursors({"events": "never"})
    assert refused.value.verdict == "user"
    assert refused.value.hint


@pytest.mark.parametrize("stream", ["events", "users", "block_rules"])
@pytest.mark.parametrize("cursor", ["soon", {"stop": "soon"}, {"version": "soon"}, {"lastUpdated": "soon"}], ids=str)
def test_a_cursor_that_was_never_given_is_refused(small: Account, stream: str, cursor: Json) -> None:
    with pytest.raises(SettingsError, match="cannot go on from") as refused:
        small.read(stream, cursor)
    assert refused.value.hint


def test_the_version_that_is_published_is_told(small: Account) -> None:
    source = small.source()
    lane = Lane("users", ("users",))
    assert source.versions(lane, {"version": 7, "digest": "x"}) == {"users": 7}
    assert source.versions(lane, {"version": 7, "digest": "x", "token": "t"}) == {}


def test_the_properties_load_no_driver() -> None:
    code = "import sys, json, lockstitch.sources.fullstory.spec; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
    assert not {"pyarrow", "httpx2", "duckdb"} & set(loaded)


def test_arrow_is_loaded_with_the_first_record_only(small: Account, tmp_path: Path) -> None:
    source = small.source()
    streams = [stream.name for stream in source.discover()]
    last = {name: cursors(small.read(name))[-1] for name in streams}
    properties = msgspec.to_builtins(small.properties())
    alone = read_alone("platform.fullstory", properties, last, tmp_path / "home")
    assert (alone.messages, alone.heavy) == ({"Checkpoint"}, [])
    alone = read_alone("platform.fullstory", properties, {**last, "segments": None}, tmp_path / "home")
    assert alone.messages == {"Checkpoint", "Version", "Batch", "Publish"}
    assert "pyarrow" in alone.heavy
