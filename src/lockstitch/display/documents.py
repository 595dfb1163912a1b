"""What commands tell machines, as documents that JSON can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from time import monotonic
from typing import TYPE_CHECKING, Any

from lockstitch.display.errors import document
from lockstitch.display.tally import Tally, table_rows

if TYPE_CHECKING:
    from lockstitch.core.model import Selection, Stream
    from lockstitch.engine.run import RunResult
    from lockstitch.verbs import Checked, PipelineSettings


def check_document(ends: Sequence[Checked]) -> dict[str, Any]:
    """Return how both ends of a pipeline answered."""
    told = {
        end.kind: {"type": end.type, "ok": end.error is None, "error": end.error and document(end.error)}
        for end in ends
    }
    return {"command": "check", "ok": all(end.error is None for end in ends), **told}


def discover_document(streams: Sequence[Stream], selection: Selection) -> dict[str, Any]:
    """Return a source's streams, and which of them are chosen."""
    return {
        "command": "discover",
        "streams": [{**asdict(stream), "selected": is_wanted(stream, selection)} for stream in streams],
    }


def is_wanted(stream: Stream, selection: Selection) -> bool:
    """Tell whether the choice of streams has this one."""
    return selection is None or stream.name in selection


def run_document(
    pipeline: PipelineSettings, result: RunResult, tally: Tally, stopped_by: str | None = None
) -> dict[str, Any]:
    """Return what a run did: each table's account, and each lane's."""
    return {
        "command": "run",
        "verdict": result.verdict or "ok",
        "connection": pipeline.connection,
        "schema": pipeline.schema,
        "seconds": round(monotonic() - tally.began, 3),
        "stopped_by": stopped_by,
        "loads": tally.loads,
        "tables": table_rows(tally.tables),
        "lanes": [
            {
                "lane": lane.lane,
                "rows": lane.rows,
                "rejected": lane.rejected,
                "adjusted": lane.adjusted,
                "loads": lane.loads,
                "error": lane.error and document(lane.error),
            }
            for lane in result.lanes
        ],
    }
