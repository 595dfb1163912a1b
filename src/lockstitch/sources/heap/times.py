"""Heap's times as timestamps, for those who ask for it: text, or microseconds since 1970 (`spec/source-heap.md`, 5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lockstitch.core.model import Stream

if TYPE_CHECKING:
    import pyarrow as pa

#: The columns that Heap itself fills with times.
TIMES = frozenset({"time", "session_time", "joindate", "last_modified"})


def with_time_fields(stream: Stream) -> Stream:
    """Return the stream as it is once its times are parsed."""
    fields = (
        replace(field, type="string", format="date-time")
        if field.name in TIMES and field.type in ("string", "integer")
        else field
        for field in stream.fields
    )
    return replace(stream, fields=tuple(fields))


def with_timestamps(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Parse the batch's times. A column in which one value is no time stays as it is: no value is lost."""
    for index, name in enumerate(batch.schema.names):
        if name in TIMES and (parsed := _parsed(batch.column(index))) is not None:
            batch = batch.set_column(index, name, parsed)
    return batch


def _parsed(array: pa.Array) -> pa.Array | None:
    import pyarrow as pa

    utc = pa.timestamp("us", "UTC")
    if pa.types.is_int64(array.type):
        return array.cast(utc)
    if not pa.types.is_string(array.type):
        return None
    # Arrow wants a zone in every value for the one, and in none for the other, which is UTC.
    for target in (utc, pa.timestamp("us")):
        try:
            return array.cast(target).cast(utc)
        except pa.ArrowInvalid:
            continue
    return None
