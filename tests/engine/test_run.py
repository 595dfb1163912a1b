"""The loop: what lands, what is told, and what another run finds, with real loads into DuckDB."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import duckdb
import pyarrow as pa
import pytest
from tests.engine.scripted import House, Script, Scripted, batch

from lockstitch.core.errors import SettingsError, SourceDataError, Superseded
from lockstitch.core.loads import LedgerRow
from lockstitch.core.model import Batch, Checkpoint, Json, Lane, Mark, Message, Publish, Stream, Version
from lockstitch.core.rules import Rules
from lockstitch.destinations.duckdb.destination import DuckDB
from lockstitch.destinations.duckdb.rules import RULES
from lockstitch.engine.events import Event, LoadCommitted, SchemaChanged, Waiting, Warned
from lockstitch.engine.forecast import forecast
from lockstitch.engine.moves import adopt, reset
from lockstitch.engine.run import RunResult, run_pipeline
from lockstitch.engine.verify import verify


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def first_fill(number: int = 1000) -> Script:
    return [
        Version("orders", number),
        batch({"id": 1, "name": "a"}, {"id": 2, "name": "b"}),
        Publish("orders", number),
        Checkpoint(1),
    ]


def errors(result: RunResult) -> list[str]:
    return [type(lane.error).__name__ for lane in result.lanes if lane.error is not None]


def test_a_first_version_becomes_the_table(house: House):
    source = Scripted(first_fill())
    result = house.run(source)
    assert result.verdict is None
    assert house.rows() == [(1, "a", 1000), (2, "b", 1000)]
    assert source.told == [1]


@pytest.mark.parametrize("before", [(), ("name",)], ids=["no key", "another key"])
def test_rows_that_are_appended_for_want_of_the_tables_key_are_told(house: House, before: tuple[str, ...]):
    first: Script = [batch({"id": 1, "name": "a"}), Checkpoint(1)]
    house.run(Scripted(first, before))
    later = Scripted([*first, batch({"id": 1, "name": "b"}), Checkpoint(2), batch({"id": 2}), Checkpoint(3)])
    told = "orders: table orders has not the key id that the source gives, so rows are appended to it"
    foreseen = forecast(later, house.destination(), house.job())
    assert [text for text in foreseen.reservations if text.startswith(told)]
    events: list[Event] = []
    house.run(later, events=events.append)
    assert [one.text.startswith(told) for one in events if isinstance(one, Warned)] == [True]
    assert house.query("select id, name from shop.orders order by all") == [(1, "a"), (1, "b"), (2, None)]


def test_a_key_that_the_table_has_needs_no_word(house: House):
    house.run(Scripted(first_fill()))
    later = Scripted([*first_fill(), batch({"id": 1, "name": "b"}), Checkpoint(2)])
    assert not [text for text in forecast(later, house.destination(), house.job()).reservations if "appended" in text]
    events: list[Event] = []
    house.run(later, events=events.append)
    assert not [one for one in events if isinstance(one, Warned)]


class Whole(Scripted):
    """`orders` is replicated in full, by versions."""

    def discover(self) -> Sequence[Stream]:
        return [replace(one, replication_method="FULL_TABLE") for one in super().discover()]


def test_a_version_has_its_own_key_whatever_the_table_has(house: House):
    house.run(Whole(first_fill(), ()))
    source = Whole(first_fill())
    assert not [text for text in forecast(source, house.destination(), house.job()).reservations if "appended" in text]


class TwoStreams(Scripted):
    """`orders` has arrays in `lines`; their subtable would have the name of the second stream's table."""

    def discover(self) -> Sequence[Stream]:
        return [*super().discover(), Stream("orders__lines", (), ("id",))]


LINES = pa.RecordBatch.from_pylist([{"id": 7, "note": "own"}])
CLASH: Script = [batch({"id": 1, "lines": [{"sku": "x"}]}), Batch("orders__lines", LINES), Checkpoint(1)]


