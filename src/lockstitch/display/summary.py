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
    kept = _set_aside(tally)
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


def _set_aside(tally: Tally) -> list[str]:
    """Say how much `_sdc_rejected` was given: records that did not land, and what landed otherwise than it came."""
    rows = tally.tables.values()
    rejected, adjusted = sum(row.rejected for row in rows), sum(row.adjusted for row in rows)
    told = ((rejected, f"{count(rejected, 'row')} rejected"), (adjusted, count(adjusted, "adjustment")))
    return [text for number, text in told if number]
