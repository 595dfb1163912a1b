"""Marks, fences and loads that end early."""

from __future__ import annotations

from typing import Any

import pytest

from lockstitch.core.errors import AccessError, Superseded
from lockstitch.core.model import AddColumn, LedgerRow, Load, Mark, Step
from lockstitch.testing.contract.shop import CONNECTION, LANE, SCHEMA, Database, Shop, reader

CURSORS: list[Any] = [
    None,
    "",
    0,
    [],
    {"file": "sync_124/users/part-1.avro", "nested": {"list": [1, None, 2.5, True], "größe": "日本 🧵 \"'\\\u0001"}},
    2**63 - 1,
]


class MarksContract:
    """The mark commits with the rows, and only one of two runs can commit."""

    def test_check_passes_and_leaves_nothing(self, database: Database) -> None:
        database.open().check()
        assert not database.open().marks(CONNECTION)

    def test_marks_of_a_fresh_database_are_none_and_reading_them_creates_nothing(self, database: Database) -> None:
        assert database.open().marks(CONNECTION) == {}
        schemas = database.sql("select schema_name from information_schema.schemata")
        assert "_lockstitch" not in {row[0] for row in schemas}

    def test_open_twice_changes_nothing(self, shop: Shop) -> None:
        shop.given(shop.create("orders", {"id": "integer"}, ["id"]), [shop.row(id=1)])
        before = (shop.mark, shop.table("orders"), shop.held("orders"))
        shop.destination.open(CONNECTION, SCHEMA)
        assert (shop.mark, shop.table("orders"), shop.held("orders")) == before

    @pytest.mark.parametrize("cursor", CURSORS, ids=repr)
    def test_a_mark_comes_back_as_it_was_written(self, shop: Shop, cursor: Any) -> None:
        mark = Mark(3, 7, cursor, 2**63 - 1, {"orders": 1_700_000_000_000, "größe": 0})
        shop.load(mark=mark)
        assert shop.mark == mark
        assert shop.again().mark == mark

    def test_lanes_and_connections_have_marks_of_their_own(self, database: Database) -> None:
        Shop(database, "a").load(mark=Mark(1, 1, "a"))
        Shop(database, "b").load(mark=Mark(1, 1, "b"))
        destination = database.open()
        destination.open("other", SCHEMA)
        destination.adopt("other", "a", Mark(1, 1, "other"), None)
        assert {lane: mark.cursor for lane, mark in destination.marks(CONNECTION).items()} == {"a": "a", "b": "b"}
        assert {lane: mark.cursor for lane, mark in destination.marks("other").items()} == {"a": "other"}

    @pytest.mark.parametrize("expected", [None, Mark(1, 1, "x"), Mark(1, 3, "x"), Mark(2, 2, "x")], ids=repr)
    def test_a_load_after_another_mark_is_superseded_and_leaves_no_trace(
        self, shop: Shop, expected: Mark | None
    ) -> None:
        orders = shop.create("orders", {"id": "integer"}, ["id"])
        shop.given(orders, [shop.row(id=1)])
        shop.load(mark=Mark(1, 2, "x"))
        before = _trace(shop)
        step = Step("orders", "upsert", orders.columns, ("id",))
        zombie = shop.database.open()
        zombie.open(CONNECTION, SCHEMA)
        load = Load(CONNECTION, LANE, (step,), (AddColumn("orders", shop.column("late", "string")),))

        def load_late() -> None:
            with zombie.begin(load, expected) as writer:
                writer.write(step, reader(step.columns, [shop.row(id=2)]))
                writer.commit(Mark(1, 3, "zombie"), [LedgerRow("orders", read=1)])

        with pytest.raises(Superseded):
            load_late()
        assert _trace(shop) == before

    def test_no_mark_where_one_is_expected_is_superseded(self, shop: Shop) -> None:
        with (
            pytest.raises(Superseded),
            shop.destination.begin(Load(CONNECTION, LANE, ()), Mark(1, 1, None)) as writer,
        ):
            writer.commit(Mark(1, 2, None), [])
        assert shop.mark is None

    def test_of_two_loads_at_once_the_second_to_commit_loses(self, shop: Shop) -> None:
        """A zombie was woken: it has staged its rows, meanwhile another run has committed."""
        if shop.destination.capabilities.exclusive:
            pytest.skip("one run at a time has the database: there are no two loads at once")
        orders = shop.create("orders", {"id": "integer"}, ["id"])
        shop.given(orders, [shop.row(id=1)])
        step = Step("orders", "upsert", orders.columns, ("id",))
        after, other = shop.mark, shop.again()

        def load_while_another_commits() -> None:
            with shop.destination.begin(Load(CONNECTION, LANE, (step,)), after) as writer:
                writer.write(step, reader(step.columns, [shop.row(id=2)]))
                other.load((step, [other.row(id=3)]), mark=Mark(1, 2, "winner"))
                writer.commit(Mark(1, 2, "zombie"), [LedgerRow("orders", read=1)])

        with pytest.raises(Superseded):
            load_while_another_commits()
        assert shop.tuples("orders", "id") == [(1,), (3,)]
        assert shop.mark == Mark(1, 2, "winner")

    def test_a_load_left_uncommitted_leaves_no_trace(self, shop: Shop) -> None:
        orders = shop.create("orders", {"id": "integer", "a": "string"}, ["id"])
        shop.given(orders, [shop.row(id=1)])
        before = _trace(shop)
        self._abandon(shop)
        assert _trace(shop) == before
        assert _trace(shop.again()) == before

    def test_after_an_abandoned_load_the_same_load_succeeds(self, shop: Shop) -> None:
        orders = shop.create("orders", {"id": "integer", "a": "string"}, ["id"])
        shop.given(orders, [shop.row(id=1)])
        self._abandon(shop)
        upsert = Step("orders", "upsert", (*orders.columns, shop.column("late", "string")), ("id",))
        shop.load((upsert, [shop.row(id=2, late="x")]), changes=[AddColumn("orders", shop.column("late", "string"))])
        assert shop.tuples("orders", "id", "late") == [(1, None), (2, "x")]

    def _abandon(self, shop: Shop) -> None:
        orders = shop.table("orders")
        assert orders is not None
        wider = (*orders.columns, shop.column("late", "string"))
        new = shop.create("new", {"id": "integer"}, ["id"])
        steps = (
            Step("orders", "upsert", wider, ("id",)),
            Step("new", "append", new.columns),
            Step("orders", "replace", wider, ("id",)),
        )
        changes = (AddColumn("orders", shop.column("late", "string")), new)
        with shop.destination.begin(Load(CONNECTION, LANE, steps, changes), shop.mark) as writer:
            writer.write(steps[0], reader(steps[0].columns, [shop.row(id=1, late="lost")]))
            writer.write(steps[1], reader(steps[1].columns, [shop.row(id=1)]))
            writer.write(steps[2], reader(steps[2].columns, [shop.row(id=9)]))

    def test_an_error_in_the_middle_leaves_no_trace_and_is_passed_on(self, shop: Shop) -> None:
        orders = shop.create("orders", {"id": "integer"}, ["id"])
        shop.given(orders, [shop.row(id=1)])
        before = _trace(shop)
        step = Step("orders", "append", orders.columns)

        def load_and_fail() -> None:
            with shop.destination.begin(Load(CONNECTION, LANE, (step,)), shop.mark) as writer:
                writer.write(step, reader(step.columns, [shop.row(id=2)]))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            load_and_fail()
        assert _trace(shop) == before

    def test_adopt_writes_a_mark_without_rows(self, shop: Shop) -> None:
        mark = Mark(1, 1, {"taken": "over"}, 5, {"orders": 3})
        shop.destination.adopt(CONNECTION, LANE, mark, None)
        assert shop.mark == mark

    def test_adopt_is_fenced_like_a_load(self, shop: Shop) -> None:
        first = Mark(1, 1, "first")
        shop.destination.adopt(CONNECTION, LANE, first, None)
        with pytest.raises(Superseded):
            shop.destination.adopt(CONNECTION, LANE, Mark(1, 1, "second"), None)
        assert shop.mark == first

    def test_after_a_reset_the_run_of_the_epoch_before_is_superseded(self, shop: Shop) -> None:
        shop.load(mark=Mark(1, 1, "x"))
        before = shop.mark
        shop.destination.adopt(CONNECTION, LANE, Mark(2, 1, None), before)
        with (
            pytest.raises(Superseded),
            shop.destination.begin(Load(CONNECTION, LANE, ()), before) as writer,
        ):
            writer.commit(Mark(1, 2, "old run"), [])
        assert shop.mark == Mark(2, 1, None)

    def test_tables_of_a_newer_format_are_refused(self, shop: Shop) -> None:
        shop.load()
        self.make_format_newer(shop.database)
        newer = shop.database.open()
        with pytest.raises(AccessError) as refused:
            newer.open(CONNECTION, SCHEMA)
        assert refused.value.hint

    def make_format_newer(self, database: Database) -> None:
        """Pretend that a later release has written our own tables; overridden where they are others."""
        database.sql("update _lockstitch.format set version = 999")


def _trace(shop: Shop) -> tuple[Any, ...]:
    """Return all that a load could have left behind."""
    tables = {(table.name, table.version): table for table in shop.destination.tables()}
    rows = {name: shop.held(name) for name, version in tables if version is None}
    return shop.mark, tables, rows, shop.destination.ledger(CONNECTION)
