"""How a pipeline stands, as a program and a notebook show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockstitch.core.model import Mark
from lockstitch.display.state import (
    LOAD_HEADINGS,
    MARK_HEADINGS,
    SHOWN_LOADS,
    column_text,
    left_out,
    load_rows,
    mark_rows,
    rejected_text,
    state_text,
)
from lockstitch.display.text import count
from lockstitch.library.html import line_html, table_html

if TYPE_CHECKING:
    from lockstitch.engine.state import LoadState, State, TableState


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """Tables, loads and marks of a pipeline in its destination; printed, it is what `lockstitch show` prints."""

    state: State

    @property
    def tables(self) -> tuple[TableState, ...]:
        """The tables, each with its columns, key and number of rows."""
        return self.state.tables

    @property
    def loads(self) -> tuple[LoadState, ...]:
        """What each load did to each table, lane by lane in their order."""
        return self.state.loads

    @property
    def marks(self) -> Mapping[str, Mark]:
        """How far each lane has come."""
        return self.state.marks

    def __repr__(self) -> str:
        return state_text(self.state)

    def _repr_html_(self) -> str:
        """Return the tables that a notebook shows."""
        tables: list[list[str | int]] = [
            [one.name, one.rows, ", ".join(one.key), ", ".join(map(column_text, one.columns))] for one in self.tables
        ]
        if not self.marks:
            return line_html(repr(self))
        rest = left_out(self.state)
        return "".join(
            [
                table_html(("table", "rows", "key", "columns"), tables),
                line_html(rejected_text(self.state)) if self.state.rejected else "",
                table_html(LOAD_HEADINGS, load_rows(self.loads[-SHOWN_LOADS:])),
                line_html(f"{count(rest, 'line')} before; show().loads has all") if rest else "",
                table_html(MARK_HEADINGS, mark_rows(self.state)),
            ]
        )
