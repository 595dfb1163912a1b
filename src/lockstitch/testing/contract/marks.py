"""Marks, fences and loads that end early."""

from __future__ import annotations

from typing import Any

import pytest

from lockstitch.core.errors import Superseded
from lockstitch.core.loads import AddColumn, LedgerRow, Load, Step
from lockstitch.core.model import Mark
from lockstitch.testing.contract.fences import FencesContract
from lockstitch.testing.contract.shop import CONNECTION, LANE, SCHEMA, Database, Shop, reader


class MarksContract(FencesContract):
    """The mark commits with the rows, and only one of two runs can commit."""

    def test_marks_of_a_fresh_database_are_none_and_reading_them_creates_nothing(self, database: Database) -> None:
        assert database.open().marks(CONNECTION) == {}
        schemas = database.sql("select schema_name from information_schema.schemata")
        assert "_lockstitch" not in {row[0] for row in schemas}

    def test_open_twice_changes_nothing(self, shop: Shop) -> None:
        shop.given(shop.create("orders", {"id": "integer"}, ["id"]), [shop.row(id=1)])
        before = (shop.mark, shop.table("orders"), shop.held("orders"))
        shop.destination.open(CONNECTION, SCHEMA)
        assert (shop.mark, shop.table("orders"), shop.held("orders")) == before

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


def _trace(shop: Shop) -> tuple[Any, ...]:
    """Return all that a load could have left behind."""
    tables = {(table.name, table.version): table for table in shop.destination.tables()}
    rows = {name: shop.held(name) for name, version in tables if version is None}
    return shop.mark, tables, rows, shop.destination.ledger(CONNECTION)
