"""Gives Python values Arrow types: each value its own, and a field with several of them a union of branches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate, chain
from typing import Any

import pyarrow as pa

from lockstitch.toolkit.exact import Exact

Values = Sequence[Any]

#: Decimals with at most so many digits before the point, and so many after it, have a type in common in Arrow.
_MOST_DIGITS = 38


def batch_of(rows: Sequence[Mapping[str, Any]], wants: Callable[[str], bool]) -> pa.RecordBatch:
    """Return the wanted fields of the rows, in the order in which they first come."""
    names = [name for name in dict.fromkeys(chain.from_iterable(rows)) if wants(name)]
    if not names:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(rows), pa.struct([])))
    return pa.RecordBatch.from_arrays([column_of([row.get(name) for row in rows]) for name in names], names)


def column_of(values: Values) -> pa.Array:
    """Return values of any types as one array, each value as it is.

    Integers beyond 64 bits become decimals. Where no decimal type of Arrow's holds all of a column's decimals, those
    with more than 38 digits before or after the point become text.
    """
    for easier in (_decimal_if_large, _text_if_long):
        try:
            return _typed(values)
        except (OverflowError, pa.ArrowInvalid):
            values = [easier(value) for value in values]
    return _typed(values)


def _decimal_if_large(value: Any) -> Any:
    return Exact(value) if type(value) is int and not -(2**63) <= value < 2**63 else value


def _text_if_long(value: Any) -> Any:
    if type(value) is not Exact:
        return value
    exponent = value.as_tuple().exponent
    is_held = isinstance(exponent, int) and exponent >= -_MOST_DIGITS and value.adjusted() < _MOST_DIGITS
    return value if is_held else str(value)


def _typed(values: Values) -> pa.Array:
    kinds = dict.fromkeys(map(type, values))
    kinds.pop(type(None), None)
    if len(kinds) > 1:
        return _union(values, list(kinds))
    return _MAKERS[next(iter(kinds))](values) if kinds else pa.nulls(len(values))


def _union(values: Values, kinds: Sequence[type]) -> pa.Array:
    """Return a dense union with a branch for each kind; a null goes to the first, as a union has none of its own."""
    branches: dict[type, list[Any]] = {kind: [] for kind in kinds}
    branches[type(None)] = branches[kinds[0]]
    codes = {kind: code for code, kind in enumerate(kinds)} | {type(None): 0}
    offsets: list[int] = []
    for value in values:
        branch = branches[type(value)]
        offsets.append(len(branch))
        branch.append(value)
    return pa.UnionArray.from_dense(
        pa.array([codes[type(value)] for value in values], pa.int8()),
        pa.array(offsets, pa.int32()),
        [_MAKERS[kind](branches[kind]) for kind in kinds],
        [str(code) for code in range(len(kinds))],
    )


def _objects(values: Values) -> pa.Array:
    names = list(dict.fromkeys(chain.from_iterable(value for value in values if value is not None)))
    if not names:
        return pa.array(values, pa.struct([]))
    columns = [column_of([None if value is None else value.get(name) for value in values]) for name in names]
    return pa.StructArray.from_arrays(columns, names, mask=_nulls(values))


def _lists(values: Values) -> pa.Array:
    elements = column_of(list(chain.from_iterable(value for value in values if value is not None)))
    offsets = accumulate((0 if value is None else len(value) for value in values), initial=0)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), elements, mask=_nulls(values))


def _texts(values: Values) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        # Half of a surrogate pair, as JSON may escape it: kept as bytes, for the layout to adjust.
        raw = [None if value is None else value.encode("utf-8", "surrogatepass") for value in values]
        return pa.array(raw, pa.binary()).view(pa.string())


def _nulls(values: Values) -> pa.BooleanArray | None:
    nulls = [value is None for value in values]
    return pa.array(nulls, pa.bool_()) if any(nulls) else None


def _of(kind: pa.DataType) -> Callable[[Values], pa.Array]:
    return lambda values: pa.array(values, kind)


#: Python type -> what makes an array of its values, with None for null.
_MAKERS: Mapping[type, Callable[[Values], pa.Array]] = {
    bool: _of(pa.bool_()),
    int: _of(pa.int64()),
    float: _of(pa.float64()),
    Exact: pa.array,
    str: _texts,
    bytes: _of(pa.binary()),
    datetime: _of(pa.timestamp("us", "UTC")),
    dict: _objects,
    list: _lists,
}
