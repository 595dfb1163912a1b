"""A fake of Heap, a sender to it, and short words to let rows run through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from lockstitch.core.model import Batch, Checkpoint, Field, Message, Stream
from lockstitch.destinations.heap.api import HeapApi
from lockstitch.destinations.heap.destination import Heap
from lockstitch.destinations.heap.pace import Pace
from lockstitch.destinations.heap.sends import read_sends
from lockstitch.destinations.heap.state import State
from lockstitch.engine.events import Event
from lockstitch.engine.limits import LoadLimits
from lockstitch.engine.run import Job, RunResult, run_pipeline
from lockstitch.testing.playback import Playback
from lockstitch.testing.vendors.heap_api import HeapServer
from lockstitch.toolkit.http.client import Patience

CONNECTION = "shop-1"
SCHEMA = "shop"

Row = Mapping[str, Any]

#: Orders as events, as most tests send them.
ORDERS: Mapping[str, Any] = {
    "as": "track",
    "event": "Order Paid",
    "identity": "email",
    "timestamp": "paid_at",
    "properties": ["total", "sku"],
}


def order(number: int, **more: Any) -> dict[str, Any]:
    """Return an order; every third is of one customer."""
    return {
        "id": number,
        "email": f"user-{number % 3}@example.com",
        "paid_at": f"2026-01-{number % 28 + 1:02}T10:00:00Z",
        "total": number / 4,
        "sku": f"sku-{number}",
        **more,
    }


def event(row: Row) -> dict[str, Any]:
    """Return what Heap should have of an order, without its idempotency key."""
    return {
        "call": "track",
        "event": "Order Paid",
        "identity": row["email"],
        "timestamp": row["paid_at"].replace("Z", "+00:00"),
        "properties": {"total": row["total"], "sku": row["sku"]},
    }


def batch(rows: Sequence[Row], stream: str = "orders") -> Batch:
    return Batch(stream, pa.RecordBatch.from_pylist([dict(row) for row in rows]))


def pages(rows: Sequence[Row], size: int, stream: str = "orders") -> list[Message]:
    """Return rows page by page, each with a checkpoint."""
    script: list[Message] = []
    for first in range(0, len(rows), size):
        script += [batch(rows[first : first + size], stream), Checkpoint(first)]
    return script


@dataclass
class Sender:
    """One environment of Heap, and runs of one connection that send to it. Waits are short."""

    server: HeapServer
    folder: Path
    send: Mapping[str, Any] = field(default_factory=lambda: {"orders": ORDERS})
    key: tuple[str, ...] = ("id",)
    streams: tuple[str, ...] = ("orders",)
    app_id: str = "1234567890"
    budget: float = 0.5
    events: list[Event] = field(default_factory=list[Event])

    @property
    def state(self) -> State:
        return State(self.folder / "state")

    def open(self) -> Heap:
        pace = Pace(minute=self.server.minute)
        api = HeapApi(self.server.url, self.app_id, pace=pace)
        api.http.patience = Patience(tries=4, first=0.01, most=0.05, budget=self.budget, unsaid=0.02)
        return Heap(api, read_sends(self.send), self.state)

    def run(self, script: Sequence[Message], rows: int = 1_000_000) -> RunResult:
        """Carry what the script has beyond the mark, in loads of so many rows at least."""
        streams = [Stream(name, (Field("id", "integer"),), self.key) for name in self.streams]
        destination = self.open()
        try:
            return run_pipeline(
                Playback(streams, script),
                destination,
                Job(CONNECTION, SCHEMA, None, self.folder, LoadLimits(rows=rows)),
                events=self.events.append,
            )
        finally:
            destination.close()

    def carried(self, script: Sequence[Message], rows: int = 1_000_000) -> RunResult:
        """Run, and raise the error of the lane, if it has one."""
        result = self.run(script, rows)
        for lane in result.lanes:
            if lane.error is not None:
                raise lane.error
        return result

    def tracked(self) -> list[dict[str, Any]]:
        """Return what Heap has taken, in the order of its coming, without idempotency keys."""
        return [
            {name: value for name, value in one.items() if name != "idempotency_key"} for one in self.server.accepted
        ]

    def rejected(self) -> list[tuple[str, str]]:
        """Return the table and reason of each reject."""
        return [(one["table_name"], one["reason"]) for one in self.state.rejected(CONNECTION, SCHEMA)]


def in_order(found: Sequence[Row]) -> list[str]:
    return sorted(repr(sorted(one.items())) for one in found)
