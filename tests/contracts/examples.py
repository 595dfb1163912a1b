"""Runs a script of messages into a database, and compares what is there with what the model says."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lockstitch.core.model import Checkpoint, Json, Message, Stream
from lockstitch.core.protocols import Destination
from lockstitch.engine.limits import LoadLimits
from lockstitch.engine.run import Job, run_pipeline
from lockstitch.testing.contract.shop import Database
from lockstitch.testing.model.compare import differences
from lockstitch.testing.model.layout import LayoutModel
from lockstitch.testing.playback import Playback

_schemas = (f"s{number}" for number in itertools.count())


@dataclass(frozen=True, slots=True)
class Warehouse:
    """One schema of a database, and runs into it. `rows` is the size at which a load is cut; 1: at each checkpoint."""

    database: Database
    rows: int = 1_000_000
    schema: str = field(default_factory=lambda: next(_schemas))

    def run(self, streams: Sequence[Stream], messages: Sequence[Message], *cuts: Json) -> None:
        """Run the messages that follow the last run's, in a run up to each cut and one to the end."""
        for until in (*cuts, None):
            with tempfile.TemporaryDirectory() as home, self.opened() as destination:
                job = Job(self.schema, self.schema, None, Path(home), LoadLimits(rows=self.rows))
                result = run_pipeline(Playback(streams, messages, until), destination, job)
            for lane in result.lanes:
                if lane.error is not None:
                    raise lane.error

    @contextmanager
    def opened(self) -> Generator[Destination]:
        """Give a destination on this schema, to read from."""
        destination = self.database.open()
        destination.open(self.schema, self.schema)
        try:
            yield destination
        finally:
            destination.close()

    def disagreements(self, streams: Sequence[Stream], messages: Sequence[Message]) -> list[str]:
        """Return what the schema holds other than the model says of these messages."""
        with self.opened() as destination:
            model = LayoutModel(destination.rules, streams)
            model.take(*messages)
            return [*differences(model, destination), *self._uncounted(destination)]

    def _uncounted(self, destination: Destination) -> list[str]:
        """Return what the ledger does not tell of the rows in `_sdc_rejected`, if anything."""
        counted = sum(row.rejected + row.adjusted for _, _, row in destination.ledger(self.schema))
        kept = sum(batch.num_rows for batch in destination.read_back(destination.rules.rejected_table))
        return [] if counted == kept else [f"_sdc_rejected has {kept} rows, the ledger counts {counted}"]


def checkpoints(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with a checkpoint after each, cursors 1, 2, 3 ..."""
    return [one for number, message in enumerate(messages, 1) for one in (message, Checkpoint(number))]
