"""Changes that a Close account sees while it is read."""

from __future__ import annotations

import random
from datetime import timedelta

from lockstitch.testing.vendors.close_data import CloseData, Kind
from lockstitch.testing.vendors.messages import Record, Request


class Restless:
    """Changes an account at each call, the same way for a seed: for the fault `Meanwhile`.

    server.faults.add(Meanwhile(call=Restless(server.data), on="/lead/", times=20))

    A second passes; then one lead and one task are updated, and now and then one is added or deleted, and an activity
    added. A consumer must have `data.truth` after one more run; what else it has must be in `data.deleted`.
    """

    def __init__(self, data: CloseData, seed: int = 0) -> None:
        self.data = data
        self.calls = 0
        self._draw = random.Random(seed)

    def __call__(self, request: Request) -> None:
        self.calls += 1
        self.data.clock.advance(timedelta(seconds=1))
        kinds: tuple[Kind, ...] = ("leads", "tasks")
        for kind in kinds:
            if self.calls % 4 == 0 and len(self.data.records(kind)) > 1:
                self.data.delete(kind, self._one(kind)["id"])
            if self.calls % 3 == 0:
                self._add(kind)
            name = "name" if kind == "leads" else "text"
            self.data.update(kind, self._one(kind)["id"], {name: f"changed by call {self.calls}"})
        if self.data.activities:
            self._add("activities")

    def _one(self, kind: Kind) -> Record:
        return self._draw.choice(list(self.data.records(kind).values()))

    def _add(self, kind: Kind) -> None:
        """Add a record like one that there is, created now."""
        like = {name: value for name, value in self._one(kind).items() if name not in {"date_created", "date_updated"}}
        self.data.add(kind, {**like, "id": f"{like['id'].split('_')[0]}_new{self.calls:04}"})
