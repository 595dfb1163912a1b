"""One open load: rows go where only it sees them, and `commit` makes all of it visible at once, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from lockstitch.core.loads import LedgerRow, Load, Step, StepCount
from lockstitch.core.model import Column, Mark, StitchType
from lockstitch.core.points import reach
from lockstitch.destinations.postgres import sql, state
from lockstitch.destinations.postgres.changes import Changes
from lockstitch.destinations.postgres.session import Session
from lockstitch.destinations.postgres.sql import Relation
from lockstitch.destinations.postgres.steps import Rows, Steps

if TYPE_CHECKING:
    from collections.abc import Callable

#: The Arrow types that the driver writes exactly. It would wrap uint64 and cut nanoseconds without a word.
_EXACT: Mapping[StitchType, Callable[[pa.DataType], bool]] = {
    "integer": lambda kind: kind == pa.int64(),
    "boolean": pa.types.is_boolean,
    "date": lambda kind: kind == pa.timestamp("us", "UTC"),
    "double": lambda kind: kind == pa.float64(),
    "number": lambda kind: pa.types.is_decimal128(kind) or pa.types.is_decimal256(kind),
    "string": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind),
}


@dataclass(slots=True)
class PostgresWriter:
    """Writes one load within one transaction; locks on the user's tables are only taken by `commit`.

    Rows of a table that this load creates, and those of a generation, are copied straight into it: no other session
    sees it yet. All others wait in a temporary table.
    """

    session: Session
    schema: str
    load: Load
    after: Mark | None
    _changes: Changes = field(init=False)
    _rows: dict[int, Rows] = field(default_factory=dict[int, Rows])
    #: The page at which the rows of this load begin in each generation; None where the server cannot use it.
    _first_pages: dict[Relation, int | None] = field(default_factory=dict[Relation, "int | None"])

    def __post_init__(self) -> None:
        self._changes = Changes(self.session, self.schema, self.load)

    def write(self, step: Step, rows: pa.RecordBatchReader) -> None:
        """Copy rows to where this load alone sees them. May be called several times for a step, with other schemas."""
        position = self.load.position(step)
        columns = _carried(step, rows.schema)
        target = self._rows.get(position)
        if target is None:
            target = self._rows[position] = self._begin_rows(position, step, columns)
        elif not target.direct:
            for column in columns:
                if column.name not in target.columns:
                    self.session.run(sql.add_column(target.relation, column))
        target.columns.extend(column.name for column in columns if column.name not in target.columns)
        target.count += self.session.copy(target.relation, rows)

    def commit(self, mark: Mark, ledger: Sequence[LedgerRow]) -> Sequence[StepCount]:
        """Lock and compare the mark, then changes, steps, ledger and mark in one transaction."""
        load = self.load
        state.lock_mark(self.session, load.connection, load.lane, self.after)
        reach("mark locked")
        self._changes.make()
        reach("changes made")
        counts: list[StepCount] = []
        steps = Steps(self.session, self.schema, load, self._rows)
        for position in range(len(load.steps)):
            counts.append(steps.apply(position))
            reach("step applied")
        completed = [row.completed(load.steps, counts) for row in ledger]
        state.write_ledger(self.session, load.connection, load.lane, mark, completed)
        state.write_mark(self.session, load.connection, load.lane, mark)
        reach("mark written")
        self.session.commit()
        self._settle_fills()
        return counts

    def _settle_fills(self) -> None:
        """Read what was copied into generations once, which makes the server note on each row that it is committed.

        Here the pages are in memory and newly logged. When the key is built a checkpoint may lie between: then, with
        data checksums, each page is logged again as a whole (measured: 2.3 s for 2 M rows instead of 0.9).
        """
        published = {step.table for step in self.load.steps if step.action == "publish"}
        going_on = {
            rows.relation for position, rows in self._rows.items() if self.load.steps[position].table not in published
        }
        for generation, first in self._first_pages.items():
            if generation in going_on and first is not None:
                self.session.rows(sql.count_from(generation, first))

    def _begin_rows(self, position: int, step: Step, columns: Sequence[Column]) -> Rows:
        if step.action == "fill":
            generation = self._changes.hidden(step.table, step.version)
            if generation not in self._first_pages:
                self._first_pages[generation] = self.session.value(sql.pages_of(generation))
            return Rows(generation, direct=True)
        if self.load.goes_straight(step):
            return Rows(self._changes.hidden(step.table, None), direct=True)
        stage = Relation("pg_temp", f"stage_{position}")
        self.session.run(sql.create_table(stage, columns, temporary=True))
        return Rows(stage, direct=False)


def _carried(step: Step, schema: pa.Schema) -> list[Column]:
    """Return the step's columns that the rows carry. Rows of any other shape are a bug of the layout."""
    known = {column.name: column for column in step.columns}
    carried: list[Column] = []
    for one in schema:
        column = known.get(one.name)
        if column is None or column.type is None or not _EXACT[column.type.stitch](one.type):
            raise TypeError(
                f"rows of {step.table} have {one.name} of Arrow type {one.type}, not as their step says: {column}"
            )
        carried.append(column)
    return carried
