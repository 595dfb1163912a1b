"""An account on a fake of Close, and what a source reads of it: what most tests here need."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lockstitch.core.model import Batch, Checkpoint, Json, Message, Selected
from lockstitch.sources.closeio.shapes import STREAMS
from lockstitch.sources.closeio.source import CloseSource
from lockstitch.sources.closeio.spec import Properties, open_source
from lockstitch.testing.vendors.close import CloseServer
from lockstitch.testing.vendors.close_data import CloseData, stamp
from lockstitch.testing.vendors.messages import Clock, Record

NOW = datetime(2026, 6, 15, 12, 0, 45, tzinfo=UTC)


@dataclass
class Read:
    """What one reading gave: rows as they came, and what they amount to by id."""

    messages: list[Message] = field(default_factory=list[Message])

    @property
    def cursor(self) -> Any:
        """The last cursor."""
        last = self.messages[-1]
        assert isinstance(last, Checkpoint)
        return last.cursor

    def position(self, stream: str) -> datetime:
        return datetime.fromisoformat(self.cursor["streams"][stream]["at"])

    def batches(self, stream: str, kind: str = "upsert") -> list[Batch]:
        return [one for one in self.messages if isinstance(one, Batch) and (one.stream, one.kind) == (stream, kind)]

    def rows(self, stream: str) -> list[Record]:
        return [row for batch in self.batches(stream) for row in batch.rows.to_pylist()]

    def ids(self, stream: str) -> list[str]:
        return [row["id"] for row in self.rows(stream)]

    def deleted(self, stream: str) -> list[str]:
        return [row["id"] for batch in self.batches(stream, "delete") for row in batch.rows.to_pylist()]

    def streams(self) -> set[str]:
        return {one.stream for one in self.messages if isinstance(one, Batch)}


class Account(CloseServer):
    """A fake of Close, empty at first, whose clock stands still at `NOW`."""

    def __init__(self, home: Path, data: CloseData | None = None) -> None:
        super().__init__(data or CloseData(Clock(NOW)))
        self._home = home

    def source(self, **properties: Any) -> CloseSource:
        """Open a source as another process would."""
        usual: dict[str, Any] = {
            "api_key": self.key,
            "start_date": "2026-05-01",
            "base_url": f"{self.url}/api/v1",
        }
        source = open_source(Properties(**{**usual, **properties}), spool=self._home / "spool")
        assert isinstance(source, CloseSource)
        return source

    def read(
        self,
        cursor: Json = None,
        *,
        only: Sequence[str] = tuple(STREAMS),
        fields: frozenset[str] | None = None,
        **properties: Any,
    ) -> Read:
        """Read from a cursor to the end, as a run does: discovery first."""
        with closing(self.source(**properties)) as source:
            found = source.discover()
            wanted = [Selected(stream, fields) for stream in found if stream.name in only]
            return Read([one for lane in source.lanes(wanted) for one in source.read(lane, cursor)])

    def asked(self, on: str = "") -> list[dict[str, str]]:
        """Return the queries of the requests whose path contains `on`, in their order."""
        return [dict(each.request.query) for each in self.requests if on in each.request.path]

    # --- records, as small as they can be -----------------------------------------------------------------------------

    def lead(self, number: int, at: datetime, **more: Any) -> Record:
        record = {"id": f"lead_{number:05}", "name": f"Lead {number}", "date_created": stamp(at), **more}
        self.data.leads[record["id"]] = {"date_updated": stamp(at), **record}
        return self.data.leads[record["id"]]

    def activity(self, number: int, at: datetime, **more: Any) -> Record:
        record = {"id": f"acti_{number:05}", "_type": "Note", "date_created": stamp(at), **more}
        self.data.activities[record["id"]] = {"date_updated": stamp(at), **record}
        return self.data.activities[record["id"]]

    def task(self, number: int, at: datetime, **more: Any) -> Record:
        record = {"id": f"task_{number:05}", "_type": "lead", "date_created": stamp(at), **more}
        self.data.tasks[record["id"]] = {"date_updated": stamp(at), **record}
        return self.data.tasks[record["id"]]

    def user(self, number: int, at: datetime, **more: Any) -> Record:
        record = {"id": f"user_{number:05}", "date_created": stamp(at), "date_updated": stamp(at), **more}
        self.data.users[record["id"]] = record
        return record

    def event(self, number: int, at: datetime, **more: Any) -> Record:
        record = {
            "id": f"ev_{number:05}",
            "action": "updated",
            "object_type": "lead",
            "object_id": "lead_00000",
            "date_created": stamp(at),
            "date_updated": stamp(at),
            **more,
        }
        self.data.events[record["id"]] = record
        return record


def ago(**units: float) -> datetime:
    """Return a moment before `NOW`."""
    return NOW - timedelta(**units)
