"""The words of the product, as data. Imports nothing of ours, and Arrow only for types: it costs nothing to load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    """What a source can deliver under one name. `key` is () where rows have no identity."""

    name: str
    fields: tuple[Field, ...] = ()
    key: tuple[str, ...] = ()
    replication_method: ReplicationMethod | None = None
    replication_key: str | None = None


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


# --- one load ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateTable:
    """Make a table, or with `version` a generation of it. The key is added once the rows are in."""

    table: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    parent: str | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class AddColumn:
    """Add a nullable column at the end."""

    table: str
    column: Column
    version: int | None = None


@dataclass(frozen=True, slots=True)
class RenameColumn:
    """Rename a column that is being split, so that its name tells its type."""

    table: str
    old: str
    new: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class DropKey:
    """Forget a table's key, because the incoming key is another one; from here on rows are appended."""

    table: str


Change = CreateTable | AddColumn | RenameColumn | DropKey

#: append   rows are added to the table
#: upsert   rows replace stored ones of the same key; rows of a subtable replace all rows of the parents sent again
#: replace  the rows are the table's whole content from now on
#: fill     rows are added to the generation `version`, which nobody sees
#: publish  (no rows) the generation `version` becomes the table's whole content
Action = Literal["append", "upsert", "replace", "fill", "publish"]


@dataclass(frozen=True, slots=True)
class Step:
    """What one load does to one table, at one point of its order.

    `columns` are those that the rows may carry; a row's other columns of ours become NULL. Rows of an upsert hold each
    key once. `guarded`: a row replaces a stored one only if its `_sdc_sequence` is not smaller. `parent_key` pairs
    each of a subtable's `_sdc_source_key_*` columns with the parent's key column. `missing` is the Publish's.
    """

    table: str
    action: Action
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    parent: str | None = None
    parent_key: tuple[tuple[str, str], ...] = ()
    version: int | None = None
    guarded: bool = False
    missing: Literal["remove", "mark_deleted"] = "remove"


@dataclass(frozen=True, slots=True)
class Load:
    """One transaction: the steps in their order, for all tables of the load, and the mark that comes with them."""

    connection: str
    lane: str
    steps: tuple[Step, ...]
    changes: tuple[Change, ...] = ()

    def position(self, step: Step) -> int:
        """Return which of the steps this very one is: two can be equal."""
        return next(at for at, one in enumerate(self.steps) if one is step)

    def goes_straight(self, step: Step) -> bool:
        """Tell whether nothing can be in the way of a step's rows: this load makes their table, and they come first.

        The rows of a subtable wait where the upsert of their parents may ignore some of them.
        """
        made = {one.table for one in self.changes if isinstance(one, CreateTable) and one.version is None}
        before = [one.table for one in self.steps[: self.position(step)]]
        if step.table not in made or step.table in before:
            return False
        # The parents' own step is among those before.
        return not step.guarded or step.parent is None or (step.parent in made and before.count(step.parent) == 1)


@dataclass(frozen=True, slots=True)
class StepCount:
    """What a step did, as the destination counted it.

    `ignored` rows lost to a greater stored sequence or, at a `publish`, to a later row of the generation: those were
    counted as inserted when it was filled, so a publish takes them back by a negative `inserted`. `total` is the
    table's row count afterwards, told by `replace` and `publish`. `removed` rows went without a successor: those of a
    subtable whose parent was sent again with fewer. `rejected` rows were refused by the destination itself, which keeps
    them with its reason, as it does those of `_sdc_rejected`.
    """

    inserted: int = 0
    updated: int = 0
    ignored: int = 0
    removed: int = 0
    total: int | None = None
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One load's account of one table: read = inserted + updated + superseded + rejected.

    `superseded` rows were sent again within the load, or lost to a greater stored sequence. `checksum` is the sum of
    the landed rows' `_sdc_sequence`, modulo 2**63: it does not depend on order. `removed` rows went without a
    successor. `total` is the table's row count after a load that replaced its content. `committed_at` is told by a
    destination's ledger alone.
    """

    table: str
    read: int = 0
    inserted: int = 0
    updated: int = 0
    superseded: int = 0
    rejected: int = 0
    adjusted: int = 0
    checksum: int = 0
    removed: int = 0
    total: int | None = None
    committed_at: datetime | None = field(default=None, compare=False)

    def completed(self, steps: Sequence[Step], counts: Sequence[StepCount]) -> LedgerRow:
        """Fill in what the load's steps did to this table."""
        own = [count for step, count in zip(steps, counts, strict=True) if step.table == self.table]
        totals = [count.total for count in own if count.total is not None]
        return replace(
            self,
            inserted=sum(count.inserted for count in own),
            updated=sum(count.updated for count in own),
            removed=sum(count.removed for count in own),
            superseded=self.superseded + sum(count.ignored for count in own),
            rejected=self.rejected + sum(count.rejected for count in own),
            total=totals[-1] if totals else None,
        )


@dataclass(frozen=True, slots=True)
class Reject:
    """A record, or a value of it, that the destination cannot hold exactly. `record` is JSON, as much as fits."""

    table: str
    reason: str
    record: str


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


@dataclass(frozen=True, slots=True)
class Plan:
    """What the next run will do, as plain data."""

    connection: str
    schema: str
    lanes: tuple[Lane, ...]
    streams: Mapping[str, StreamPlan]
    warnings: tuple[str, ...] = field(default=())
