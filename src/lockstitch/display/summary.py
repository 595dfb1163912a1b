"""What a run did, as text."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from lockstitch.display.tally import Tally, table_rows
from lockstitch.display.text import columns, count

if TYPE_CHECKING:
    from lockstitch.engine.run import RunResult


def summary(schema: str, result: RunResult, tally: Tally, stopped_by: str | None = None) -> str:
    """Return a line for each table, what was set aside, and how much was carried in which time."""
    lines: list[str] = []
    rows = table_rows(tally.tables)
    if rows:
        lines.append(columns(list(rows[0]), [list(row.values()) for row in rows]))
        lines.append("")
    kept = [f"{count(number, 'row')} {kind}" for kind, number in _set_aside(tally) if number]
    if kept:
        lines.append(f"{' and '.join(kept)}: table {schema}._sdc_rejected holds the originals and the reasons")
    took = f"{monotonic() - tally.began:.1f} s"
    read = sum(lane.rows for lane in result.lanes)
    if stopped_by is not None:
        done = count(tally.loads, "load") if tally.loads else "no load"
        lines.append(f"stopped by {stopped_by}: {done} committed; the next run goes on from there ({took})")
    elif not tally.loads and result.verdict is None:
        lines.append(f"nothing new ({took})")
    else:
        lines.append(f"{count(read, 'row')} read, {count(tally.loads, 'load')} committed ({took})")
    return "\n".join(lines)


def _set_aside(tally: Tally) -> list[tuple[str, int]]:
    rows = tally.tables.values()
    return [("rejected", sum(row.rejected for row in rows)), ("adjusted", sum(row.adjusted for row in rows))]
