"""The sums by which a benchmark knows that a table holds the right rows."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest
from bench.events import events, users
from bench.sums import Sums, added, of_rows


def in_duckdb(rows: pa.Table, expected: Sums) -> Sums:
    with duckdb.connect() as db:
        db.register("rows", rows)
        found = db.execute(f"select {', '.join(expected.terms())} from rows").fetchall()
    return expected.found(rows.num_rows, found[0])


def test_arrow_and_sql_agree() -> None:
    rows = events(3, 500, 1_000)
    expected = of_rows(rows, "event_id")
    assert in_duckdb(rows, expected) == expected
    assert len(expected.columns) == 26


@pytest.mark.parametrize("column", users(1, 0, 1).column_names[1:])
def test_values_in_other_rows_are_noticed(column: str) -> None:
    rows = users(1, 1, 200)
    expected = of_rows(rows, "user_id")
    turned = rows[column].take(pa.array([*range(1, 200), 0]))
    moved = rows.set_column(rows.column_names.index(column), column, turned)
    told = [name for name, sums in in_duckdb(moved, expected).columns.items() if sums != expected.columns[name]]
    assert told == [column]


def test_parts_add_up() -> None:
    parts = [events(number, number * 100, 100) for number in range(3)]
    assert added(of_rows(part, "event_id") for part in parts) == of_rows(pa.concat_tables(parts), "event_id")


def test_a_fifth_of_the_values_is_null_and_no_key_comes_twice() -> None:
    rows = events(7, 1_000, 20_000)
    nulls = sum(column.null_count for column in rows.columns)
    assert 0.18 < nulls / rows.num_rows / rows.num_columns < 0.22
    assert len(rows["event_id"].unique()) == rows.num_rows
