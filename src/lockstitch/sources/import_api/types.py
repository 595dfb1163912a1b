"""Gives pushed values Arrow types: each value its own, and a field with several of them a union of branches."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate, chain
from typing import Any

import pyarrow as pa

from lockstitch.toolkit.inbox.records import Exact

Values = Sequence[Any]

#: The most digits that Arrow's decimals hold, and how many of them stand after the point where the values need more.
_MOST_DIGITS = 76
_SHARED_SCALE = 38


def batch_of(rows: Sequence[Mapping[str, Any]], wants: Callable[[str], bool]) -> pa.RecordBatch:
    """Return the wanted fields of the rows, in the order in which they first come."""
    names = [name for name in dict.fromkeys(chain.from_iterable(rows)) if wants(name)]
    if not names:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(rows), pa.struct([])))
    return pa.RecordBatch.from_arrays([column_of([row.get(name) for row in rows]) for name in names], names)


def column_of(values: Values) -> pa.Array:
    """Return values of any types as one array, each value as it is."""
    kinds = dict.fromkeys(map(type, values))
    kinds.pop(type(None), None)
    if len(kinds) > 1:
        return _union(values, list(map(type, values)), _MAKERS)
    return _MAKERS[next(iter(kinds))](values) if kinds else pa.nulls(len(values))


def _union(values: Values, kinds: Sequence[Hashable], makers: Mapping[Any, Callable[[Values], pa.Array]]) -> pa.Array:
    """Return a dense union with a branch for each kind; a null goes to the first, as a union has none of its own."""
    branches: dict[Hashable, list[Any]] = {kind: [] for kind in kinds if kind is not type(None)}
    codes = {kind: code for code, kind in enumerate(branches)}
    first = next(iter(branches))
    offsets: list[int] = []
    for kind, value in zip(kinds, values, strict=True):
        branch = branches[first if value is None else kind]
        offsets.append(len(branch))
        branch.append(value)
    return pa.UnionArray.from_dense(
        pa.array(
            [codes[first if value is None else kind] for kind, value in zip(kinds, values, strict=True)], pa.int8()
        ),
        pa.array(offsets, pa.int32()),
        [makers[kind](branch) for kind, branch in branches.items()],
        [str(code) for code in codes.values()],
    )


def _integers(values: Values) -> pa.Array:
    """Integers of 64 bits, and those beyond as decimals without a fraction."""
    try:
        return pa.array(values, pa.int64())
    except OverflowError:
        fits = ["whole" if value is None or -(2**63) <= value < 2**63 else "large" for value in values]
    if "whole" not in fits:
        return _decimals([None if value is None else Exact(value) for value in values])
    return _union(values, fits, {"whole": _integers, "large": lambda large: _decimals([Exact(one) for one in large])})


def _decimals(values: Values) -> pa.Array:
    """Decimals of one precision and scale; those that no decimal of Arrow's can hold with the others, as their text."""
    try:
        return pa.array(values)
    except pa.ArrowInvalid:
        fits = ["held" if value is None or _is_held(value) else "text" for value in values]
    if "held" not in fits:
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    held = pa.decimal256(_MOST_DIGITS, _SHARED_SCALE)
    return _union(
        values, fits, {"held": lambda some: pa.array(some, held), "text": lambda some: pa.array(map(str, some))}
    )


def _is_held(value: Exact) -> bool:
    """Tell whether a decimal with as many digits after the point as before it holds the number."""
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_SHARED_SCALE and value.adjusted() < _MOST_DIGITS - _SHARED_SCALE


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


def _nulls(values: Values) -> pa.BooleanArray | None:
    nulls = [value is None for value in values]
    return pa.array(nulls, pa.bool_()) if any(nulls) else None


def _of(kind: pa.DataType) -> Callable[[Values], pa.Array]:
    return lambda values: pa.array(values, kind)


#: Python type -> what makes an array of its values, with None for null.
_MAKERS: Mapping[type, Callable[[Values], pa.Array]] = {
    bool: _of(pa.bool_()),
    int: _integers,
    float: _of(pa.float64()),
    Exact: _decimals,
    str: _of(pa.string()),
    bytes: _of(pa.binary()),
    datetime: _of(pa.timestamp("us", "UTC")),
    dict: _objects,
    list: _lists,
}
