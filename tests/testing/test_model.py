"""The model itself: that it sees what is wrong, and that its own pieces say what the rules say."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contracts.examples import Warehouse, checkpoints
from tests.contracts.rule_examples import KEYED, rows, text

from lockstitch.destinations.duckdb.destination import DuckDB
from lockstitch.destinations.duckdb.rules import RULES
from lockstitch.testing.contract.shop import Database
from lockstitch.testing.hostile import build, types, values
from lockstitch.testing.model.names import canonical

_MESSAGES = checkpoints(
    [
        rows(id=[1, 2], a=[1, 2], tags=[["x", "y"], []]),
        rows(id=[1, None], a=[3, 4], t=text(b"\xff", b"fine"), tags=[["x", "y"], []]),
    ]
)


@pytest.fixture
def place(tmp_path: Path) -> Warehouse:
    path = tmp_path / "warehouse.duckdb"

    def sql(statement: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(path)) as db:
            return db.execute(statement).fetchall()

    place = Warehouse(Database(lambda: DuckDB(path), sql), schema="s")
    place.run([KEYED], _MESSAGES)
    return place


def test_what_is_right_is_no_difference(place: Warehouse) -> None:
    assert place.disagreements([KEYED], _MESSAGES) == []


@pytest.mark.parametrize(
    "damage",
    [
        "update s.orders set a = 99 where id = 2",
        "update s.orders set a = null where id = 2",
        "update s.orders set _sdc_batched_at = null where id = 2",
        "delete from s.orders where id = 2",
        "insert into s.orders select * from s.orders where id = 2",
        "alter table s.orders add column b integer",
        "alter table s.orders rename a to b",
        "alter table s.orders alter a type double",
        "comment on table s.orders is null",
        "create table s.more (id bigint)",
        "drop table s.orders__tags",
        "update s.orders__tags set value = 'z' where _sdc_level_0_id = 0",
        "update s.orders__tags set _sdc_sequence = 5",
        "delete from s.orders__tags where _sdc_level_0_id = 1",
        "delete from s._sdc_rejected where reason like 'Key%'",
        "delete from s._sdc_rejected where reason like 'adjusted%'",
        "update s._sdc_rejected set reason = 'other' where reason like 'Key%'",
        "update s._sdc_rejected set table_name = 'other'",
        "insert into s._sdc_rejected select * from s._sdc_rejected limit 1",
    ],
)
def test_whatever_is_wrong_is_a_difference(place: Warehouse, damage: str) -> None:
    place.database.sql(damage)
    assert place.disagreements([KEYED], _MESSAGES) != []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("CUSTOMER! ID", "CUSTOMER ID"),
        ("123customerid", "customerid"),
        ("_987CUSTOMERID", "_987CUSTOMERID"),
        ("!CUSTOMERID", "CUSTOMERID"),
        ("  a", "a"),
        ("日本", ""),
    ],
)
def test_names_become_what_the_specification_shows(source: str, name: str) -> None:
    assert canonical(source, RULES.column_name) == name


@given(data=st.data())
def test_hostile_values_of_every_type_can_be_built(data: st.DataObject) -> None:
    kind = data.draw(types())
    plain_rows = data.draw(st.lists(values(kind), max_size=5))
    array = build(kind, plain_rows)
    assert len(array) == len(plain_rows)
    array.validate()
    if not pa.types.is_union(kind) and "union" not in str(kind):
        assert [value.is_valid for value in array] == [row is not None for row in plain_rows]