@pytest.mark.parametrize("script", [CLASH, [CLASH[1], CLASH[0], CLASH[2]]], ids=["orders first", "lines first"])
def test_a_subtable_leaves_another_streams_table_alone(house: House, script: Script):
    result = house.run(TwoStreams(script))
    assert result.verdict is None
    assert [lane.adjusted for lane in result.lanes] == [1]
    assert house.query("select id, note from shop.orders__lines") == [(7, "own")]
    assert house.query("select id from shop.orders") == [(1,)]
    assert house.query("select table_name, reason from shop._sdc_rejected") == [
        ("orders__lines", "Field collision on orders__lines")
    ]


def test_a_subtable_leaves_a_users_table_alone(house: House):
    house.run(Scripted(first_fill()))
    with duckdb.connect(str(house.file)) as db:
        db.execute("create table shop.orders__lines as select 'mine' as word")
    result = house.run(Scripted([*first_fill(), batch({"id": 3, "lines": [{"sku": "x"}]}), Checkpoint(2)]))
    assert (result.verdict, [lane.adjusted for lane in result.lanes]) == (None, [1])
    assert house.query("select * from shop.orders__lines") == [("mine",)]


def test_a_stream_does_not_take_over_a_subtable(house: House):
    house.run(Scripted([CLASH[0], CLASH[2]]))
    result = house.run(TwoStreams([CLASH[0], Checkpoint(1), Batch("orders__lines", LINES), Checkpoint(2)]))
    (error,) = (lane.error for lane in result.lanes)
    assert isinstance(error, SettingsError)
    assert "a subtable of 'orders'" in error.message
    assert house.query("select sku from shop.orders__lines") == [("x",)]


def test_rows_after_a_version_replace_those_of_their_key(house: House):
    more = [batch({"id": 2, "name": "B"}), batch({"id": 3, "name": "c"}, {"id": 3, "name": "C"}), Checkpoint(2)]
    house.run(Scripted([*first_fill(), *more]))
    assert house.rows() == [(1, "a", 1000), (2, "B", 1000), (3, "C", 1000)]


def test_a_run_with_nothing_new_commits_nothing(house: House):
    source = Scripted(first_fill())
    house.run(source)
    before = house.destination().marks("c1")
    result = house.run(source)
    assert [lane.loads for lane in result.lanes] == [0]
    assert house.destination().marks("c1") == before


def test_a_version_of_many_loads_is_invisible_until_published(house: House):
    house.run(Scripted(first_fill()))
    stopped = [
        *first_fill(),
        Version("orders", 2000),
        batch({"id": 7, "name": "x"}),
        Checkpoint(2),
        batch({"id": 8, "name": "y"}),
        Checkpoint(3),
        SourceDataError("the file is cut", hint="-"),
    ]
    assert errors(house.run(Scripted(stopped), rows=1)) == ["SourceDataError"]
    assert house.rows() == [(1, "a", 1000), (2, "b", 1000)]
    resumed = [
        *stopped[:-1],
        batch({"id": 7, "name": "later"}, {"id": 9, "name": "z"}),
        Publish("orders", 2000),
        Checkpoint(4),
    ]
    assert errors(house.run(Scripted(resumed), rows=1)) == []
    assert house.rows() == [(7, "later", 2000), (8, "y", 2000), (9, "z", 2000)]
    assert house.query("select table_name from duckdb_tables() where starts_with(table_name, '_sdc_generation')") == []


def test_a_run_with_nothing_new_removes_what_a_dead_one_left(house: House):
    source = Scripted(first_fill())
    assert house.run(source).verdict is None
    dead = house.job().home / "spool" / "run-dead"
    dead.mkdir()
    assert house.run(source).verdict is None
    assert not dead.exists()


def test_an_abandoned_version_leaves_nothing(house: House):
    script = [
        *first_fill(),
        Version("orders", 2000),
        batch({"id": 7, "name": "x"}),
        Checkpoint(2),
        Version("orders", 3000),
        batch({"id": 5, "name": "five"}),
        Checkpoint(3),
        Publish("orders", 3000),
        Checkpoint(4),
    ]
    assert errors(house.run(Scripted(script), rows=1)) == []
    assert house.rows() == [(5, "five", 3000)]
    assert house.query("select count(*) from _lockstitch.generations") == [(0,)]
    assert house.query("select table_name from duckdb_tables() where starts_with(table_name, '_sdc_generation')") == []


