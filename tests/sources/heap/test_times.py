"""Heap's times as timestamps, where that is asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lockstitch.core.model import Field
from lockstitch.sources.heap.times import with_timestamps
from lockstitch.testing.heap_bucket import DumpTable, write_dump
from sources.heap.bucket import batches, open_folder, read, values

MOMENT = datetime(2026, 3, 4, 5, 6, 7, 890000, UTC)
MICROS = int(MOMENT.timestamp()) * 1_000_000 + 890_000
UTC_MICROS = pa.timestamp("us", "UTC")

COLUMNS: dict[str, tuple[list[Any], pa.DataType, list[Any]]] = {
    "text without a zone": (["2026-03-04 05:06:07.890", None], UTC_MICROS, [MOMENT, None]),
    "text with T": (["2026-03-04T05:06:07.89"], UTC_MICROS, [MOMENT]),
    "text with Z": (["2026-03-04T05:06:07.890Z"], UTC_MICROS, [MOMENT]),
    "text with an offset": (["2026-03-04 06:06:07.890+01:00"], UTC_MICROS, [MOMENT]),
    "microseconds": ([MICROS, None], UTC_MICROS, [MOMENT, None]),
    "year 1": (["0001-01-01 00:00:00"], UTC_MICROS, [datetime(1, 1, 1, tzinfo=UTC)]),
    "nothing": ([None, None], UTC_MICROS, [None, None]),
    "a word": (["2026-03-04 05:06:07", "yesterday"], pa.string(), ["2026-03-04 05:06:07", "yesterday"]),
    "with and without a zone": (
        ["2026-03-04 05:06:07Z", "2026-03-04 05:06:07"],
        pa.string(),
        ["2026-03-04 05:06:07Z", "2026-03-04 05:06:07"],
    ),
    "numbers": ([1.5], pa.float64(), [1.5]),
}


@pytest.mark.parametrize(("given", "kind", "parsed"), COLUMNS.values(), ids=COLUMNS)
def test_a_column_is_parsed_whole_or_not_at_all(given: list[Any], kind: pa.DataType, parsed: list[Any]) -> None:
    array = pa.array(given, pa.string()) if all(value is None for value in given) else pa.array(given)
    batch = with_timestamps(pa.record_batch({"event_id": pa.array(range(len(given))), "time": array}))
    assert batch.schema.names == ["event_id", "time"]
    assert batch.column("time").type == kind
    assert batch.column("time").to_pylist() == parsed


def test_only_heaps_own_times_are_parsed() -> None:
    batch = pa.record_batch({"plan_time": pa.array(["2026-03-04 05:06:07"])})
    assert with_timestamps(batch) == batch


@pytest.mark.parametrize("asked", [False, True])
def test_it_is_done_only_where_asked_for(tmp_path: Path, asked: bool) -> None:
    text = "2026-03-04 06:06:07.890+01:00"
    rows = pa.table({"event_id": pa.array([1], pa.int64()), "time": [text]})
    write_dump(tmp_path / "bucket", 1, {"click": DumpTable(rows)})
    source = open_folder(tmp_path / "bucket", parse_timestamps=asked)
    (stream,) = source.discover()
    assert stream.fields[1] == Field("time", "string", "date-time" if asked else None)
    messages = read(source, "click")
    assert values(messages, "time") == [MOMENT if asked else text]
    assert len(list(batches(messages))) == 1
