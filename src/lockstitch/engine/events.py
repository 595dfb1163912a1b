"""What a run tells while it goes: all that a command line, a log or a control plane ever sees of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lockstitch.core.loads import LedgerRow
from lockstitch.core.model import Stream


@dataclass(frozen=True, slots=True)
class SourceDiscovered:
    """What the source offers in this run, wanted or not."""

    streams: tuple[Stream, ...]


@dataclass(frozen=True, slots=True)
class LaneStarted:
    """A lane is about to be read. What is left to read is None where the source cannot tell."""

    lane: str
    streams: tuple[str, ...]
    files_left: int | None = None
    bytes_left: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far reading has come: rows and bytes of the stream since the run began, and what is left in the lane."""

    lane: str
    stream: str
    rows: int
    bytes: int
    files_left: int | None = None
    bytes_left: int | None = None


@dataclass(frozen=True, slots=True)
class LoadedStream:
    """What a load brought of one stream; its subtables are named after `table`.

    `visible`: its rows are in the tables, and not in a version that is still being filled. `replaced`: they replaced
    what was there. `bookmark`: the least and greatest value read of its replication key.
    """

    name: str
    table: str
    version: int
    visible: bool
    replaced: bool
    replication_key: str | None = None
    bookmark: tuple[str, str] | None = None
    extracted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LoadCommitted:
    """Rows and mark of one load are visible in the destination. `number` is the mark's."""

    lane: str
    number: int
    tables: tuple[LedgerRow, ...]
    streams: tuple[LoadedStream, ...] = ()
    batched_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SchemaChanged:
    """A table was created or altered, or a new field was seen and not replicated."""

    table: str
    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a user should know; nothing is wrong with the rows."""

    text: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """The run stands still for something outside it, such as another process that holds the file."""

    text: str


@dataclass(frozen=True, slots=True)
class LaneFinished:
    """The lane has ended, well or with the error that stopped it."""

    lane: str
    error: BaseException | None = None


Event = SourceDiscovered | LaneStarted | Progress | LoadCommitted | SchemaChanged | Warned | Waiting | LaneFinished
