"""What a committed load tells of each of its streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.engine.scripted import House, Script, Scripted, batch

from lockstitch.core.model import Checkpoint, Field, Publish, Stream, Version
from lockstitch.engine.events import Event, LoadCommitted, LoadedStream
from lockstitch.engine.extracted import Extracted

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Keyed(Scripted):
    """A source that goes on from the greatest `at`."""

    def discover(self) -> Sequence[Stream]:
        return [Stream("Orders", (Field("id", "integer"),), self.key, "INCREMENTAL", "at")]


def _loads(house: House, source: Scripted, **more: Any) -> list[LoadCommitted]:
    events: list[Event] = []
    house.run(source, events=events.append, **more)
    return [one for one in events if isinstance(one, LoadCommitted)]


def _of(load: LoadCommitted) -> LoadedStream:
    (stream,) = load.streams
    return stream


def test_a_load_tells_when_and_how_far_its_streams_were_read(tmp_path: Path):
    house = House(tmp_path)
    begun = datetime.now(UTC)
    script: Script = [
        _renamed(batch({"id": 1, "at": 5}, {"id": 2, "at": 3})),
        _renamed(batch({"id": 3, "at": 9}, {"id": 4, "at": None})),
        Checkpoint(1),
    ]
    (load,) = _loads(house, Keyed(script))
    stream = _of(load)
    assert (stream.name, stream.table, stream.version) == ("Orders", "Orders", 0)
    assert (stream.replication_key, stream.bookmark) == ("at", ("3", "9"))
    assert stream.visible
    assert stream.extracted_at is not None
    assert load.batched_at is not None
    assert begun <= stream.extracted_at <= load.batched_at <= datetime.now(UTC)
    stored = f"select distinct _sdc_batched_at = '{load.batched_at}' from shop.\"Orders\""
    assert house.query(stored) == [(True,)]


def _renamed(one: Any) -> Any:
    return replace(one, stream="Orders")


def test_a_version_is_visible_and_has_replaced_once_it_is_published(tmp_path: Path):
    script: Script = [
        Version("orders", 7),
        batch({"id": 1}),
        Checkpoint(1),
        batch({"id": 2}),
        Publish("orders", 7),
        Checkpoint(2),
        batch({"id": 3}),
        Checkpoint(3),
    ]
    loads = _loads(House(tmp_path), Scripted(script), rows=1)
    told = [(one.visible, one.replaced, one.version) for one in map(_of, loads)]
    assert told == [(False, False, 7), (True, True, 7), (True, False, 7)]
    assert [_of(load).bookmark for load in loads] == [None] * 3


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([datetime(2026, 1, 2, tzinfo=UTC), NOW], ("2026-01-02T00:00:00Z", "2026-03-01T12:00:00Z")),
        ([datetime(2026, 1, 2), None], ("2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z")),
        ([date(2026, 1, 2), date(2025, 1, 2)], ("2025-01-02", "2026-01-02")),
        ([Decimal("1.50"), Decimal("0.25")], ("0.25", "1.50")),
        (["b", "a"], ("a", "b")),
        ([None], None),
        ([{"a": 1}], None),
        ([[1]], None),
    ],
)
def test_values_are_told_as_text_where_they_have_an_order(values: list[Any], expected: tuple[str, str] | None):
    extracted = Extracted("at", NOW)
    extracted.add(pa.RecordBatch.from_pydict({"at": values}), NOW + timedelta(seconds=1))
    assert extracted.bookmark == expected
    assert extracted.last_at == NOW + timedelta(seconds=1)


def test_a_key_that_changes_its_type_or_is_not_there_is_no_error():
    extracted = Extracted("at", NOW)
    for column in ({"at": [1, 2]}, {"at": ["x"]}, {"other": [1]}):
        extracted.add(pa.RecordBatch.from_pydict(column), NOW)
    assert extracted.bookmark == ("x", "x")


def test_a_moment_that_python_cannot_hold_is_no_error():
    extracted = Extracted("at", NOW)
    extracted.add(pa.RecordBatch.from_arrays([pa.array([2**62], pa.timestamp("us", "UTC"))], ["at"]), NOW)
    extracted.add(pa.RecordBatch.from_arrays([pa.array([1], pa.timestamp("ns", "UTC"))], ["at"]), NOW)
    extracted.add(pa.RecordBatch.from_arrays([pa.array([1], pa.timestamp("us", "Nowhere/Else"))], ["at"]), NOW)
    assert extracted.bookmark is None


def test_moments_with_and_without_a_zone_are_compared():
    extracted = Extracted("at", NOW)
    for zone in (None, "UTC", "Asia/Tokyo"):
        extracted.add(pa.RecordBatch.from_arrays([pa.array([0], pa.timestamp("us", zone))], ["at"]), NOW)
    assert extracted.bookmark == ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z")
