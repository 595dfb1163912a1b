"""Pushed values as Arrow arrays: each comes back as it went."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstitch.layout.flatten import flatten
from lockstitch.toolkit.exact import Exact
from lockstitch.toolkit.values import batch_of, column_of


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
