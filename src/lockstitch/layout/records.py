"""A record as `_sdc_rejected` keeps it: JSON without loss, as much as fits (docs/layout.md, R73)."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pyarrow as pa


def record_text(rows: pa.RecordBatch, index: int, limit: int) -> str:
    """Return one row as a JSON object of its fields in their order, nulls left out, cut at `limit` characters."""
    values = ((name, _value(rows.column(at).slice(index, 1))) for at, name in enumerate(rows.schema.names))
    return json.dumps({name: value for name, value in values if value is not None}, ensure_ascii=False)[:limit]


def _value(one: pa.Array) -> Any:
    try:
        return _json(one.to_pylist()[0])
    except (UnicodeDecodeError, ValueError, OverflowError):
        # Text that is no UTF-8, or a time that Python has no word for.
        if pa.types.is_string(one.type) or pa.types.is_large_string(one.type):
            return _json(one.cast(pa.binary()).to_pylist()[0])
        return str(one.view(pa.int64())[0]) if pa.types.is_temporal(one.type) else repr(one)


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
