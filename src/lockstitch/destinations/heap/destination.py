"""Heap as a destination: rows are sent to its server-side API, and what it cannot keep for us lies in our own state."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from lockstitch.core.errors import SettingsError
from lockstitch.core.loads import LedgerRow, Load
from lockstitch.core.model import Capabilities, Mark, Table
from lockstitch.core.rules import Rules
from lockstitch.destinations.heap.api import HeapApi
from lockstitch.destinations.heap.rules import RULES
from lockstitch.destinations.heap.sends import Send
from lockstitch.destinations.heap.state import State
from lockstitch.toolkit.held import held

if TYPE_CHECKING:
    import pyarrow as pa

    from lockstitch.core.protocols import Writer


class Heap:
    """A destination that sends. `sends` says, by table, what its rows become."""

    capabilities: ClassVar[Capabilities] = Capabilities(atomic="none", readable=False)
    rules: ClassVar[Rules] = RULES

    def __init__(self, api: HeapApi, sends: Mapping[str, tuple[Send, ...]], state: State) -> None:
        self.api = api
        self.sends = sends
        self.state = state
        self.schema = ""
        #: What a person was told already.
        self.warned: set[str] = set()
        self._connection = ""

    def check(self) -> None:
        """Look at what can be looked at without sending anything: the state, and the token where there is one."""
        self.state.make()
        self.api.check()

    def open(self, connection: str, schema: str) -> None:
        self._connection, self.schema = connection, schema
        self.state.make()

    def marks(self, connection: str) -> Mapping[str, Mark]:
        return self.state.marks(connection)

    def tables(self) -> Sequence[Table]:
        return self.state.tables(self._connection, self.schema)

    @contextmanager
    def begin(self, load: Load, after: Mark | None) -> Generator[Writer]:
        from lockstitch.destinations.heap.writer import HeapWriter

        self.state.refuse_superseded(load.connection, load.lane, after)
        writer = HeapWriter(self, load, after)
        try:
            yield writer
        finally:
            writer.close()

    def adopt(self, connection: str, lane: str, mark: Mark, after: Mark | None) -> None:
        with held(self.state.lane(connection, lane)):
            self.state.refuse_superseded(connection, lane, after)
            self.state.adopt(connection, lane, mark)

    def ledger(self, connection: str) -> Sequence[tuple[str, int, LedgerRow]]:
        return self.state.ledger(connection)

    def read_back(self, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rejects, which are ours. Raises SettingsError for what was sent: Heap's API gives nothing back."""
        import pyarrow as pa

        if table != RULES.rejected_table:
            raise SettingsError(
                f"{table} cannot be read back: Heap takes rows and gives none",
                hint=f"the counts of each load are in {self.state.path}, and what was refused in its _sdc_rejected",
            )
        text = pa.schema([(name, pa.string()) for name in ("_sdc_rejected_at", "table_name", "reason", "record")])
        found = pa.Table.from_pylist(self.state.rejected(self._connection, self.schema), schema=text)
        at = found["_sdc_rejected_at"].cast(pa.timestamp("us", "UTC"))
        found = found.set_column(0, "_sdc_rejected_at", at)
        held_columns = found if columns is None else found.select(list(columns))
        yield from held_columns.combine_chunks().to_batches() or [
            pa.RecordBatch.from_pylist([], schema=held_columns.schema)
        ]

    def close(self) -> None:
        self.api.close()
