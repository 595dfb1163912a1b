"""A record as `_sdc_rejected` keeps it: JSON without loss, as much as fits (docs/layout.md, R73)."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pyarrow as pa

from lockstitch.layout.flatten import union_parts


def record_text(rows: pa.RecordBatch, index: int, limit: int) -> str:
    """Return one row as a JSON object of its fields in their order, nulls left out, cut at `limit` characters."""
    values = ((name, _value(rows.column(at).slice(index, 1))) for at, name in enumerate(rows.schema.names))
    return json.dumps({name: value for name, value in values if value is not None}, ensure_ascii=False)[:limit]


def value_text(one: pa.Array) -> str | None:
    """Return the only value of an array as text: text as it is, all else in JSON; None for a null."""
    value = _value(one)
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _value(one: pa.Array) -> Any:
    """Return the only value of an array, as JSON has it."""
    if "[ns" in str(one.type):
        # PyArrow would give nanoseconds in pandas' own types where pandas is installed, and load it.
        return _inexpressible(one)
    try:
        return _json(one.to_pylist()[0])
    except (UnicodeDecodeError, ValueError, OverflowError):
        return _inexpressible(one)


def _inexpressible(one: pa.Array) -> Any:
    """Return a value that holds what Python has no word for: text that is no UTF-8, a time beyond its years."""
    kind = one.type
    if isinstance(kind, pa.BaseExtensionType):
        return _value(one.storage)
    if pa.types.is_dictionary(kind):
        return _value(one.dictionary_decode())
    if pa.types.is_union(kind):
        codes, positions = union_parts(one)
        return _value(one.field(kind.type_codes.index(codes[0].as_py())).slice(positions[0].as_py(), 1))
    if pa.types.is_struct(kind):
        fields = ((field.name, _value(one.field(at))) for at, field in enumerate(kind))
        return {name: value for name, value in fields if value is not None}
    if pa.types.is_map(kind):
        first, last = one.offsets.to_pylist()
        pairs = ((_value(one.keys.slice(at, 1)), _value(one.items.slice(at, 1))) for at in range(first, last))
        return {str(key): value for key, value in pairs if value is not None}
    if pa.types.is_nested(kind):
        elements = one.flatten()
        return [_value(elements.slice(at, 1)) for at in range(len(elements))]
    if pa.types.is_temporal(kind):
        return _moment(one)
    return _json(one.cast(pa.binary()).to_pylist()[0])


def _moment(one: pa.Array) -> Any:
    """Return a time or a span that is one of whole microseconds, else its ticks."""
    try:
        return _json(one.cast(_in_microseconds(one.type)).to_pylist()[0])
    except (ValueError, OverflowError):
        return str(one.view(pa.int32() if one.type.bit_width == 32 else pa.int64())[0])


def _in_microseconds(kind: pa.DataType) -> pa.DataType:
    if kind == pa.time64("ns"):
        return pa.time64("us")
    if kind == pa.duration("ns"):
        return pa.duration("us")
    return pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) and kind.unit == "ns" else kind


def _json(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
