"""What hooks are told after a load (`spec/connect-api.md` section 16): one call a source and root table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from lockstitch.control.connections import Row
from lockstitch.control.messages import Committed
from lockstitch.control.notifications import deliveries
from lockstitch.control.store.tables import hooks
from lockstitch.core.loads import LedgerRow
from lockstitch.engine.events import LoadedStream
from lockstitch.layout.names import SEPARATOR


def after_load(db: sa.Connection, source: Row, load: Committed, now: datetime) -> int:
    """Put a load's calls into the outbox, for all enabled hooks of the source's destination; return how many.

    To be called in the transaction that takes note of the load.
    """
    enabled = (hooks.c.destination_id == source.destination_id, hooks.c.disabled_at.is_(None))
    wanted = db.execute(sa.select(hooks.c.id).where(*enabled).order_by(hooks.c.id)).scalars().all()
    calls = [(hook, payload) for payload in (payloads(source.name, load, now) if wanted else ()) for hook in wanted]
    for hook, payload in calls:
        deliveries.add_hook_call(db, source.account_id, hook, payload, now)
    return len(calls)


def payloads(source_name: str, load: Committed, now: datetime) -> Iterator[dict[str, Any]]:
    """Yield the body of each call. A stream of which nothing landed, was rejected or was replaced has none."""
    roots = [stream.table for stream in load.streams]
    for stream in load.streams:
        tables = [row for row in load.tables if _root(row.table, roots) == stream.table]
        tables.sort(key=lambda row: row.table)
        if stream.replaced or any(_landed(row, stream) or row.rejected for row in tables):
            yield {
                "version": "1.0",
                "minimum_sdc_batched_at": _told(load.batched_at or now),
                "integration_name": source_name,
                "new_version": stream.replaced,
                "source_root_table_name": stream.name,
                "destination_root_table_name": stream.table,
                "table_version": stream.version,
                "tables": [_table(row, stream, now) for row in tables],
            }


def _root(table: str, roots: Sequence[str]) -> str | None:
    """Return the root table that a table belongs to by its name."""
    own = [root for root in roots if table == root or table.startswith(root + SEPARATOR)]
    return max(own, key=len, default=None)


def _landed(row: LedgerRow, stream: LoadedStream) -> int:
    """Return how many rows the load made visible: with a version that many loads have filled, all of its rows."""
    if not stream.visible:
        return 0
    return max(row.inserted + row.updated, (row.total or 0) if stream.replaced else 0)


def _table(row: LedgerRow, stream: LoadedStream, now: datetime) -> dict[str, Any]:
    return {
        "source_table_name": stream.name if row.table == stream.table else row.table.rpartition(SEPARATOR)[2],
        "destination_table_name": row.table,
        "num_rows": _landed(row, stream),
        "num_rows_rejected": row.rejected,
        "bookmark_metadata": _bookmarks(row, stream),
        "max_time_extracted": _told(stream.extracted_at or now),
    }


def _bookmarks(row: LedgerRow, stream: LoadedStream) -> list[dict[str, str]] | None:
    """Return the range that was read; [] for a stream without a replication key, None where no row was loaded."""
    if stream.replication_key is None:
        return []
    if stream.bookmark is None or (row.rejected and not _landed(row, stream)):
        return None
    least, greatest = stream.bookmark
    return [{"key": stream.replication_key, "max_value": greatest, "min_value": least}]


def _told(moment: datetime) -> str:
    """Return a moment as payloads have it, with milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
