"""Property tests: whatever Arrow comes in, DuckDB and PostgreSQL hold what the row-by-row model says.

A value that differs from its source has to be in `_sdc_rejected`: the model knows each, and `differences` names those
that are not told.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contracts.examples import Warehouse

from lockstitch.core.model import Batch, Checkpoint, Publish, RowKind, Stream, Version
from lockstitch.testing.contract.shop import Database
from lockstitch.testing.hostile import Script, scripts

_SETTINGS: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}
#: The short test draws the same scripts each time, so that a change is what breaks it; the long one draws new ones.
_SHORT = settings(max_examples=25, derandomize=True, **_SETTINGS)
_LONG = settings(max_examples=1_000, **_SETTINGS)


def _cuts(script: Script) -> st.SearchStrategy[list[Any]]:
    cursors = [message.cursor for message in script.messages if isinstance(message, Checkpoint)]
    chosen = st.lists(st.sampled_from(cursors), max_size=3, unique=True) if cursors else st.just([])
    return chosen.map(lambda cuts: sorted(cuts, key=cursors.index))


def _agrees(database: Database, data: st.DataObject) -> None:
    script = data.draw(scripts())
    cuts = data.draw(_cuts(script))
    warehouse = Warehouse(database, rows=data.draw(st.sampled_from([1, 1_000_000])))
    warehouse.run([script.stream], script.messages, *cuts)
    assert warehouse.disagreements([script.stream], script.messages) == []


@_SHORT
@given(data=st.data())
def test_any_rows_in_any_cut_land_as_the_model_says(warehouse: Database, data: st.DataObject) -> None:
    _agrees(warehouse, data)


def test_children_of_rows_older_than_a_version_of_the_same_load_are_left_out(warehouse: Database) -> None:
    """Found by the long test: their new table looked as if nothing could be in their way."""

    def batch(kind: RowKind, sequence: list[int], **columns: list[Any]) -> Batch:
        return Batch("orders", pa.record_batch(columns), kind, pa.array(sequence, pa.int64()))

    script = [
        Version("orders", 1000),
        batch("upsert", [75, 94], id=[1, 1]),
        Publish("orders", 1000),
        batch("upsert", [70, 95], id=[1, 2], tags=[["old"], ["new"]]),
        Checkpoint(1),
    ]
    stream = Stream("orders", (), ("id",))
    into = Warehouse(warehouse)
    into.run([stream], script)
    assert into.disagreements([stream], script) == []


def test_a_version_with_a_key_of_another_type_begins_in_the_load_that_publishes_the_one_before(
    warehouse: Database,
) -> None:
    """Found by the long test: what the new version would rename was taken for renamed in the old one, too."""

    def batch(**columns: list[Any]) -> Batch:
        return Batch("orders", pa.record_batch(columns))

    script = [
        Version("orders", 1000),
        batch(id=[3, 1, 3], tags=[["a"], ["b"], ["c"]]),
        Checkpoint(1),
        Publish("orders", 1000),
        Version("orders", 1001),
        batch(id=["2"]),
        Checkpoint(2),
        Publish("orders", 1001),
        Checkpoint(3),
    ]
    stream = Stream("orders", (), ("id",))
    into = Warehouse(warehouse, rows=1)
    into.run([stream], script, 1, 2)
    assert into.disagreements([stream], script) == []


def test_versions_with_keys_of_other_types_follow_each_other(warehouse: Database) -> None:
    """Found by the long test: what is renamed after a first publish, and subtables that know no key of the new type."""

    def batch(**columns: list[Any]) -> Batch:
        return Batch("orders", pa.record_batch(columns))

    script = [
        Version("orders", 1000),
        batch(id=["1"], tags=[["a"]]),
        Checkpoint(1),
        Publish("orders", 1000),
        Version("orders", 1001),
        batch(id=[1, 2]),
        Publish("orders", 1001, "mark_deleted"),
        Checkpoint(2),
        batch(id=[2, 3]),
        Checkpoint(3),
    ]
    stream = Stream("orders", (), ("id",))
    into = Warehouse(warehouse, rows=1)
    into.run([stream], script, 1, 2)
    assert into.disagreements([stream], script) == []


@pytest.mark.long
@_LONG
@given(data=st.data())
def test_any_rows_in_any_cut_land_as_the_model_says_a_thousand_times(warehouse: Database, data: st.DataObject) -> None:
    _agrees(warehouse, data)
