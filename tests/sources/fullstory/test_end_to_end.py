"""FullStory into a database by the verbs of a pipeline: twice, with changes in between, and after a tap."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lockstitch import verbs
from lockstitch.engine.run import RunResult
from lockstitch.sources.fullstory import api
from lockstitch.testing.postgres_server import PostgresDatabase
from lockstitch.testing.vendors.faults import CutBody, Failure
from lockstitch.testing.vendors.fullstory import FullStoryServer
from lockstitch.toolkit.http.quota import Rate
from lockstitch.verbs import PipelineSettings
from sources.fullstory.account import KEY, START, counted, truth, with_moments, without_nulls

MakePipeline = Callable[..., PipelineSettings]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(api, "DOWNLOADS", Rate(1000, 1.0))
    monkeypatch.setenv("LOCKSTITCH_HOME", str(tmp_path / "home"))


@pytest.fixture(params=["duckdb", "postgres"])
def make_pipeline(request: pytest.FixtureRequest, fullstory: FullStoryServer, tmp_path: Path) -> MakePipeline:
    if request.param == "duckdb":
        destination: dict[str, Any] = {"path": str(tmp_path / "warehouse.duckdb")}
    else:
        database: PostgresDatabase = request.getfixturevalue("postgres")
        destination = database.properties

    def make(**properties: Any) -> PipelineSettings:
        values = {"api_key": KEY, "start_date": START, "base_url": fullstory.url, "export_base_url": fullstory.url}
        return PipelineSettings(
            connection="fullstory",
            schema="fullstory",
            source_type="platform.fullstory",
            source_properties={**values, **properties},
            destination_type=str(request.param),
            destination_properties=destination,
        )

    return make


def run(pipeline: PipelineSettings) -> dict[str, int]:
    """Run, and return the rows of each lane that had some."""
    result: RunResult = verbs.run(pipeline)
    assert [lane.error for lane in result.lanes if lane.error is not None] == []
    aside = {lane.lane: (lane.rejected, lane.adjusted) for lane in result.lanes if lane.rejected or lane.adjusted}
    # A list of the fake's has a name that is too long for all destinations, which is told once.
    assert aside == {
        lane.lane: (0, 1) for lane in result.lanes if lane.lane == "privacy_settings_history" and lane.rows
    }
    return {lane.lane: lane.rows for lane in result.lanes if lane.rows}


def stored(pipeline: PipelineSettings, table: str) -> list[dict[str, Any]]:
    """Return a table's rows without our own columns and without nulls."""
    with verbs.landed(pipeline) as destination:
        assert destination is not None
        rows = [row for batch in destination.read_back(table) for row in batch.to_pylist()]
    return [without_nulls({name: value for name, value in row.items() if "_sdc_" not in name}) for row in rows]


def flat(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write objects as columns, and leave lists to their subtables."""
    return [without_nulls(dict(_columns(row, ""))) for row in with_moments(rows)]


def _columns(value: dict[str, Any], above: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, below in value.items():
        if isinstance(below, dict):
            found += _columns(below, f"{above}{name}__")
        elif not isinstance(below, list):
            found.append((f"{above}{name}", below))
    return found


def in_lower_case(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name.lower(): value for name, value in row.items()} for row in rows]


def assert_same(pipeline: PipelineSettings, server: FullStoryServer, stream: str) -> None:
    expected = in_lower_case(flat(truth(server, stream)))
    assert counted(in_lower_case(stored(pipeline, stream))) == counted(expected)


STREAMS = ("events", "users", "user", "segments", "block_rules_history", "recording_features", "geo_settings_history")


def test_all_streams_land_and_land_again_with_their_changes(
    make_pipeline: MakePipeline, fullstory: FullStoryServer
) -> None:
    pipeline = make_pipeline()
    first = run(pipeline)
    assert first["events"] == 44 * 12
    for stream in STREAMS:
        assert_same(pipeline, fullstory, stream)

    assert run(pipeline) == {}

    fullstory.clock.advance(timedelta(days=1))
    del fullstory.data.users[str(10**15 + 7)]
    fullstory.data.users[str(10**15)]["email"] = "new@example.com"
    versions = fullstory.data.settings["geo"]
    versions.append({**versions[-1], "recordGeoMode": "NEW"})
    versions[-1]["metadata"] = {**versions[-1]["metadata"], "lastUpdated": "2026-06-16T00:00:00.000Z"}
    second = run(pipeline)
    # A version of the setting, and the two zones in its subtable.
    assert second == {"events": 12, "users": 24, "user": 24, "geo_settings_history": 3}
    for stream in STREAMS:
        assert_same(pipeline, fullstory, stream)


def test_extra_fields_land_in_columns(make_pipeline: MakePipeline, fullstory: FullStoryServer) -> None:
    pipeline = make_pipeline(image_version="1.latest", extra_fields=True)
    run(pipeline)
    expected = in_lower_case(flat(truth(fullstory, "events", extra=True)))
    assert counted(in_lower_case(stored(pipeline, "events"))) == counted(expected)
    assert any("customvars__user_plan_str" in row for row in expected)


def test_a_run_that_fails_keeps_what_it_has_and_doubles_nothing(
    make_pipeline: MakePipeline, fullstory: FullStoryServer
) -> None:
    pipeline = make_pipeline(image_version="1", events_api="data_export")
    fullstory.faults.add(
        CutBody(on="/export/get", after=5), Failure(status=403, on="/export/get", after=30, times=None)
    )
    (failed,) = verbs.run(pipeline).lanes
    assert failed.error is not None
    assert KEY not in str(failed.error)
    # 31 downloads, of which one was cut and one refused: 28 bundles with events and one without.
    assert failed.rows == 28 * 12
    assert fullstory.count("/export/get") == 31
    fullstory.faults.clear()
    fullstory.requests.clear()
    assert run(pipeline)["events"] == (44 - 28) * 12
    assert fullstory.count("/export/get") == 45 - 29
    assert_same(pipeline, fullstory, "events")


def test_a_taps_state_is_taken_over(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline()
    marks = verbs.adopt(pipeline, {"events": "2026-06-10T12:00:00.000000Z"})
    assert {lane: mark.cursor for lane, mark in marks.items()} == {"events": {"stop": "2026-06-10T12:00:00.000000Z"}}
    assert run(pipeline)["events"] == 4 * 12


def test_a_reset_reads_all_again_and_replaces(make_pipeline: MakePipeline, fullstory: FullStoryServer) -> None:
    pipeline = make_pipeline(image_version="1")
    run(pipeline)
    verbs.reset(pipeline, "events")
    plan = verbs.plan(pipeline)
    assert [one.replaces for one in plan.streams] == [True]
    assert any("events: rows that the source does not keep any more" in text for text in plan.reservations)
    run(pipeline)
    assert_same(pipeline, fullstory, "events")
    assert not any("does not keep any more" in text for text in verbs.plan(pipeline).reservations)


def test_check_and_discover(make_pipeline: MakePipeline, fullstory: FullStoryServer) -> None:
    pipeline = make_pipeline()
    assert len(verbs.discover(pipeline)) == 14
    assert fullstory.requests == []
    assert verbs.check_source(pipeline) is None
    assert [one.request.path for one in fullstory.requests] == ["/api/v1/export/list"]
    refused = verbs.check_source(make_pipeline(api_key="na1.WRONG"))
    assert refused is not None
    assert "WRONG" not in str(refused)
