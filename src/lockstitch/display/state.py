"""How a pipeline stands, as text and as a document."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lockstitch.core.loads import LedgerRow
from lockstitch.display.tally import counts_of
from lockstitch.display.text import columns, count, json_text

if TYPE_CHECKING:
    from lockstitch.core.model import Column
    from lockstitch.engine.state import LoadState, State, TableState

#: Lines of the load history that are shown; machines get all.
SHOWN_LOADS = 20
_CURSOR_WIDTH = 80


def state_text(state: State) -> str:
    """Return the state for a reader: each table with its columns, the latest loads, the marks."""
    if not state.marks:
        return f"{state.schema}: nothing has landed yet"
    parts = ["\n".join([*map(_table_text, state.tables), count(len(state.tables), "table")])]
    if state.rejected:
        parts.append(rejected_text(state))
    if state.loads:
        parts.append(columns(LOAD_HEADINGS, load_rows(state.loads[-SHOWN_LOADS:])))
        if left_out(state):
            parts[-1] += f"\n({count(left_out(state), 'line')} before; --json has all)"
    parts.append(columns(MARK_HEADINGS, mark_rows(state)))
    return "\n\n".join(parts)


def rejected_text(state: State) -> str:
    """Say how many records were set aside, and where they are."""
    return f"{count(state.rejected, 'record')} in {state.schema}._sdc_rejected, with the reasons"


def left_out(state: State) -> int:
    """Return how many lines of the load history are not shown."""
    return max(len(state.loads) - SHOWN_LOADS, 0)


LOAD_HEADINGS = ("committed", "lane", "load", "table", *counts_of(LedgerRow("")))
MARK_HEADINGS = ("mark of", "epoch", "load", "cursor")


def load_rows(loads: Sequence[LoadState]) -> list[list[str | int]]:
    """Return a line for each table of each load, below the headings."""
    return [
        [
            one.row.committed_at.strftime("%Y-%m-%d %H:%M:%SZ") if one.row.committed_at else "",
            one.lane,
            one.number,
            one.row.table,
            *counts_of(one.row).values(),
        ]
        for one in loads
    ]


def mark_rows(state: State) -> list[list[str | int]]:
    """Return a line for each lane's mark, its cursor as far as there is room."""
    return [[lane, mark.epoch, mark.number, _cut(json_text(mark.cursor))] for lane, mark in sorted(state.marks.items())]


def _cut(text: str) -> str:
    return text if len(text) <= _CURSOR_WIDTH else f"{text[: _CURSOR_WIDTH - 4]} ..."


def _table_text(table: TableState) -> str:
    facts = [count(table.rows, "row"), f"key {', '.join(table.key)}" if table.key else "no key"]
    if table.parent is not None:
        facts.append(f"below {table.parent}")
    if table.expected not in (None, table.rows):
        facts.append(f"{table.expected:,} expected by its loads: see `lockstitch verify`")
    # A column and its type stay on one line: their spaces are none that the wrapping knows.
    told = ", ".join(column_text(column).replace(" ", "\0") for column in table.columns)
    listed = textwrap.fill(told, width=100, initial_indent="    ", subsequent_indent="    ").replace("\0", " ")
    return f"{table.name}  ({'; '.join(facts)})\n{listed}"


def column_text(column: Column) -> str:
    """Return a column's name with the destination's name of its type."""
    return f"{column.name} {column.type.native if column.type is not None else '(a type of your own)'}"


def state_document(state: State) -> dict[str, Any]:
    """Return the state for machines."""
    return {
        "connection": state.connection,
        "schema": state.schema,
        "tables": [
            {
                "table": one.name,
                "rows": one.rows,
                "expected": one.expected,
                "key": one.key,
                "parent": one.parent,
                "columns": [
                    {
                        "name": column.name,
                        "type": column.type and column.type.stitch,
                        "native": column.type and column.type.native,
                    }
                    for column in one.columns
                ],
            }
            for one in state.tables
        ],
        "rejected": state.rejected,
        "loads": [{"lane": one.lane, "number": one.number, **_ledger_document(one)} for one in state.loads],
        "marks": [{"lane": lane, **asdict(mark)} for lane, mark in sorted(state.marks.items())],
    }


def _ledger_document(load: LoadState) -> dict[str, Any]:
    fields = asdict(load.row)
    return {**fields, "committed_at": load.row.committed_at and load.row.committed_at.isoformat()}
