"""What a reader of rows gives: batches, and at least one of them."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa


def batches_of(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Yield the reader's batches; where there is none, an empty one, so that the columns are known."""
    batch = None
    for batch in reader:
        yield batch
    if batch is None:
        yield pa.RecordBatch.from_arrays([pa.array([], field.type) for field in reader.schema], schema=reader.schema)
