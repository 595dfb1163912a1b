"""The two seams. A source says what there is; a destination makes it visible. Neither knows the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from lockstitch.core.loads import LedgerRow, Load, Step, StepCount
from lockstitch.core.model import Capabilities, Json, Lane, Mark, Message, Part, Selected, Stream, Table
from lockstitch.core.rules import Rules

if TYPE_CHECKING:
    import pyarrow as pa


class Source(Protocol):
    """Reads rows out of one system. Never writes to it."""

    #: What the plan does with a field of a wanted stream that the user did not choose: "add" or "report".
    new_fields: ClassVar[Literal["add", "report"]]

    def check(self) -> None:
        """Raise a user error that tells the mend, or return: the connection works."""
        ...

    def discover(self) -> Sequence[Stream]:
        """Return all streams, in a stable order."""
        ...

    def lanes(self, wanted: Sequence[Selected]) -> Sequence[Lane]:
        """Return the lanes that carry the wanted streams, in a stable order; remembers what is wanted for `read`."""
        ...

    def parts(self, lane: Lane, cursor: Json) -> Sequence[Part]:
        """Return the pieces that may be read apart, or () where the lane can only be read as a whole."""
        ...

    def read(self, lane: Lane, cursor: Json) -> Iterator[Message]:
        """Yield what comes after the cursor (None: from the beginning).

        A Checkpoint always comes last, even with no rows. Reading again from a cursor never skips a row; whether it
        may repeat one is the lane's `replay`.
        """
        ...

    def committed(self, lane: Lane, cursor: Json) -> None:
        """Everything up to the cursor is durable: advance a slot, trim an inbox, store refreshed tokens."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Fingerprinted(Protocol):
    """A source that can be read again for `verify`."""

    def fold(self, lane: Lane, cursor: Json) -> Iterator[Message]:
        """Yield the rows that the destination should hold at the cursor, oldest first, as `read` would have."""
        ...


@runtime_checkable
class TakesState(Protocol):
    """A source whose cursors can be made from a Singer tap's state."""

    def cursors(self, state: Mapping[str, Any]) -> Mapping[str, Json]:
        """Return a cursor by lane name, for the lanes that the state knows."""
        ...

    def versions(self, lane: Lane, cursor: Json) -> Mapping[str, int]:
        """Return the numbers of the versions that are published at the cursor, by stream."""
        ...


class Destination(Protocol):
    """Makes loads visible in one system. The mark commits with the rows and is the truth about progress."""

    capabilities: ClassVar[Capabilities]
    rules: ClassVar[Rules]

    def check(self) -> None:
        """Raise a user error that tells the mend, or return: we may create schemas, tables and load."""
        ...

    def open(self, connection: str, schema: str) -> None:
        """Once a run, before any lane: make the schema, `_sdc_rejected` and our own tables; refuse a newer format."""
        ...

    def marks(self, connection: str) -> Mapping[str, Mark]:
        """Return the mark of each lane of the connection; {} where nothing was ever committed. Creates nothing."""
        ...

    def tables(self) -> Sequence[Table]:
        """Return the opened schema's tables and the generations being filled for them, without `_sdc_rejected`."""
        ...

    def begin(self, load: Load, after: Mark | None) -> AbstractContextManager[Writer]:
        """Open a load that may commit only while the lane's mark is `after`. Left uncommitted, no trace is left."""
        ...

    def adopt(self, connection: str, lane: str, mark: Mark, after: Mark | None) -> None:
        """Write a mark without rows: a reset, a tap's state taken over. Fenced by `after` like a load."""
        ...

    def ledger(self, connection: str) -> Sequence[tuple[str, int, LedgerRow]]:
        """Return (lane, commit number, row) of all committed loads of the connection, in their order."""
        ...

    def read_back(self, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the table's rows, in no particular order; without a row an empty batch, so that columns are known."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Queryable(Protocol):
    """A destination that answers questions in its own SQL."""

    def query(self, schema: str, sql: str) -> Iterator[pa.RecordBatch]:
        """Yield the answer to one statement; without a row an empty batch, so that the columns are known.

        A table that is named without a schema is that of `schema`. Whatever would change something is refused, and
        what is wrong with the statement is a user error.
        """
        ...


class Writer(Protocol):
    """One open load."""

    def write(self, step: Step, rows: pa.RecordBatchReader) -> None:
        """Put rows where only this load sees them. May be called several times for a step, with other schemas."""
        ...

    def commit(self, mark: Mark, ledger: Sequence[LedgerRow]) -> Sequence[StepCount]:
        """In one transaction: lock and compare the mark, apply changes, the steps in order, the mark and the ledger.

        `ledger` comes without `inserted`, `updated` and `total`: they are filled in, `superseded` and `rejected` added
        to, from what the steps did, which is returned step by step. Raises `Superseded` if the lane's mark is another.
        """
        ...
