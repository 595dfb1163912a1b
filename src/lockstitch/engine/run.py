"""The one loop: read, lay out, spool, and hand each load to the loader, lane after lane."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lockstitch.core.errors import Verdict, verdict_of
from lockstitch.core.loads import AddColumn, Change, CreateTable, DropKey, LedgerRow, RenameColumn
from lockstitch.core.model import Json, Lane, Plan, Selection, Table
from lockstitch.core.points import reach
from lockstitch.core.protocols import Destination, Source
from lockstitch.engine.events import (
    Event,
    LaneFinished,
    LoadCommitted,
    SchemaChanged,
    SourceDiscovered,
    Warned,
)
from lockstitch.engine.leftovers import sweep
from lockstitch.engine.limits import LoadLimits
from lockstitch.engine.patience import patiently
from lockstitch.engine.plan import make_plan

if TYPE_CHECKING:
    from lockstitch.engine.load import ReadyLoad
    from lockstitch.engine.loader import Loader
    from lockstitch.engine.spool import Spool


class Stop(Protocol):
    """A flag that tells a run to end: a threading.Event, or anything else that can be asked."""

    def is_set(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class LaneResult:
    """What a run did to one lane."""

    lane: str
    rows: int = 0
    rejected: int = 0
    adjusted: int = 0
    loads: int = 0
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run did. `verdict` is that of the gravest error, or None where all went well."""

    lanes: tuple[LaneResult, ...]
    stopped: bool = False

    @property
    def verdict(self) -> Verdict | None:
        found = {verdict_of(lane.error) for lane in self.lanes if lane.error is not None}
        order: tuple[Verdict, ...] = ("bug", "user", "data", "retry")
        return next((verdict for verdict in order if verdict in found), None)


@dataclass(frozen=True, slots=True)
class Job:
    """What a run is to do: whose progress it goes on with, which schema it fills, with which streams.

    `home` is the folder below which rows wait for their commit.
    """

    connection: str
    schema: str
    selection: Selection
    home: Path
    limits: LoadLimits = field(default_factory=LoadLimits)


def run_pipeline(
    source: Source,
    destination: Destination,
    job: Job,
    *,
    events: Callable[[Event], None] = lambda _: None,
    stop: Stop | None = None,
) -> RunResult:
    """Carry the selected streams from where their lanes stand to where the source ends.

    One lane's error does not stop the others; it is in the result. `stop` ends reading; what was read up to the last
    checkpoint is committed.
    """
    plan = make_plan(
        source,
        destination,
        connection=job.connection,
        schema=job.schema,
        selection=job.selection,
        discovered=lambda streams: events(SourceDiscovered(tuple(streams))),
    )
    for warning in (*plan.warnings, *(text for one in plan.streams.values() for text in one.warnings)):
        events(Warned(warning))
    sweep(job.home)
    patiently(lambda: destination.open(job.connection, job.schema), events)
    run = Run(source, destination, plan, job, events)
    stop = stop or threading.Event()
    try:
        for lane in plan.lanes:
            if not stop.is_set():
                run.carry(lane, stop)
        return RunResult(run.finish(), stop.is_set())
    finally:
        run.close()


