"""What was read of a stream for one load: when, and over which values of its replication key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(slots=True)
class Extracted:
    """Grows with every batch. `least` and `greatest` are None where no value of the key was seen."""

    replication_key: str | None
    last_at: datetime
    least: Any = None
    greatest: Any = None

    def add(self, rows: pa.RecordBatch, moment: datetime) -> None:
        self.last_at = moment
        key = self.replication_key
        if key is None or key not in rows.schema.names:
            return
        least, greatest = _range(rows.column(key))
        if least is None:
            return
        if type(least) is type(self.least):
            least, greatest = min(self.least, least), max(self.greatest, greatest)
        # Values of another type cannot be compared with those before: the range is that of the latest type.
        self.least, self.greatest = least, greatest

    @property
    def bookmark(self) -> tuple[str, str] | None:
        """The least and the greatest value, as text."""
        return None if self.least is None else (_text(self.least), _text(self.greatest))


def _range(column: pa.Array) -> tuple[Any, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            # Nanoseconds would come as pandas' own type where pandas is installed, and load it.
            column = column.cast(pa.timestamp("us", column.type.tz))
        found = pc.min_max(column)
        return _in_utc(found["min"].as_py()), _in_utc(found["max"].as_py())
    except (NotImplementedError, OverflowError, LookupError, ValueError):
        # A type without an order, a moment or a zone that Python cannot hold: no range is told, the rows still land.
        return None, None


def _in_utc(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else str(value)
