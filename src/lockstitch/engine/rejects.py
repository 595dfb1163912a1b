"""The rows of `_sdc_rejected` (`spec/loading.md` section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from lockstitch.core.loads import Reject
from lockstitch.core.model import Column, ColumnType

if TYPE_CHECKING:
    import pyarrow as pa

_TEXT = ColumnType("string", "")
REJECTED_COLUMNS = (
    Column("_sdc_rejected_at", ColumnType("date", "")),
    Column("table_name", _TEXT),
    Column("reason", _TEXT),
    Column("record", _TEXT),
)


def reject_rows(rejects: Sequence[Reject], at: datetime, *, without_nul: bool) -> pa.RecordBatchReader:
    """Return the rejects as rows. A record is JSON, where U+0000 is written as an escape already."""
    import pyarrow as pa

    schema = pa.schema(
        [
            ("_sdc_rejected_at", pa.timestamp("us", "UTC")),
            ("table_name", pa.string()),
            ("reason", pa.string()),
            ("record", pa.string()),
        ]
    )

    def clean(text: str) -> str:
        return text.replace("\0", "\\u0000") if without_nul else text

    batch = pa.RecordBatch.from_arrays(
        [
            pa.repeat(pa.scalar(at, pa.timestamp("us", "UTC")), len(rejects)),
            pa.array([clean(reject.table) for reject in rejects], pa.string()),
            pa.array([clean(reject.reason) for reject in rejects], pa.string()),
            pa.array([reject.record for reject in rejects], pa.string()),
        ],
        schema=schema,
    )
    return pa.RecordBatchReader.from_batches(schema, [batch])