class Run:
    """One run over the lanes of a plan. What only rows need (Arrow, spool, loader) is made when the first come."""

    def __init__(
        self, source: Source, destination: Destination, plan: Plan, job: Job, events: Callable[[Event], None]
    ) -> None:
        self.source = source
        self.destination = destination
        self.plan = plan
        self.limits = job.limits
        self.events = events
        self._home = job.home
        self._spool: Spool | None = None
        self._loader: Loader | None = None
        self._tables: list[Table] | None = None
        self._marks = dict(patiently(lambda: destination.marks(plan.connection), events))
        self._lanes: dict[str, Lane] = {}
        self._errors: dict[str, BaseException] = {}
        self._results: dict[str, LaneResult] = {}
        self._durable: list[tuple[str, Json]] = []
        self._lock = threading.Lock()

    def carry(self, lane: Lane, stop: Stop) -> None:
        """Read one lane to its end, or to a checkpoint after `stop` is set; its last loads may still be under way."""
        from lockstitch.engine.lane import LaneRun

        self._lanes[lane.name] = lane
        self._results[lane.name] = LaneResult(lane.name)
        try:
            LaneRun(self, lane, self._marks.get(lane.name)).carry(stop)
        except Exception as error:
            self._errors[lane.name] = error
        self._settle()

    def finish(self) -> tuple[LaneResult, ...]:
        """Wait for all loads, and return what became of each lane that was carried."""
        if self._loader is not None:
            self._loader.finish()
        self._settle()
        return tuple(self._results.values())

    def _settle(self) -> None:
        """End the lanes that are read and have no load under way."""
        for name, lane in list(self._lanes.items()):
            if self._loader is not None and self._loader.is_busy_with(name):
                continue
            del self._lanes[name]
            self.tell_committed(lane)
            failure = self._loader.failure(name) if self._loader is not None else None
            error = self._errors.get(name) or failure
            with self._lock:
                self._results[name] = replace(self._results[name], error=error)
            self.events(LaneFinished(name, error))

    def spool(self) -> Spool:
        if self._spool is None:
            from lockstitch.engine.spool import Spool

            self._spool = Spool(self._home)
        return self._spool

    def loader(self) -> Loader:
        if self._loader is None:
            from lockstitch.engine.loader import Loader

            self._loader = Loader(self.destination, self._committed, self.events)
        return self._loader

    def tables(self) -> list[Table]:
        """Return the schema's tables as they stood when the run began."""
        if self._tables is None:
            self._tables = list(patiently(self.destination.tables, self.events))
        return self._tables

    def look_again(self) -> None:
        """Read the tables anew once all loads handed over have ended."""
        if self._loader is not None:
            self._loader.finish()
        self._tables = None

    def _committed(self, load: ReadyLoad, ledger: tuple[LedgerRow, ...]) -> None:
        """Take note of a commit; called in the loader's thread."""
        lane = load.load.lane
        with self._lock:
            before = self._results[lane]
            self._results[lane] = replace(
                before,
                loads=before.loads + 1,
                rows=before.rows + sum(row.read for row in ledger),
                rejected=before.rejected + sum(row.rejected for row in ledger),
                adjusted=before.adjusted + sum(row.adjusted for row in ledger),
            )
            self._durable.append((lane, load.mark.cursor))
        for change in load.load.changes:
            if isinstance(change, AddColumn | RenameColumn) and change.version is not None:
                continue  # told when it reaches the table
            self.events(SchemaChanged(change.table, describe(change)))
        self.events(LoadCommitted(lane, load.mark.number, ledger, load.streams, load.batched_at))
        reach("load reported")

    def has_failed(self, lane: str) -> bool:
        """Tell whether a load of the lane could not be committed."""
        return self._loader is not None and self._loader.failure(lane) is not None

    def tell_committed(self, lane: Lane) -> None:
        """Tell the source which of the lane's cursors have become durable."""
        with self._lock:
            told = [cursor for name, cursor in self._durable if name == lane.name]
            self._durable = [(name, cursor) for name, cursor in self._durable if name != lane.name]
        for cursor in told:
            if cursor is not None:  # before the first checkpoint nothing is behind the source
                self.source.committed(lane, cursor)

    def close(self) -> None:
        if self._loader is not None:
            self._loader.close()
        if self._spool is not None:
            self._spool.close()


def describe(change: Change) -> str:
    """Say in words what a change does to its table."""
    match change:
        case CreateTable():
            return "created" if change.version is None else f"version {change.version} begun"
        case AddColumn():
            return f"column {change.column.name} added"
        case RenameColumn():
            return f"column {change.old} renamed to {change.new}, as values of another type arrived"
        case DropKey():
            return "key dropped, as the incoming key is another one: rows are appended from now on; reset to mend"
