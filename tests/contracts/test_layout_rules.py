"""Each rule of docs/layout.md by example, on DuckDB and PostgreSQL, a load a message and all in one."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.contracts.examples import Warehouse, checkpoints
from tests.contracts.rule_examples import EXAMPLES, KEYED, Example, Rows, publish, rows, text, version

from lockstitch.core.model import Stream, Table
from lockstitch.core.protocols import Destination
from lockstitch.testing.contract.shop import Database, plain, plain_value

#: Rules whose examples are tests of their own, below or elsewhere: what they need does not fit into data.
ELSEWHERE = {
    "R16": "test_a_users_own_column_is_never_written",
    "R60": "the contract suite: keys are told as they were made",
    "R67": "test_a_key_that_changes_by_increments_is_forgotten",
    "R73": "test_the_record_in_a_reject_is_what_came",
}


def test_every_rule_has_an_example_and_every_example_a_rule() -> None:
    page = (Path(__file__).parents[2] / "docs" / "layout.md").read_text()
    rules = re.findall(r"^\| (R\d\d) \|", page, re.MULTILINE)
    assert len(set(rules)) == len(rules)
    shown = {rule for example in EXAMPLES for rule in example.rules.split()} | ELSEWHERE.keys()
    assert shown == set(rules)


def _cases() -> list[Any]:
    """Each example in one load; where it is several messages, in a load each as well."""
    return [
        pytest.param(example, rows, id=f"{example.rules}-{number}-{how}")
        for number, example in enumerate(EXAMPLES)
        for rows, how in ((1_000_000, "together"), (1, "apart"))
        if how == "together" or len(example.messages) > 1
    ]


@pytest.mark.parametrize(("example", "load_rows"), _cases())
def test_a_rule(warehouse: Database, example: Example, load_rows: int) -> None:
    messages = checkpoints(example.messages)
    place = Warehouse(warehouse, load_rows)
    place.run([example.stream], messages)
    with place.opened() as destination:
        is_duckdb = destination.rules.title == "DuckDB"
        tables = example.duckdb if is_duckdb and example.duckdb is not None else example.tables
        rejects = example.duckdb_rejects if is_duckdb and example.duckdb_rejects is not None else example.rejects
        held = {table.name: _rows(destination, table.name, example.shows) for table in _visible(destination)}
        assert held == {name: _sorted(expected) for name, expected in tables.items()}
        assert _rejects(destination) == Counter((table, _told(reason, destination)) for table, reason in rejects)
        _check_columns(destination, example.columns)
    assert place.disagreements([example.stream], messages) == []


def _visible(destination: Destination) -> list[Table]:
    return [table for table in destination.tables() if table.version is None]


def _rows(destination: Destination, table: str, shows: Sequence[str]) -> list[Any]:
    wanted = [
        {name: value for name, value in row.items() if value is not None and (name in shows or "_sdc_" not in name)}
        for row in plain(destination.read_back(table))
    ]
    return _sorted(wanted)


def _sorted(rows: Rows) -> list[Any]:
    return sorted(({name: plain_value(value) for name, value in sorted(row.items())} for row in rows), key=repr)


def _rejects(destination: Destination) -> Counter[tuple[str, str]]:
    told = plain(destination.read_back(destination.rules.rejected_table))
    return Counter((row["table_name"], _told(row["reason"], destination)) for row in told)


def _told(reason: str, destination: Destination) -> str:
    """A time's own text is the teller's choice."""
    reason = reason.replace(" for X", f" for {destination.rules.title}").replace(
        "that X allows", f"that {destination.rules.title} allows"
    )
    return reason.partition(" on ")[0] if reason.startswith("timestamp out of range") else reason


def _check_columns(destination: Destination, expected: Mapping[str, Sequence[str]]) -> None:
    told = {table.name: [column.name for column in table.columns] for table in destination.tables()}
    assert {name: told[name] for name in expected} == dict(expected)


# --- rules that need more than rows ----------------------------------------------------------------------------------


def test_a_key_that_changes_by_increments_is_forgotten(warehouse: Database) -> None:
    """R67: the same messages go on under another key; rows are appended from then on, subtables alike."""
    place = Warehouse(warehouse)
    first = [rows(id=[1, 2], k=[1, 1], a=[[1], [2]])]
    place.run([KEYED], checkpoints(first))
    second = [rows(id=[1, 1], k=[7, 7], a=[[3], [4]]), rows(id=[1], k=[7])]
    place.run([Stream("orders", (), ("k",))], checkpoints([*first, *second]))
    with place.opened() as destination:
        expected = [{"id": 1, "k": 1}, {"id": 2, "k": 1}, *[{"id": 1, "k": 7}] * 3]
        assert _rows(destination, "orders", ()) == _sorted(expected)
        assert _rows(destination, "orders__a", ()) == _sorted([{"value": value} for value in (1, 2, 3, 4)])
        assert {table.key for table in destination.tables()} == {()}


def test_a_version_that_a_later_run_publishes_has_its_key(warehouse: Database) -> None:
    """R68: what is left to a run is the Publish only."""
    place = Warehouse(warehouse)
    messages = checkpoints([version(1), rows(id=[1], a=[[1]]), publish(1)])
    place.run([KEYED], messages, 1, 2)
    assert place.disagreements([KEYED], messages) == []
    with place.opened() as destination:
        keys = {table.name: table.key for table in destination.tables()}
    assert keys == {"orders": ("id",), "orders__a": ("_sdc_source_key_id", "_sdc_level_0_id")}


def test_a_users_own_column_is_never_written(warehouse: Database) -> None:
    """R16: the source brings a column of a name that a user has given to one of his own."""
    place = Warehouse(warehouse)
    first = [rows(id=[1, 2], a=[1, 2])]
    place.run([KEYED], checkpoints(first))
    warehouse.sql(f"alter table {place.schema}.orders add column note varchar(20)")
    warehouse.sql(f"update {place.schema}.orders set note = 'mine'")
    place.run([KEYED], checkpoints([*first, rows(id=[1, 3], a=[3, 3], note=["theirs", "theirs"])]))
    with place.opened() as destination:
        expected = [{"id": 1, "a": 3, "note": "mine"}, {"id": 2, "a": 2, "note": "mine"}, {"id": 3, "a": 3}]
        assert _rows(destination, "orders", ()) == _sorted(expected)
        assert _rejects(destination) == Counter({("orders", "Field collision on note"): 1})


def test_the_record_in_a_reject_is_what_came(warehouse: Database) -> None:
    """R73."""
    place = Warehouse(warehouse)
    batch = rows(
        id=pa.array([None], pa.int64()),
        n=[2**62],
        f=[0.1],
        nan=[float("nan")],
        d=[Decimal("1.50")],
        t=["text"],
        bad=text(b"\xff"),
        raw=pa.array([b"\x00\xff"], pa.binary()),
        yes=[True],
        nothing=pa.array([None], pa.int64()),
        nested=[{"a": [1, {"b": 2}["b"]]}],
        early=pa.array([-1], pa.timestamp("ns")),
    )
    place.run([KEYED], checkpoints([batch]))
    with place.opened() as destination:
        (told,) = plain(destination.read_back(destination.rules.rejected_table))
    record = json.loads(told["record"])
    assert record.pop("early")
    assert record.pop("nan").lower() == "nan"
    assert record == {
        "n": 2**62,
        "f": 0.1,
        "d": "1.50",
        "t": "text",
        "bad": "/w==",
        "raw": "AP8=",
        "yes": True,
        "nested": {"a": [1, 2]},
    }


def test_the_record_in_a_reject_is_json_all_the_way_down(warehouse: Database) -> None:
    """R73, for values that Python cannot hold."""
    place = Warehouse(warehouse)
    deep = pa.array([[[5, None]]], pa.list_(pa.list_(pa.timestamp("ns"))))
    maps = pa.array([[[("x", 5)]]], pa.list_(pa.map_(pa.string(), pa.time64("ns"))))
    place.run([KEYED], checkpoints([rows(id=pa.array([None], pa.int64()), deep=deep, maps=maps)]))
    with place.opened() as destination:
        (told,) = plain(destination.read_back(destination.rules.rejected_table))
    record = json.loads(told["record"])
    assert isinstance(record["deep"], list)
    assert isinstance(record["maps"], list)