def test_an_empty_version_empties_table_and_subtables(house: House):
    script = [
        Version("orders", 1),
        batch({"id": 1, "items": [{"sku": "a"}]}),
        Publish("orders", 1),
        Checkpoint(1),
        Version("orders", 2),
        Publish("orders", 2),
        Checkpoint(2),
    ]
    house.run(Scripted(script), rows=1)
    assert house.rows() == []
    assert house.rows("orders__items") == []


def test_what_lies_before_a_failure_lands(house: House):
    house.run(Scripted([batch({"id": 1, "name": "a"}), Checkpoint(1)]))
    script = [
        batch({"id": 1, "name": "a"}),
        Checkpoint(1),
        batch({"id": 2, "name": "b"}),
        Checkpoint(2),
        batch({"id": 3, "name": "half a file"}),
        SourceDataError("the file is cut", hint="-"),
    ]
    assert errors(house.run(Scripted(script))) == ["SourceDataError"]
    assert house.rows(columns="id") == [(1,), (2,)]
    assert house.destination().marks("c1")["orders"].cursor == 2


def test_a_failure_right_after_a_checkpoint_costs_no_second_reading(house: House):
    asked: list[Json] = []

    class Asked(Scripted):
        def read(self, lane: Lane, cursor: Json) -> Iterator[Message]:
            asked.append(cursor)
            return super().read(lane, cursor)

    script = [
        batch({"id": 1, "name": "a"}),
        Checkpoint(1),
        batch({"id": 2, "name": "b"}),
        Checkpoint(2),
        SourceDataError("the next file is not there", hint="-"),
    ]
    assert errors(house.run(Asked(script))) == ["SourceDataError"]
    assert asked == [None]
    assert house.destination().marks("c1")["orders"].cursor == 2
    assert errors(house.run(Asked([*script[:-1], batch({"id": 3, "name": "c"}), Checkpoint(3)]))) == []
    assert asked == [None, 2]
    assert house.rows(columns="id") == [(1,), (2,), (3,)]


def test_children_go_with_the_parent_that_is_sent_again(house: House):
    house.run(
        Scripted(
            [batch({"id": 1, "items": [{"sku": "a"}, {"sku": "b"}]}, {"id": 2, "items": [{"sku": "c"}]}), Checkpoint(1)]
        )
    )
    house.run(Scripted([Checkpoint(1), batch({"id": 1, "name": "no items left"}), Checkpoint(2)]))
    assert house.rows("orders__items", "_sdc_source_key_id, _sdc_level_0_id, sku") == [(2, 0, "c")]


def test_of_two_runs_from_one_mark_the_second_to_commit_loses(house: House):
    """A zombie: it has read and laid out its rows, sleeps, and wakes up when another run has committed."""
    house.run(Scripted(first_fill()))
    more = [*first_fill(), batch({"id": 3, "name": "c"}), Checkpoint(2)]

    class Sleeper(Scripted):
        def read(self, lane: Lane, cursor: Json) -> Iterator[Message]:
            messages = list(super().read(lane, cursor))
            assert errors(house.run(Scripted(more))) == []
            yield from messages

    result = house.run(Sleeper(more))
    assert isinstance(result.lanes[0].error, Superseded)
    assert result.verdict == "retry"
    assert house.rows(columns="id") == [(1,), (2,), (3,)]


def test_a_reset_reads_again_and_replaces_only_when_complete(house: House):
    house.run(Scripted(first_fill()))
    reset(Scripted(first_fill()), house.destination(), house.job(), "orders")
    assert house.rows(columns="id") == [(1,), (2,)]
    again = [Version("orders", 2000), batch({"id": 9, "name": "new"}), Publish("orders", 2000), Checkpoint(1)]
    house.run(Scripted(again))
    assert house.rows() == [(9, "new", 2000)]
    mark = house.destination().marks("c1")["orders"]
    assert (mark.epoch, mark.number, mark.versions) == (2, 3, {"orders": 2000})


