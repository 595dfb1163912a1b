"""How a pipeline stands in its destination: its tables, loads and marks. Asks the source nothing, changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lockstitch.core.loads import LedgerRow
from lockstitch.core.model import Column, Mark, Table
from lockstitch.core.protocols import Destination
from lockstitch.engine.verify import count_rows, expected_rows


@dataclass(frozen=True, slots=True)
class TableState:
    """A table. `expected` is how many rows all loads together say; None where no load of the pipeline has written it.

    A column without a type is of one that no load writes: the user's own.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    parent: str | None
    rows: int
    expected: int | None


@dataclass(frozen=True, slots=True)
class LoadState:
    """What one load, the lane's `number`th commit, did to one table."""

    lane: str
    number: int
    row: LedgerRow


@dataclass(frozen=True, slots=True)
class State:
    """All of it. `loads` are in their order, `marks` by lane, `rejected` counts the rows of `_sdc_rejected`."""

    connection: str
    schema: str
    tables: tuple[TableState, ...] = ()
    rejected: int = 0
    loads: tuple[LoadState, ...] = ()
    marks: Mapping[str, Mark] = field(default_factory=dict[str, Mark])


def state_of(destination: Destination, connection: str, schema: str) -> State:
    """Return the state of a connection in an opened destination."""
    ledger = destination.ledger(connection)
    expected = expected_rows(ledger)
    tables = sorted((one for one in destination.tables() if one.version is None), key=lambda one: one.name)
    return State(
        connection,
        schema,
        tuple(
            TableState(
                one.name,
                one.columns,
                one.key,
                one.parent,
                _rows(destination, one, expected),
                expected.get(one.name),
            )
            for one in tables
        ),
        count_rows(destination, destination.rules.rejected_table, "reason"),
        tuple(LoadState(lane, number, row) for lane, number, row in sorted(ledger, key=_committed_at)),
        destination.marks(connection),
    )


def _rows(destination: Destination, table: Table, expected: Mapping[str, int]) -> int:
    if not destination.capabilities.readable:
        return expected.get(table.name, 0)  # what the loads have sent
    return count_rows(destination, table.name, table.columns[0].name)


def _committed_at(load: tuple[str, int, LedgerRow]) -> datetime:
    return load[2].committed_at or datetime.min.replace(tzinfo=UTC)
