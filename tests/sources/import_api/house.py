"""A server's inbox, and runs from it into DuckDB."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from lockstitch.core.protocols import Source
from lockstitch.destinations.duckdb.destination import DuckDB
from lockstitch.engine.events import Event
from lockstitch.engine.run import Job, RunResult, run_pipeline
from lockstitch.importing.answers import Accepted, Answer
from lockstitch.importing.batch import receive_batch
from lockstitch.importing.push import receive_push
from lockstitch.sources.import_api.spec import Properties, open_source
from lockstitch.toolkit.inbox.inbox import Inbox
from lockstitch.toolkit.inbox.records import entries_of


@dataclass
class House:
    """An inbox, a DuckDB file, and requests and runs between them."""

    folder: Path

    def __post_init__(self) -> None:
        self.inbox = Inbox(self.folder / "inbox", segment_bytes=2_000)
        self.events: list[Event] = []

    def push(
        self, table: str, *records: tuple[int, Mapping[str, Any]], key: tuple[str, ...] = ("id",), **more: Any
    ) -> None:
        """Push records, each with its sequence."""
        body = [
            {
                "client_id": 1,
                "table_name": table,
                "action": "upsert",
                "sequence": sequence,
                "key_names": key,
                "data": data,
            }
            | more
            for sequence, data in records
        ]
        self.push_text(json.dumps(body))

    def push_text(self, body: str) -> None:
        self._store(receive_push(body.encode(), "application/json", None, 1))

    def batch(self, table: str, *messages: tuple[int, Mapping[str, Any] | None], **more: Any) -> None:
        """Send a batch; a message without data activates the version."""
        told: list[dict[str, Any]] = [
            {"action": "upsert", "sequence": sequence, "data": data}
            if data is not None
            else {"action": "activate_version", "sequence": sequence}
            for sequence, data in messages
        ]
        body = {"table_name": table, "schema": {}, "messages": told} | more
        self._store(receive_batch(json.dumps(body).encode(), "application/json", None))

    def _store(self, answer: Accepted | Answer) -> None:
        assert isinstance(answer, Accepted), answer
        self.inbox.append(*entries_of(answer.records))

    def source(self) -> Source:
        return open_source(Properties(inbox=str(self.inbox.folder)))

    def run(self) -> RunResult:
        destination = DuckDB(self.folder / "warehouse.duckdb")
        job = Job("c1", "pushed", None, self.folder / "home")
        result = run_pipeline(self.source(), destination, job, events=self.events.append)
        assert [lane.error for lane in result.lanes if lane.error is not None] == []
        return result

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as db:
            return db.execute(sql).fetchall()

    def rows(self, table: str, columns: str = "* exclude (_sdc_batched_at, _sdc_received_at)") -> list[tuple[Any, ...]]:
        return self.query(f'select {columns} from pushed."{table}" order by all')
