"""The words of the product, as data. Imports nothing of ours, and Arrow only for types: it costs nothing to load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

ReplicationMethod = Literal["INCREMENTAL", "FULL_TABLE", "LOG_BASED"]
Replay = Literal["exact", "repeats"]
RowKind = Literal["upsert", "delete", "patch"]

#: Stitch's types that a column of a flattening destination can have (`shared/spec/loading.md` section 6).
StitchType = Literal["integer", "boolean", "date", "double", "number", "string"]


# --- what a source offers -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a stream. `type` is JSON Schema's word (string, integer, number, boolean, object, array)."""

    name: str
    type: str = "string"
    format: str | None = None
    inclusion: Literal["automatic", "available", "unsupported"] = "available"


@dataclass(frozen=True, slots=True)
class Stream:
    """What a source can deliver under one name. `key` is () where rows have no identity.

    `expires`: the source keeps records for a while only, so that reading from the beginning does not bring back all.
    """

    name: str
    fields: tuple[Field, ...] = ()
    key: tuple[str, ...] = ()
    replication_method: ReplicationMethod | None = None
    replication_key: str | None = None
    expires: bool = False


@dataclass(frozen=True, slots=True)
class Selected:
    """A stream that the user wants. `fields` None means all of them, new ones included where the source adds them."""

    stream: Stream
    fields: frozenset[str] | None = None
    replication_method: ReplicationMethod | None = None
    replication_key: str | None = None

    @property
    def method(self) -> ReplicationMethod | None:
        """How the stream is replicated: as the user chose, else as the source does it."""
        return self.replication_method or self.stream.replication_method

    def wants(self, name: str) -> bool:
        """Tell whether a field is to be replicated; a key always is."""
        return self.fields is None or name in self.fields or name in self.stream.key


@dataclass(frozen=True, slots=True)
class StreamChoice:
    """What the user asks of one stream. `fields` None means all of them; None elsewhere leaves it to the source."""

    fields: frozenset[str] | None = None
    replication_method: ReplicationMethod | None = None
    replication_key: str | None = None


#: The user's choice by stream name; None means all streams, as the source offers them.
Selection = Mapping[str, StreamChoice] | None


@dataclass(frozen=True, slots=True)
class Lane:
    """What has ONE position. `replay` says whether reading from a cursor yields precisely the rows after it."""

    name: str
    streams: tuple[str, ...]
    replay: Replay = "exact"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a lane that can be read on its own, on any machine; `token` is opaque to all but the source."""

    lane: str
    token: Json


# --- what a source says while it is read ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one stream, in the schema they carry; it may differ from batch to batch.

    `sequence` is the source's own order, an int64 array as long as `rows`, or None where arrival order decides.
    `extracted_at` fills `_sdc_extracted_at` where the source wants that column.
    """

    stream: str
    rows: pa.RecordBatch
    kind: RowKind = "upsert"
    sequence: pa.Int64Array | None = None
    extracted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """The stream's rows from here on belong to this version (full table, resync, lost log). Repeated after a resume."""

    stream: str
    number: int


@dataclass(frozen=True, slots=True)
class Publish:
    """The version is complete and replaces all older rows of the stream."""

    stream: str
    number: int
    missing: Literal["remove", "mark_deleted"] = "remove"


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is left to read in the lane, for the progress display only."""

    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything yielded before it, of all streams of the lane, is complete. Only the source understands the cursor."""

    cursor: Json
    remaining: Remaining | None = None


Message = Batch | Version | Publish | Checkpoint


# --- what a destination holds -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column's type in a destination: Stitch's type, the engine's own name for it, and, for decimals, the scale."""

    stitch: StitchType
    native: str
    scale: int | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. `type` None is a type that we never write (a column of the user's own)."""

    name: str
    type: ColumnType | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table, or a generation of one (`version`), as it stands in the destination.

    `key` is () where the destination keeps none. `ours` names the columns that a load of ours has ever written;
    all others are the user's and never touched. `parent` is the top table of a subtable.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    ours: frozenset[str] = frozenset()
    parent: str | None = None
    version: int | None = None

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a lane has come. A reset begins a new epoch; `number` counts commits; `sequence` is the highest given.

    `versions` holds the number of each stream's published version, for `_sdc_table_version` of the rows that follow; a
    number below zero is a first fill or reset of a stream without versions, which the engine has begun and not ended.
    """

    epoch: int
    number: int
    cursor: Json
    sequence: int = 0
    versions: Mapping[str, int] = field(default_factory=dict[str, int])


# --- what holds for a run ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a destination promises. Closed: the planner branches on each field and a contract test covers it.

    `atomic` says what becomes visible at once; "none": each row as it is sent, and an interrupted load goes on with
    those that were not. `readable` is False where rows are sent on and cannot be read back.
    """

    atomic: Literal["all", "rows", "table", "object", "none"] = "all"
    exclusive: bool = False
    upsert: bool = True
    readable: bool = True


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """The schema decisions for one stream, made once before reading."""

    selected: Selected
    table: str
    key: tuple[str, ...]
    new_fields: Literal["add", "report"] = "add"
    warnings: tuple[str, ...] = ()

    @property
    def outlives_reset(self) -> bool:
        """Whether rows stay after a reset: their key tells those that come again, and the others cannot."""
        return self.selected.stream.expires and bool(self.key)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the next run will do, as plain data."""

    connection: str
    schema: str
    lanes: tuple[Lane, ...]
    streams: Mapping[str, StreamPlan]
    warnings: tuple[str, ...] = field(default=())
