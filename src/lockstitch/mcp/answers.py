"""Answers to queries, cut to what an assistant can read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lockstitch.display.text import json_text
from lockstitch.mcp.hiding import Secrets

if TYPE_CHECKING:
    import pyarrow as pa

#: The most that one answer has.
MOST_ROWS = 1_000
MOST_BYTES = 65_536
#: Characters of one value.
MOST_OF_A_VALUE = 2_000

#: The largest whole number that every reader of JSON keeps exact.
_EXACT = 2**53


def answer(batches: Iterator[pa.RecordBatch], most_rows: int, secrets: Secrets) -> dict[str, Any]:
    """Return the first rows of an answer; `cut` says why there are no more, and is null where these are all."""
    columns: list[str] = []
    rows: list[list[Any]] = []
    left = MOST_BYTES
    cut: str | None = None
    for batch in batches:
        columns = [secrets.hidden(name) for name in batch.schema.names]
        for row in _rows(batch.slice(0, most_rows - len(rows) + 1)):
            cells = [_cell(value, secrets) for value in row]
            left -= len(json_text(cells).encode())
            if len(rows) == most_rows or left < 0:
                cut = f"{most_rows} rows" if len(rows) == most_rows else f"{MOST_BYTES} bytes"
                break
            rows.append(cells)
        if cut:
            break
    hint = cut and f"cut after {len(rows)} rows: an answer has at most {cut}; ask for fewer rows or columns, or sums"
    return {"columns": columns, "rows": rows, "cut": hint}


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _cell(value: Any, secrets: Secrets) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= _EXACT:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    # Secrets go before the rest is cut: half of one would not be found any more.
    text = json_text(secrets.told(value)) if isinstance(value, list | dict) else secrets.hidden(str(value))
    rest = len(text) - MOST_OF_A_VALUE
    return text if rest <= 0 else f"{text[:MOST_OF_A_VALUE]} ... ({rest} more characters)"
