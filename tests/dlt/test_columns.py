"""Rows of ours as dlt can load them: no value is changed, whatever comes after whatever."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lockstitch.core.errors import SourceDataError
from lockstitch.dlt.columns import Columns
from lockstitch.toolkit.exact import Exact
from lockstitch.toolkit.values import batch_of


def fitted(*batches: list[Any], known: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Return the rows of batches of one field `a` as they come out, without nulls."""
    columns = Columns("things", ("id",), known or {}, str.lower)
    rows = [
        row for values in batches for row in columns.fitted(batch_of([{"a": one} for one in values], _all)).to_pylist()
    ]
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def _all(_: str) -> bool:
    return True


@pytest.mark.parametrize(
    "value",
    [
        7,
        -(2**63),
        0.1,
        True,
        "text",
        b"\0\xff",
        date(2024, 2, 29),
        time(23, 59, 59, 1),
        datetime(2024, 1, 1, tzinfo=UTC),
    ],
)
def test_a_value_stays_what_it_is(value: object) -> None:
    assert fitted([value, None]) == [{"a": value}, {}]


def test_types_of_one_column_come_into_columns_of_their_own() -> None:
    assert fitted([1, "x", True, 2.5]) == [{"a": 1}, {"a__v_text": "x"}, {"a__v_bool": True}, {"a__v_double": 2.5}]


def test_a_later_type_does_too_and_the_first_stays() -> None:
    assert fitted([1], [1.5], [2]) == [{"a": 1}, {"a__v_double": 1.5}, {"a": 2}]
    assert fitted([1], known={"a": "text"}) == [{"a__v_bigint": 1}]


def test_integers_go_into_columns_of_other_numbers_where_they_are_those_numbers() -> None:
    assert fitted([1.5, 2]) == [{"a": 1.5}, {"a": 2.0}]
    assert fitted([1.5], [2**53 + 1]) == [{"a": 1.5}, {"a__v_bigint": 2**53 + 1}]
    assert fitted([Exact("1.25")], [2**62]) == [{"a": Decimal("1.250000000")}, {"a": Decimal(2**62)}]


def test_what_a_type_cannot_hold_is_text() -> None:
    long = Exact("0.12345678901234567890")
    assert fitted([Exact("1.5"), long]) == [{"a": Decimal("1.500000000")}, {"a__v_text": str(long)}]
    assert fitted([1], [2**63]) == [{"a": 1}, {"a__v_decimal": Decimal(2**63)}]
    columns = Columns("things", (), {}, str)
    moments = pa.array([1_000, 1_001], pa.timestamp("ns", "UTC"))
    rows = columns.fitted(pa.RecordBatch.from_pydict({"at": moments, "n": pa.array([1, 2**64 - 1], pa.uint64())}))
    assert rows.column("at").to_pylist() == [datetime(1970, 1, 1, 0, 0, 0, 1, UTC), None]
    assert rows.column("at__v_text").to_pylist() == [None, "1001"]
    assert rows.column("n__v_text").to_pylist() == [None, str(2**64 - 1)]


def test_what_is_nested_is_json_and_never_taken_for_text() -> None:
    values = [[{"b": Exact("1.10")}], '["text"]', {"c": None, "d": datetime(2024, 1, 1, tzinfo=UTC)}]
    assert fitted(values) == [
        {"a": '[{"b": "1.10"}]'},
        {"a__v_text": '["text"]'},
        {"a": '{"d": "2024-01-01T00:00:00+00:00"}'},
    ]


def test_a_time_without_a_zone_is_utc_and_a_span_is_text() -> None:
    columns = Columns("things", (), {}, str)
    naive = pa.array([datetime(2024, 1, 1)], pa.timestamp("ms"))
    span = pa.array([timedelta(hours=1)])
    rows = columns.fitted(pa.RecordBatch.from_pydict({"at": naive, "took": span})).to_pylist()
    assert rows == [{"at": datetime(2024, 1, 1, tzinfo=UTC), "took": "1:00:00"}]


def test_text_that_is_no_utf8_is_mended_and_told(caplog: pytest.LogCaptureFixture) -> None:
    broken = pa.array([b"a\xff", None], pa.binary()).view(pa.string())
    with caplog.at_level(logging.WARNING):
        rows = Columns("things", (), {}, str).fitted(pa.RecordBatch.from_pydict({"a": broken}))
    assert rows.column("a").to_pylist() == ["a\N{REPLACEMENT CHARACTER}", None]
    assert "stream things, field a" in caplog.text


def test_a_key_keeps_its_type() -> None:
    columns = Columns("things", ("id",), {"id": "bigint"}, str)
    with pytest.raises(SourceDataError, match="the key id holds text now, and bigint before"):
        columns.fitted(pa.RecordBatch.from_pydict({"id": ["x"]}))


def test_rows_without_any_value_are_rows() -> None:
    assert fitted([None, None]) == [{}, {}]
