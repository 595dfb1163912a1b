"""Streams, columns and types are those that Stitch documents; `documented.txt` has them, a line a column."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from lockstitch.sources.closeio.shapes import STREAMS
from lockstitch.testing.vendors.close_data import stamp
from lockstitch.toolkit.shapes import Shape
from sources.closeio.account import NOW, Account
from sources.closeio.pipelines import Warehouse
from sources.reassembled import expected

#: By stream: path and type of each column.
DOCUMENTED: dict[str, dict[str, str]] = {}
for line in (Path(__file__).parent / "documented.txt").read_text(encoding="utf-8").splitlines():
    stream, path, kind = line.split()
    DOCUMENTED.setdefault(stream, {})[path] = kind


def _flat(path: str, shape: Shape) -> Iterator[tuple[str, str]]:
    if isinstance(shape, str):
        yield path, shape
    elif isinstance(shape, list):
        yield from _flat(f"{path}[]", shape[0])
    else:
        for name, below in shape.items():
            yield from _flat(f"{path}.{name}", below)


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
    ours = dict(pair for name, shape in STREAMS[stream].items() for pair in _flat(name, shape))
    told = {path: "any" if "|" in kind else kind for path, kind in DOCUMENTED[stream].items()}
    assert ours == told


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


#: A value of each documented type.
_VALUES: dict[str, Any] = {
    "string": "☃",
    "integer": 2**53 + 1,
    "number": 0.5,
    "boolean": True,
    "date-time": stamp(NOW.replace(microsecond=123456)),
}


def _record(columns: dict[str, str], alternative: int) -> dict[str, Any]:
    """Return a record that has a value in every documented column; of several types, one of them."""
    record: dict[str, Any] = {}
    for path, kind in columns.items():
        kinds = kind.split("|")
        chosen = kinds[alternative % len(kinds)]
        value: Any = {"object": {"a": 1}, "array": [1, "a"]}.get(chosen, _VALUES.get(chosen))
        place = record
        *above, last = path.split(".")
        for name in above:
            if name.endswith("[]"):
                place = cast("list[dict[str, Any]]", place.setdefault(name[:-2], [{}]))[0]
            else:
                place = place.setdefault(name, {})
        if last.endswith("[]"):
            place[last[:-2]] = [value]
        else:
            place[last] = value
    return record


def test_every_column_lands_in_its_documented_type(account: Account, warehouse: Warehouse) -> None:
    truth: dict[str, dict[str, dict[str, Any]]] = {}
    for stream, columns in DOCUMENTED.items():
        rows = [{**_record(columns, number), "id": f"{stream}_{number}"} for number in range(5)]
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
