"""Pushed values as Arrow arrays: each comes back as it went."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstitch.layout.flatten import flatten
from lockstitch.toolkit.exact import Exact
from lockstitch.toolkit.values import UnknownValue, batch_of, column_of


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([None, None], pa.null()),
        ([1, None, -(2**63)], pa.int64()),
        ([1.5, None], pa.float64()),
        ([True, None], pa.bool_()),
        (["a", None], pa.string()),
        ([b"a"], pa.binary()),
        ([datetime(1, 1, 1, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
        ([Exact("1.10"), Exact("100")], pa.decimal128(5, 2)),
        ([2**64, None], pa.decimal128(20, 0)),
        ([10**60], pa.decimal256(61, 0)),
        ([10**80], pa.string()),
        ([{}, None], pa.struct([])),
        ([[], None], pa.list_(pa.null())),
        ([{"a": 1}, {"b": "x"}], pa.struct([("a", pa.int64()), ("b", pa.string())])),
        ([[1], [None, 2]], pa.list_(pa.int64())),
    ],
)
def test_types(values: list[Any], kind: pa.DataType) -> None:
    column = column_of(values)
    column.validate(full=True)
    assert column.type == kind
    if kind not in (pa.string(), pa.struct([("a", pa.int64()), ("b", pa.string())])):
        assert column.to_pylist() == values


def test_decimals_that_have_no_type_in_common() -> None:
    values = [Exact("1e-70"), Exact("1e70"), 5, 2**64, Exact("1.5"), None]
    assert column_of(values).to_pylist() == ["1E-70", "1E+70", 5, 2**64, Exact("1.5"), None]


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=3),
    st.binary(max_size=2),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9).map(Exact),
    st.datetimes(timezones=st.just(UTC)),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_VALUES, min_size=1, max_size=8))
def test_any_values_come_back_as_they_went(values: list[Any]) -> None:
    column = column_of(values)
    column.validate(full=True)
    assert _shown(column.to_pylist()) == _shown(values)
    rows = batch_of([{"v": value, "n": 1} for value in values], lambda _: True)
    assert flatten(rows)[0].count == len(values)


def _shown(value: Any) -> Any:
    """Return what a value and its array have in common: an object's absent fields are null there."""
    if isinstance(value, list):
        return [_shown(one) for one in value]
    if isinstance(value, dict):
        return {name: shown for name, one in value.items() if (shown := _shown(one)) is not None}
    if isinstance(value, float | bool):
        return repr(value)
    return value


def test_rows_without_fields_are_rows() -> None:
    assert batch_of([{}, {}], lambda _: True).num_rows == 2
    assert batch_of([{"a": 1}, {}], lambda name: name != "a").num_rows == 2


class Color(Enum):
    RED = "red"


class Mixed(str, Enum):  # noqa: UP042 - as programs have them
    RED = "red"


class Word(StrEnum):
    RED = "red"


class Number(IntEnum):
    ONE = 1


class Point(NamedTuple):
    x: int
    y: str


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected", "kind"),
    [
        (Decimal("1.10"), Decimal("1.10"), pa.decimal128(3, 2)),
        (Decimal("NaN"), "NaN", pa.string()),
        (date(2026, 1, 1), date(2026, 1, 1), pa.date32()),
        (time(1, 2, 3, 4), time(1, 2, 3, 4), pa.time64("us")),
        (time(1, 2, tzinfo=UTC), "01:02:00+00:00", pa.string()),
        (timedelta(days=1, microseconds=1), timedelta(days=1, microseconds=1), pa.duration("us")),
        (NOON.astimezone(timezone(timedelta(hours=5))), NOON, pa.timestamp("us", "UTC")),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001", pa.string()),
        ((1, 2), [1, 2], pa.list_(pa.int64())),
        (Point(1, "b"), {"x": 1, "y": "b"}, pa.struct([("x", pa.int64()), ("y", pa.string())])),
        (OrderedDict(a=1), {"a": 1}, pa.struct([("a", pa.int64())])),
        (bytearray(b"a"), b"a", pa.binary()),
        (memoryview(b"a"), b"a", pa.binary()),
        (Color.RED, "red", pa.string()),
        (Mixed.RED, "red", pa.string()),
        (Word.RED, "red", pa.string()),
        (Number.ONE, 1, pa.int64()),
        (np.int8(-1), -1, pa.int64()),
        (np.uint64(2**64 - 1), Decimal(2**64 - 1), pa.decimal128(20, 0)),
        (np.float64(0.1), 0.1, pa.float64()),
        (np.bool_(True), True, pa.bool_()),
        (np.str_("a"), "a", pa.string()),
        (np.datetime64("2026-01-01T12:00:00.000000000"), NOON, pa.timestamp("us", "UTC")),
        (np.datetime64("NaT"), None, pa.null()),
        (np.timedelta64(1, "s"), timedelta(seconds=1), pa.duration("us")),
        (np.array([1, 2]), [1, 2], pa.list_(pa.int64())),
        (np.array([["2026-01-01"]], "M8[D]"), [[NOON.replace(hour=0)]], pa.list_(pa.list_(pa.timestamp("us", "UTC")))),
        (pd.Timestamp("2026-01-01T12:00:00Z"), NOON, pa.timestamp("us", "UTC")),
        (pd.Timedelta(seconds=1), timedelta(seconds=1), pa.duration("us")),
        (pd.NaT, None, pa.null()),
        (pd.NA, None, pa.null()),
    ],
)
def test_what_programs_hold_comes_as_what_it_is(value: Any, expected: Any, kind: pa.DataType) -> None:
    column = column_of([value])
    column.validate(full=True)
    assert column.type == kind
    assert column.to_pylist() == [expected]
    assert column_of([[value], None]).to_pylist() == [[expected], None]
    assert batch_of([{"a": {"b": value}}, {"a": {}}], lambda _: True)["a"].to_pylist()[0] == {"b": expected}


@pytest.mark.parametrize(
    "value",
    [
        1j,
        {1},
        object(),
        {1: 2},
        np.datetime64("2026-01-01T00:00:00.000000001"),
        np.datetime64("12026-01-01"),
        np.longdouble(1),
        np.complex128(1),
        pd.Timestamp("2026-01-01T00:00:00.000000001"),
        pd.Timedelta(1, "ns"),
    ],
)
def test_what_has_no_type_or_would_lose_something_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(UnknownValue) as refused:
        batch_of([{"a": {"b": [None, value]}}], lambda _: True)
    assert refused.value.place.startswith("a.b")
