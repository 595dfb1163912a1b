"""Proves what landed: the ledger against the tables and, where a source can be read again, every row against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lockstitch.core.loads import LedgerRow
from lockstitch.core.model import Lane, Mark, Message, Plan, StreamPlan, Table
from lockstitch.core.protocols import Destination, Fingerprinted, Source
from lockstitch.engine.plan import make_plan
from lockstitch.engine.run import Job
from lockstitch.layout.names import SEPARATOR

Grade = Literal["source", "ledger", "none"]


@dataclass(frozen=True, slots=True)
class Difference:
    """Rows of one kind that are not as they should be: how many, and a few of them by key."""

    count: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableVerdict:
    """What `verify` found for one table. `expected` None: nothing says how many rows there should be."""

    table: str
    grade: Grade
    rows: int
    expected: int | None
    note: str = ""
    missing: Difference = Difference()
    extra: Difference = Difference()
    changed: Difference = Difference()

    @property
    def holds(self) -> bool:
        differs = self.missing.count + self.extra.count + self.changed.count
        return differs == 0 and (self.expected is None or self.expected == self.rows)


def verify(source: Source, destination: Destination, job: Job) -> Sequence[TableVerdict]:
    """Compare every table of the job with the source up to its mark, or else with the ledger."""
    plan = make_plan(source, destination, connection=job.connection, schema=job.schema, selection=job.selection)
    marks = destination.marks(job.connection)
    if not marks:
        return []  # nothing was ever loaded, and opening would make the schema
    destination.open(job.connection, job.schema)
    tables = [table for table in destination.tables() if table.version is None]
    expected = expected_rows(destination.ledger(job.connection))
    verdicts: list[TableVerdict] = []
    for lane in plan.lanes:
        own = [table for table in tables if _stream_of(plan, lane, table) is not None]
        mark = marks.get(lane.name)
        if not destination.capabilities.readable:
            verdicts.extend(_unread(table, expected) for table in own)
        elif mark is not None and mark.cursor is not None and isinstance(source, Fingerprinted):
            streams = [plan.streams[name] for name in lane.streams if name in plan.streams]
            verdicts.extend(_by_source(source.fold(lane, mark.cursor), destination, streams, own, job.home))
        else:
            verdicts.extend(_by_ledger(destination, table, mark, expected) for table in own)
            verdicts.extend(_gone(plan, lane, expected, {table.name for table in tables}))
    return verdicts


def _stream_of(plan: Plan, lane: Lane, table: Table) -> str | None:
    names = (name for name in lane.streams if name in plan.streams)
    return next((name for name in names if plan.streams[name].table in (table.name, table.parent)), None)


def expected_rows(ledger: Sequence[tuple[str, int, LedgerRow]]) -> dict[str, int]:
    """Add up what all loads say they did: the rows that each table must have."""
    rows: dict[str, int] = {}
    for _, _, row in ledger:
        before = rows.get(row.table, 0)
        rows[row.table] = row.total if row.total is not None else before + row.inserted - row.removed
    return rows


def count_rows(destination: Destination, table: str, column: str = "_sdc_sequence") -> int:
    """Return a table's number of rows, read by one of its columns."""
    return sum(batch.num_rows for batch in destination.read_back(table, [column]))


def _unread(table: Table, expected: dict[str, int]) -> TableVerdict:
    note = "what was sent cannot be read back: these are the rows that the loads have sent"
    return TableVerdict(table.name, "none", expected.get(table.name, 0), None, note)


def _by_ledger(destination: Destination, table: Table, mark: Mark | None, expected: dict[str, int]) -> TableVerdict:
    rows = count_rows(destination, table.name)
    if table.name not in expected:
        return TableVerdict(table.name, "none", rows, None, "no load of this connection has written it")
    note = "" if mark is not None else "the lane was reset and not read again"
    return TableVerdict(table.name, "ledger", rows, expected[table.name], note)


def _gone(plan: Plan, lane: Lane, expected: dict[str, int], there: set[str]) -> Iterator[TableVerdict]:
    """Tell of tables that loads have filled and that are not there any more."""
    streams = [plan.streams[name].table for name in lane.streams if name in plan.streams]
    for name, rows in expected.items():
        is_own = any(name == top or name.startswith(top + SEPARATOR) for top in streams)
        if rows and is_own and name not in there:
            yield TableVerdict(name, "ledger", 0, rows, "the table is not there")


def _by_source(
    folded: Iterator[Message],
    destination: Destination,
    streams: Sequence[StreamPlan],
    tables: Sequence[Table],
    home: Path,
) -> Iterator[TableVerdict]:
    from lockstitch.engine.comparison import Comparison

    with Comparison(home, destination.rules, tables) as comparison:
        comparison.expect(folded, streams)
        there = {table.name for table in tables}
        for table in comparison.tables:
            if table.name in there:
                comparison.find(table, destination.read_back(table.name, comparison.compared(table)))
                yield comparison.verdict(table)
            else:
                yield replace(comparison.verdict(table), note="the table is not there")
