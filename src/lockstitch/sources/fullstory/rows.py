"""Captured events as rows: the documented columns, and the others where they are wanted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from lockstitch.sources.fullstory.shapes import CUSTOM, RENAMED, event_fields

if TYPE_CHECKING:
    import pyarrow as pa

    from lockstitch.toolkit.json_rows import Record

_log = logging.getLogger(__name__)


class EventRows:
    """Turns records into the rows of `events`, whichever API they are from. Without `extra`, 24 columns and no more."""

    def __init__(self, wants: Callable[[str], bool], *, extra: bool) -> None:
        from lockstitch.toolkit.json_rows import JsonRows

        self._wants = wants
        self._extra = extra
        named = {new: old for old, new in RENAMED.items()}
        declared = event_fields(extra=extra)
        both = {**declared, **{old: declared[new] for new, old in named.items()}}
        self._fields = declared
        self._reader = JsonRows(both, closed=not extra)

    def batch(self, records: Sequence[Record]) -> pa.RecordBatch:
        rows = _renamed(self._reader.batch(records))
        if self._extra:
            rows = self._gathered(rows)
        return rows.select([name for name in rows.schema.names if self._wants(name)])

    def warn_of_unseen(self) -> None:
        """Tell which fields were left out."""
        if self._reader.unseen:
            names = ", ".join(sorted(self._reader.unseen))
            _log.warning("events: left out %s, which the table does not have; extra_fields = true keeps them", names)

    def _gathered(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Put all that is no column into one object."""
        import pyarrow as pa
        import pyarrow.compute as pc

        others = [name for name in rows.schema.names if name not in self._fields]
        if not others:
            return rows
        columns = [rows.column(name) for name in others]
        has_none = reduce(pc.and_, [pc.is_null(column) for column in columns])
        custom = pa.StructArray.from_arrays(columns, others, mask=has_none)
        return rows.select([name for name in rows.schema.names if name in self._fields]).append_column(CUSTOM, custom)


def _renamed(rows: pa.RecordBatch) -> pa.RecordBatch:
    names = rows.schema.names
    return rows.rename_columns([RENAMED.get(name, name) if RENAMED.get(name) not in names else name for name in names])
