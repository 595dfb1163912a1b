"""Gives Python values Arrow types: each value its own, and a field with several of them a union of branches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import accumulate, chain
from typing import Any
from uuid import UUID

import pyarrow as pa

from lockstitch.toolkit.exact import Exact

Values = Sequence[Any]

#: Decimals with at most so many digits before the point, and so many after it, have a type in common in Arrow.
_MOST_DIGITS = 38


class UnknownValue(ValueError):
    """A Python value that has no type in Arrow, or would lose something; `place` is the path of its field."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.place = ""

    def below(self, name: object) -> UnknownValue:
        """Return it with one more name before its path."""
        self.place = f"{name}.{self.place}" if self.place else str(name)
        return self


def batch_of(rows: Sequence[Mapping[str, Any]], wants: Callable[[str], bool]) -> pa.RecordBatch:
    """Return the wanted fields of the rows, in the order in which they first come."""
    names = [name for name in dict.fromkeys(chain.from_iterable(rows)) if wants(name)]
    if not names:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(rows), pa.struct([])))
    return pa.RecordBatch.from_arrays([_field_of(rows, name) for name in names], names)


def _field_of(rows: Sequence[Mapping[str, Any] | None], name: str) -> pa.Array:
    try:
        if type(name) is not str:
            raise UnknownValue(f"a field's name is {name!r}, which is no text")
        return column_of([None if row is None else row.get(name) for row in rows])
    except UnknownValue as error:
        raise error.below(name) from None


def column_of(values: Values) -> pa.Array:
    """Return values of any types as one array, each value as it is.

    Integers beyond 64 bits become decimals. Where no decimal type of Arrow's holds all of a column's decimals, those
    with more than 38 digits before or after the point become text.
    """
    if not set(map(type, values)) <= _MAKERS.keys() | {type(None)}:
        values = [_plain(value) for value in values]
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


def _plain(value: Any) -> Any:
    """Return a value of a type that is no exact one of `_MAKERS` as one of them. Raises UnknownValue."""
    kind = type(value)
    if kind in _MAKERS or value is None or kind.__name__ in ("NaTType", "NAType"):  # pandas' own nulls
        return value if kind in _MAKERS else None
    if kind.__module__.partition(".")[0] == "numpy":
        return _plain(_of_numpy(value))
    for above in kind.__mro__:
        if above in _PLAIN:
            return _plain(_PLAIN[above](value))
    raise UnknownValue(f"a value is of the Python type {kind.__module__}.{kind.__qualname__}")


def _of_numpy(value: Any) -> Any:
    """Return a NumPy scalar as Python's, an array as a list of such."""
    if getattr(value, "shape", ()):
        return list(value)
    if value.dtype.kind in "mM":
        return _of_numpy_time(value)
    found = value.tolist()
    if type(found) is type(value):
        raise UnknownValue(f"a value is of the Python type numpy.{type(value).__name__}")
    return found


def _of_numpy_time(value: Any) -> Any:
    if value != value:  # NaT
        return None
    exact = value.astype(f"{value.dtype.kind}8[us]")
    found = exact.tolist()
    if exact != value or type(found) is int:
        raise UnknownValue(f"{value!r} is finer than microseconds, or beyond the years of Python")
    return found


def _moment(value: datetime) -> datetime:
    if getattr(value, "nanosecond", 0):  # as pandas' Timestamp may have
        raise UnknownValue(f"{value!r} is finer than microseconds")
    return datetime.combine(value.date(), value.timetz())


def _span(value: timedelta) -> timedelta:
    if getattr(value, "nanoseconds", 0):  # as pandas' Timedelta may have
        raise UnknownValue(f"{value!r} is finer than microseconds")
    return timedelta(value.days, value.seconds, value.microseconds)


def _times(values: Values) -> pa.Array:
    """Arrow's time of day has no zone: where one has, all are text."""
    if any(value is not None and value.tzinfo is not None for value in values):
        return pa.array([None if value is None else value.isoformat() for value in values], pa.string())
    return pa.array(values, pa.time64("us"))


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
    columns = [_field_of(values, name) for name in names]
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


#: Python type -> how a value of it, or of a type made from it, becomes one of those below.
_PLAIN: Mapping[type, Callable[[Any], Any]] = {
    Enum: lambda value: value.value,
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    Decimal: Exact,
    bytes: bytes.__bytes__,
    bytearray: bytes,
    memoryview: bytes,
    datetime: _moment,
    date: lambda value: date.fromordinal(value.toordinal()),
    timedelta: _span,
    UUID: str,
    dict: dict,
    tuple: lambda value: value._asdict() if hasattr(value, "_asdict") else list(value),
    list: list,
}

#: Python type -> what makes an array of its values, with None for null.
_MAKERS: Mapping[type, Callable[[Values], pa.Array]] = {
    bool: _of(pa.bool_()),
    int: _of(pa.int64()),
    float: _of(pa.float64()),
    Exact: pa.array,
    str: _texts,
    bytes: _of(pa.binary()),
    datetime: _of(pa.timestamp("us", "UTC")),
    date: _of(pa.date32()),
    time: _times,
    timedelta: _of(pa.duration("us")),
    dict: _objects,
    list: _lists,
}