def test_a_state_taken_over_goes_on_where_the_tap_stopped(house: House):
    class Tapped(Scripted):
        def cursors(self, state: dict[str, dict[str, int]]):
            return {"orders": state["bookmarks"]["orders"]}

        def versions(self, lane: Lane, cursor: Json):
            return {"orders": 1_607_032_341_846}

    source = Tapped([batch({"id": 1}), Checkpoint(1), batch({"id": 2}), Checkpoint(2)])
    mark = Mark(1, 1, 1, versions={"orders": 1_607_032_341_846})
    assert adopt(source, house.destination(), house.job(), {"bookmarks": {"orders": 1}}) == {"orders": mark}
    house.run(source)
    assert house.rows(columns="id, _sdc_table_version") == [(2, 1_607_032_341_846)]


def test_another_key_is_appended_from_then_on(house: House):
    house.run(Scripted([batch({"id": 1, "part": 1}), Checkpoint(1)]))
    told: list[Event] = []
    other = Scripted([Checkpoint(1), batch({"id": 1, "part": 1}, {"id": 1, "part": 1}), Checkpoint(2)], ("id", "part"))
    house.run(other, events=told.append)
    assert house.rows(columns="id, part") == [(1, 1)] * 3
    assert any("key dropped" in event.text for event in told if isinstance(event, SchemaChanged))


def test_a_table_without_a_key_is_appended_to(house: House):
    house.run(Scripted([batch({"n": 1}, {"n": 1}), Checkpoint(1), batch({"n": 1}), Checkpoint(2)], ()))
    rows = house.rows(columns="n, __sdc_primary_key")
    assert [row[0] for row in rows] == [1, 1, 1]
    assert len({row[1] for row in rows}) == 3


def test_the_sequence_rises_within_a_run_and_over_runs(house: House):
    source = Scripted([batch({"id": 1}, {"id": 2}), Checkpoint(1), batch({"id": 3}), Checkpoint(2)])
    house.run(Scripted(source.script[:2]))
    house.run(source)
    numbers = [row[0] for row in house.query("select _sdc_sequence from shop.orders order by id")]
    assert numbers == sorted(set(numbers))
    assert house.destination().marks("c1")["orders"].sequence == numbers[-1]


def ledger_of(events: Sequence[Event]) -> dict[str, LedgerRow]:
    return {row.table: row for event in events if isinstance(event, LoadCommitted) for row in event.tables}


def test_every_load_accounts_for_what_it_read(house: House):
    house.run(Scripted(first_fill()))
    told: list[Event] = []
    more = [
        *first_fill(),
        batch({"id": 2, "name": "B"}, {"id": 3}, {"id": 3}, {"id": None, "name": "nobody"}),
        Checkpoint(2),
    ]
    house.run(Scripted(more), events=told.append)
    row = ledger_of(told)["orders"]
    assert (row.read, row.inserted, row.updated, row.superseded, row.rejected) == (4, 1, 1, 1, 1)
    assert house.query("select reason, record from shop._sdc_rejected") == [("Key is null on id", '{"name": "nobody"}')]
    stored = [found for _, _, found in house.destination().ledger("c1") if found.table == "orders"]
    assert stored[-1] == row


def test_verify_by_ledger_finds_a_row_that_was_taken_away(house: House):
    source = Scripted(first_fill())
    house.run(source)
    [verdict] = verify(source, house.destination(), house.job())
    assert (verdict.grade, verdict.rows, verdict.expected, verdict.holds) == ("ledger", 2, 2, True)
    with duckdb.connect(str(house.file)) as db:
        db.execute("delete from shop.orders where id = 1")
    [verdict] = verify(source, house.destination(), house.job())
    assert (verdict.rows, verdict.expected, verdict.holds) == (1, 2, False)


