"""What a run has done so far, added up from its events: the numbers behind every display and the summary."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from time import monotonic

from lockstitch.core.loads import LedgerRow
from lockstitch.engine.events import Event, LaneFinished, LaneStarted, LoadCommitted, Progress, Warned

_COUNTS = ("read", "inserted", "updated", "superseded", "rejected", "adjusted")


@dataclass(slots=True)
class StreamTally:
    """One stream's reading. Rates are averages since its lane began."""

    lane: LaneTally
    stream: str
    rows: int = 0
    bytes: int = 0

    def rows_per_second(self, now: float) -> float:
        return self.rows / max(now - self.lane.started, 0.001)


@dataclass(slots=True)
class LaneTally:
    """One lane's reading."""

    name: str
    started: float
    files_left: int | None
    bytes_left: int | None
    bytes_at_start: int | None
    finished: float | None = None
    failed: bool = False

    def seconds_left(self, now: float) -> float | None:
        """Return the time that the rest takes at the speed so far, or None while there is nothing to go by."""
        if self.bytes_left is None or self.bytes_at_start is None or self.finished is not None:
            return None
        done = self.bytes_at_start - self.bytes_left
        return self.bytes_left * (now - self.started) / done if done > 0 else None


@dataclass(slots=True)
class Tally:
    """Adds up a run's events."""

    began: float = field(default_factory=monotonic)
    lanes: dict[str, LaneTally] = field(default_factory=dict[str, LaneTally])
    streams: dict[str, StreamTally] = field(default_factory=dict[str, StreamTally])
    tables: dict[str, LedgerRow] = field(default_factory=dict[str, LedgerRow])
    loads: int = 0
    warnings: list[str] = field(default_factory=list[str])

    def add(self, event: Event, now: float | None = None) -> None:
        """Take one event in."""
        at = monotonic() if now is None else now
        match event:
            case LaneStarted():
                self.lanes[event.lane] = LaneTally(event.lane, at, event.files_left, event.bytes_left, event.bytes_left)
            case Progress():
                self._progress(event, at)
            case LoadCommitted():
                self.loads += 1
                for row in event.tables:
                    self.tables[row.table] = _sum(self.tables.get(row.table, LedgerRow(row.table)), row)
            case LaneFinished():
                lane = self._lane(event.lane, at)
                lane.finished, lane.failed = at, event.error is not None
            case Warned():
                self.warnings.append(event.text)
            case _:
                pass

    def _lane(self, name: str, at: float) -> LaneTally:
        return self.lanes.setdefault(name, LaneTally(name, at, None, None, None))

    def _progress(self, event: Progress, at: float) -> None:
        lane = self._lane(event.lane, at)
        lane.files_left, lane.bytes_left = event.files_left, event.bytes_left
        if lane.bytes_at_start is None:
            lane.bytes_at_start = event.bytes_left
        stream = self.streams.setdefault(event.stream, StreamTally(lane, event.stream))
        stream.rows, stream.bytes = event.rows, event.bytes


def _sum(total: LedgerRow, row: LedgerRow) -> LedgerRow:
    return replace(total, **{name: getattr(total, name) + getattr(row, name) for name in _COUNTS})


def table_rows(tables: dict[str, LedgerRow]) -> list[dict[str, str | int]]:
    """Return a run's account of each table under stable names, in the order of the tables' names."""
    return [{"table": name, **counts_of(tables[name])} for name in sorted(tables)]


def counts_of(row: LedgerRow) -> dict[str, int]:
    """Return what is counted of a table's rows, by stable names."""
    return {count: getattr(row, count) for count in _COUNTS}
