"""Gives values and rows the types that a stream's fields are declared with (`shapes`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from lockstitch.toolkit.exact import Exact
from lockstitch.toolkit.moments import moment_or_none
from lockstitch.toolkit.shapes import Fields, Shape
from lockstitch.toolkit.values import column_of

TIMESTAMP = pa.timestamp("us", "UTC")

#: How Arrow's JSON reader reads a scalar; `any` is known only once values were seen.
_PARSED: Mapping[str, pa.DataType] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "date-time": pa.string(),
}


def parse_type(shape: Shape) -> pa.DataType | None:
    """Return the type by which Arrow's JSON reader reads a shape; None for any."""
    if isinstance(shape, str):
        return _PARSED.get(shape)
    if isinstance(shape, list):
        value = parse_type(shape[0])
        return pa.list_(value if value is not None else pa.null())
    fields = {name: parse_type(below) for name, below in shape.items()}
    return pa.struct([(name, kind) for name, kind in fields.items() if kind is not None])


# --- values, before they become Arrow ---------------------------------------------------------------------------------


def conformed(value: Any, shape: Shape | None) -> Any:
    """Write the numbers of a value in the form that is declared, where that is the same number."""
    if isinstance(value, dict):
        fields = shape if isinstance(shape, Mapping) else {}
        return {name: conformed(below, fields.get(name)) for name, below in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        element = shape[0] if isinstance(shape, list) else None
        return [conformed(below, element) for below in cast("list[Any]", value)]
    change = _CONFORMED.get((shape, type(value))) if isinstance(shape, str) else None
    return value if change is None else change(value)


def _as_float(value: int) -> Any:
    number = float(value) if abs(value) < 2**1023 else None
    return number if number == value else Exact(value)


def _as_integer(value: float) -> Any:
    return int(value) if value.is_integer() else value


#: By declared type and the value's own.
_CONFORMED: Mapping[tuple[str, type], Callable[[Any], Any]] = {
    ("number", int): _as_float,
    ("integer", float): _as_integer,
    ("string", int): str,
    ("string", float): repr,
    ("string", Exact): str,
}


# --- rows -------------------------------------------------------------------------------------------------------------


def shaped(
    rows: pa.RecordBatch, fields: Fields, unseen: set[str] | None, keeps: Callable[[str], bool] = lambda _: False
) -> pa.RecordBatch:
    """Turn declared moments into timestamps; with `unseen`, leave out other fields and add their paths to it.

    Fields of the record itself that `keeps` tells stay nevertheless.
    """
    if not fields:
        return rows
    columns: dict[str, pa.Array] = {}
    for name, column in zip(rows.schema.names, rows.columns, strict=True):
        if name in fields:
            columns[name] = _shaped(column, fields[name], name, unseen)
        elif unseen is None or keeps(name):
            columns[name] = column
        else:
            unseen.add(name)
    if not columns:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * rows.num_rows, pa.struct([])))
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


def _shaped(array: pa.Array, shape: Shape, path: str, unseen: set[str] | None) -> pa.Array:
    kind = array.type
    if pa.types.is_union(kind):
        branches = [_shaped(array.field(index), shape, path, unseen) for index in range(kind.num_fields)]
        if any(pa.types.is_union(branch.type) for branch in branches):
            return array
        return pa.UnionArray.from_dense(array.type_codes, array.offsets, branches, [field.name for field in kind])
    if shape == "date-time" and pa.types.is_string(kind):
        return moments(array)
    if isinstance(shape, list) and pa.types.is_list(kind):
        elements = _shaped(array.values, shape[0], path, unseen)
        return pa.ListArray.from_arrays(array.offsets, elements, mask=_mask(array))
    if isinstance(shape, Mapping) and pa.types.is_struct(kind):
        return _shaped_object(array, shape, path, unseen)
    return array


def _shaped_object(array: Any, fields: Fields, path: str, unseen: set[str] | None) -> pa.Array:
    columns: dict[str, pa.Array] = {}
    for index, field in enumerate(array.type):
        below = f"{path}.{field.name}"
        if field.name in fields:
            columns[field.name] = _shaped(array.field(index), fields[field.name], below, unseen)
        elif unseen is None:
            columns[field.name] = array.field(index)
        else:
            unseen.add(below)
    if not columns:
        return pa.array([None if missing else {} for missing in array.is_null().to_pylist()], pa.struct([]))
    return pa.StructArray.from_arrays(list(columns.values()), list(columns), mask=_mask(array))


def _mask(array: pa.Array) -> pa.BooleanArray | None:
    return array.is_null() if array.null_count else None


def moments(texts: pa.Array) -> pa.Array:
    """Return ISO 8601 texts as timestamps in microseconds, UTC where they name no zone; what is none stays text.

    Finer fractions of a second are cut, as in every timestamp of Stitch's (`spec/source-closeio.md` section 2).
    """
    try:
        return pc.cast(texts, TIMESTAMP)
    except pa.ArrowInvalid:
        return column_of([moment_or_none(text) or text for text in texts.to_pylist()])