def test_a_file_in_use_is_waited_for(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lockstitch.engine.patience.WAITS", (0.05,) * 40)
    code = f"import duckdb, time; db = duckdb.connect({str(house.file)!r}); print('open', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        told: list[Event] = []

        def hear(event: Event) -> None:
            told.append(event)
            if isinstance(event, Waiting):
                holder.kill()

        assert house.run(Scripted(first_fill()), events=hear).verdict is None
    assert f"(process {holder.pid})" in next(event.text for event in told if isinstance(event, Waiting))
    assert len(house.rows()) == 2


def unversioned(*names: str) -> Script:
    return [message for at, name in enumerate(names, 1) for message in (batch({"name": name}), Checkpoint(at))]


class Beside(DuckDB):
    """Says of itself that it works beside the run."""

    rules: ClassVar[Rules] = replace(RULES, idle_bytes=1)


@pytest.mark.parametrize(("destination", "first"), [(DuckDB, 2), (Beside, 0)])
def test_loads_are_cut_early_for_a_destination_that_would_idle(house: House, destination: type[DuckDB], first: int):
    script = [message for at in range(3) for message in (batch({"id": at}), Checkpoint(at))]
    source = Scripted(script)
    assert run_pipeline(source, destination(house.file), house.job()).verdict is None
    assert source.told[0] == first
    assert source.told[-1] == 2


BROKEN = SourceDataError("the file is cut", hint="-")


@pytest.mark.parametrize(("key", "loads"), [(("id",), 2), ((), 0)])
def test_what_nobody_sees_yet_waits_for_no_checkpoint(house: House, key: tuple[str, ...], loads: int):
    """Rows with a key are committed while more is read; after a failure they come again. Others would double."""
    old = [batch({"id": at, "name": "old"}) for at in (1, 2, 3)]
    assert errors(house.run(Scripted([*old, BROKEN], key), rows=1)) == ["SourceDataError"]
    mark = house.destination().marks("c1").get("orders")
    assert (0 if mark is None else mark.number) == loads
    assert mark is None or mark.cursor is None
    tables = house.query("select table_name from duckdb_tables() where schema_name = 'shop'")
    assert all(name.startswith(("_sdc_generation", "_sdc_rejected")) for (name,) in tables)
    again = Scripted([*old[1:], batch({"id": 4, "name": "new"}), Checkpoint(1)], key)
    assert house.run(again, rows=1).verdict is None
    assert [row[:2] for row in house.rows()] == [(2, "old"), (3, "old"), (4, "new")]
    assert set(again.told) == {1}


def test_what_came_after_a_checkpoint_comes_again_into_the_same_version(house: House):
    begun = [Version("orders", 2000), batch({"id": 7, "name": "x"}), Checkpoint(1)]
    stopped = Scripted([*begun, batch({"id": 8, "name": "early"}), batch({"id": 9, "name": "not yet"}), BROKEN])
    assert errors(house.run(stopped, rows=1)) == ["SourceDataError"]
    resumed = [*begun, batch({"id": 8, "name": "late"}), Publish("orders", 2000), Checkpoint(2)]
    assert house.run(Scripted(resumed), rows=1).verdict is None
    assert house.rows() == [(7, "x", 2000), (8, "late", 2000)]


def test_a_reset_of_a_stream_without_versions_replaces_its_rows(house: House):
    source = Scripted(unversioned("a", "b"), ())
    house.run(source)
    reset(source, house.destination(), house.job(), "orders")
    again = Scripted(unversioned("a", "c"), ())
    house.run(again, rows=1)
    assert house.rows(columns="name, _sdc_table_version") == [("a", 0), ("c", 0)]
    assert house.destination().marks("c1")["orders"].versions == {}
    house.run(Scripted([*unversioned("a", "c"), batch({"name": "d"}), Checkpoint(3)], ()))
    assert house.rows(columns="name") == [("a",), ("c",), ("d",)]


def test_a_first_fill_without_versions_goes_on_after_a_failure(house: House):
    script = [*unversioned("a", "b"), SourceDataError("the file is cut", hint="-")]
    house.run(Scripted(script, ()), rows=1)
    assert house.query("select table_name from duckdb_tables() where table_name = 'orders'") == []
    house.run(Scripted(unversioned("a", "b", "c"), ()), rows=1)
    assert house.rows(columns="name") == [("a",), ("b",), ("c",)]


def test_a_version_that_was_begun_before_a_reset_begins_empty_after_it(house: House):
    begun = [Version("orders", 5), batch({"name": "a", "tags": [1]}), Checkpoint(1)]
    house.run(Scripted([*begun, SourceDataError("the file is cut", hint="-")], ()))
    reset(Scripted(begun, ()), house.destination(), house.job(), "orders")
    house.run(Scripted([*begun, batch({"name": "b"}), Publish("orders", 5), Checkpoint(2)], ()), rows=1)
    assert house.rows(columns="name") == [("a",), ("b",)]
    assert house.rows("orders__tags", "value") == [(1,)]
    assert house.query("select count(*) from _lockstitch.generations") == [(0,)]


def test_a_reset_of_a_stream_that_is_empty_now_empties_the_table(house: House):
    house.run(Scripted(unversioned("a"), ()))
    reset(Scripted(unversioned("a"), ()), house.destination(), house.job(), "orders")
    house.run(Scripted([Checkpoint(1)], ()))
    assert house.rows() == []


def test_a_reset_that_is_interrupted_replaces_what_only_the_next_run_comes_to(house: House):
    """The failure comes after a commit, and before any row of the stream."""
    house.run(Scripted(unversioned("a", "b"), ()))
    reset(Scripted((), ()), house.destination(), house.job(), "orders")
    assert errors(house.run(Scripted([Checkpoint(1), BROKEN], ()))) == ["SourceDataError"]
    assert house.rows(columns="name") == [("a",), ("b",)]
    house.run(Scripted([Checkpoint(1), batch({"name": "c"}), Checkpoint(2)], ()))
    assert house.rows(columns="name") == [("c",)]
    assert house.destination().marks("c1")["orders"].versions == {}


def test_a_version_that_a_reset_comes_to_in_the_next_run_goes_on_after_a_third(house: House):
    """The source's own version takes the place of the one that the reset has begun, and keeps its rows."""
    house.run(Scripted(first_fill()))
    reset(Scripted(()), house.destination(), house.job(), "orders")
    begun = [Checkpoint(1), Version("orders", 9), batch({"id": 7, "name": "x"}), Checkpoint(2)]
    for script in ([begun[0], BROKEN], [*begun, BROKEN]):
        assert errors(house.run(Scripted(script), rows=1)) == ["SourceDataError"]
    house.run(Scripted([*begun, batch({"id": 8, "name": "y"}), Publish("orders", 9), Checkpoint(3)]), rows=1)
    assert house.rows() == [(7, "x", 9), (8, "y", 9)]


def test_a_failure_after_committed_loads_goes_on_from_them(house: House):
    """What the failing reading has found in vain must not be taken for what the destination has."""
    script = [
        Version("orders", 1),
        batch({"id": 1}),
        Checkpoint(1),
        batch({"id": 2, "late": "x"}),
        batch({"id": 3}, {"id": 4}),
        Checkpoint(2),
        Publish("orders", 1),
        Checkpoint(3),
        SourceDataError("the file is cut", hint="-"),
    ]
    assert errors(house.run(Scripted(script), rows=3)) == ["SourceDataError"]
    assert house.rows(columns="id, late") == [(1, None), (2, "x"), (3, None), (4, None)]


def test_decimals_of_several_scales_in_one_union_are_exact_or_rejected(house: House):
    # The second number, at the other's scale, needs 41 digits: Arrow's own cast would overflow without a word.
    long, fine = Decimal("123456789012345678901234567.5"), Decimal("1.12345678901234")
    branches = [pa.array([Decimal("1.25"), long], pa.decimal128(30, 2)), pa.array([fine], pa.decimal128(20, 14))]
    values = pa.UnionArray.from_dense(pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()), branches)
    rows = pa.RecordBatch.from_arrays([pa.array([1, 2, 3]), values], ["id", "v"])
    assert house.run(Scripted([Batch("orders", rows), Checkpoint(1)])).verdict is None
    assert house.rows(columns="id, v") == [(1, Decimal("1.25")), (2, fine)]
    ((reason,),) = house.query("select reason from shop._sdc_rejected")
    assert reason == f"decimal out of range for DuckDB on {long}0"
