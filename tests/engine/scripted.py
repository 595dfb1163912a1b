"""A source that says what a test tells it to, and the few words to run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import duckdb
import pyarrow as pa

from lockstitch.core.model import (
    Batch,
    Checkpoint,
    Field,
    Json,
    Lane,
    Message,
    Part,
    Publish,
    Selected,
    Stream,
    Version,
)
from lockstitch.destinations.duckdb.destination import DuckDB
from lockstitch.engine.events import Event
from lockstitch.engine.limits import LoadLimits
from lockstitch.engine.run import Job, RunResult, run_pipeline

Script = Sequence[Message | BaseException]


@dataclass
class Scripted:
    """Yields the messages after the cursor's checkpoint; an exception among them is raised where it stands."""

    script: Script
    key: tuple[str, ...] = ("id",)
    replay: Literal["exact", "repeats"] = "exact"
    told: list[Json] = field(default_factory=list[Json])
    new_fields: ClassVar[Literal["add", "report"]] = "add"

    def check(self) -> None: ...

    def discover(self) -> Sequence[Stream]:
        return [Stream("orders", (Field("id", "integer"),), self.key)]

    def lanes(self, wanted: Sequence[Selected]) -> Sequence[Lane]:
        return [Lane("orders", tuple(one.stream.name for one in wanted), self.replay)]

    def parts(self, lane: Lane, cursor: Json) -> Sequence[Part]:
        return ()

    def read(self, lane: Lane, cursor: Json) -> Iterator[Message]:
        at = 0
        if cursor is not None:
            at = 1 + next(
                index for index, one in enumerate(self.script) if isinstance(one, Checkpoint) and one.cursor == cursor
            )
        begun = [one for one in self.script[:at] if isinstance(one, Version | Publish)]
        if begun and isinstance(begun[-1], Version):
            yield begun[-1]  # repeated after a resume
        for message in self.script[at:]:
            if isinstance(message, BaseException):
                raise message
            yield message
        if at == len(self.script):
            yield Checkpoint(cursor)

    def committed(self, lane: Lane, cursor: Json) -> None:
        self.told.append(cursor)

    def close(self) -> None: ...


def batch(*rows: Mapping[str, Any], **more: Any) -> Batch:
    return Batch("orders", pa.RecordBatch.from_pylist([dict(row) for row in rows]), **more)


@dataclass
class House:
    """A folder with a DuckDB file in it, and runs into that file."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "warehouse.duckdb"

    def destination(self) -> DuckDB:
        return DuckDB(self.file)

    def job(self, rows: int = 1_000_000) -> Job:
        return Job("c1", "shop", None, self.folder / "home", LoadLimits(rows=rows))

    def run(
        self, source: Scripted, *, rows: int = 1_000_000, events: Callable[[Event], None] | None = None
    ) -> RunResult:
        return run_pipeline(source, self.destination(), self.job(rows), events=events or (lambda _: None))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.file), read_only=True) as db:
            return db.execute(sql).fetchall()

    def rows(
        self, table: str = "orders", columns: str = "* exclude (_sdc_batched_at, _sdc_received_at, _sdc_sequence)"
    ):
        return self.query(f'select {columns} from shop."{table}" order by all')
