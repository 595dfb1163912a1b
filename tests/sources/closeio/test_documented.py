"""Streams, columns and types are those that Stitch documents; `documented.txt` has them, a line a column."""

from __future__ import annotations

from typing import Any, cast

import pytest

from lockstitch.sources.closeio.shapes import STREAMS
from sources.closeio.account import Account
from sources.closeio.pipelines import Warehouse
from sources.documented import documented, flat, record_of
from sources.reassembled import expected

DOCUMENTED = documented(__file__)


def test_there_are_the_documented_streams() -> None:
    assert sorted(STREAMS) == sorted(DOCUMENTED)
    assert {name: len(fields) for name, fields in STREAMS.items()} == {
        "custom_fields": 10,
        "leads": 21,
        "activities": 71,
        "tasks": 42,
        "users": 9,
        "event_log": 14,
    }


@pytest.mark.parametrize("stream", sorted(DOCUMENTED))
def test_the_shapes_are_what_is_documented(stream: str) -> None:
    """Where several types are documented, each value comes as its own."""
    told = {path: "any" if "|" in kind else kind for path, kind in DOCUMENTED[stream].items()}
    assert flat(STREAMS[stream]) == told


def test_discovery_tells_keys_methods_and_types(account: Account) -> None:
    source = account.source()
    found = {stream.name: stream for stream in source.discover()}
    source.close()
    assert list(found) == ["custom_fields", "leads", "activities", "tasks", "users", "event_log"]
    for name, stream in found.items():
        assert stream.key == ("id",)
        assert stream.replication_method == "INCREMENTAL"
        assert stream.replication_key == ("date_created" if name == "activities" else "date_updated")
        assert {field.name for field in stream.fields} == set(STREAMS[name])
        assert {field.inclusion for field in stream.fields} == {"automatic"}
    types = {field.name: (field.type, field.format) for field in found["leads"].fields}
    assert types["id"] == ("string", None)
    assert types["date_updated"] == ("string", "date-time")
    assert types["contacts"] == ("array", None)
    tasks = {field.name: field.type for field in found["tasks"].fields}
    assert (tasks["is_complete"], tasks["voicemail_duration"]) == ("boolean", "integer")
    assert {field.name: field.type for field in found["event_log"].fields}["meta"] == "object"


def test_every_column_lands_in_its_documented_type(account: Account, warehouse: Warehouse) -> None:
    truth: dict[str, dict[str, dict[str, Any]]] = {}
    for stream, columns in DOCUMENTED.items():
        rows = [{**record_of(columns, number), "id": f"{stream}_{number}"} for number in range(5)]
        kept = account.data.events if stream == "event_log" else account.data.records(cast("Any", stream))
        for row in rows:
            custom = cast("list[dict[str, Any]]", row.pop("custom_fields", []))
            kept[row["id"]] = row | {f"custom.{row['id']}": each["value"] for each in custom}
            if stream == "leads":
                row["custom_fields"] = [{"id": row["id"], "value": custom[0]["value"]}]
            if stream == "event_log":
                kept[row["id"]] = dict(row)
                row.update(data='"☃"', previous_data='"☃"')
        truth[stream] = {row["id"]: expected(row, STREAMS[stream]) for row in rows}
    warehouse.run(account)
    for stream, rows in truth.items():
        assert warehouse.records(stream) == (rows, set())
