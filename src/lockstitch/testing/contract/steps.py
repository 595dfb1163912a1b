"""What each step does to a table, and how it is counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lockstitch.core.loads import CreateTable, LedgerRow, Load, Step, StepCount
from lockstitch.core.model import Column
from lockstitch.testing.contract.shop import CONNECTION, LANE, THEN, Row, Shop, microseconds, reader


def _upsert(table: CreateTable, guarded: bool = False) -> Step:
    return Step(table.table, "upsert", table.columns, table.key, guarded=guarded)


#: A destination has a clock of its own.
_CLOCKS_APART = timedelta(minutes=1)


class StepsContract:
    """Append, upsert, replace, and several of them in one load."""

    @pytest.fixture
    def orders(self, shop: Shop) -> CreateTable:
        """Orders 1 and 2, with their key."""
        table = shop.create("orders", {"id": "integer", "name": "string", "price": "double"}, ["id"])
        shop.given(table, [shop.row(id=1, name="one", price=1.5), shop.row(id=2, name="two", price=2.5)])
        return table

    def test_append_adds_rows(self, shop: Shop) -> None:
        table = shop.create("log", {"line": "string"})
        counts = shop.load((Step("log", "append", table.columns), [shop.row(line="a")]), changes=[table])
        assert counts == [StepCount(inserted=1)]
        shop.load((Step("log", "append", table.columns), [shop.row(line="a"), shop.row(line="b")]))
        assert shop.tuples("log", "line") == [("a",), ("a",), ("b",)]

    def test_a_column_that_no_row_carries_is_null(self, shop: Shop) -> None:
        table = shop.create("log", {"line": "string", "level": "integer"})
        shop.load((Step("log", "append", table.columns), [shop.row(line="a")]), changes=[table])
        assert shop.tuples("log", "line", "level") == [("a", None)]

    def test_upsert_inserts_new_keys_and_replaces_whole_rows_of_known_ones(
        self, shop: Shop, orders: CreateTable
    ) -> None:
        counts = shop.load((_upsert(orders), [shop.row(id=2, name="TWO"), shop.row(id=3, price=3.5)]))
        assert shop.tuples("orders", "id", "name", "price") == [(1, "one", 1.5), (2, "TWO", None), (3, None, 3.5)]
        assert counts == [StepCount(inserted=1, updated=1)]

    def test_upsert_clears_a_column_that_the_step_does_not_have(self, shop: Shop, orders: CreateTable) -> None:
        narrow = tuple(column for column in orders.columns if column.name != "price")
        shop.load((Step("orders", "upsert", narrow, ("id",)), [shop.row(id=2, name="TWO")]))
        assert shop.tuples("orders", "id", "name", "price") == [(1, "one", 1.5), (2, "TWO", None)]

    def test_upsert_writes_the_system_columns_anew(self, shop: Shop, orders: CreateTable) -> None:
        row = shop.row(id=2, name="two")
        shop.load((_upsert(orders), [row]))
        assert (2, row["_sdc_sequence"]) in shop.tuples("orders", "id", "_sdc_sequence")

    def test_upsert_by_several_key_columns_of_several_types(self, shop: Shop) -> None:
        table = shop.create("points", {"id": "integer", "at": "date", "name": "string", "v": "boolean"}, ["name", "id"])
        shop.given(table, [shop.row(id=1, name="a", v=True), shop.row(id=1, name="b", v=True)])
        shop.load((_upsert(table), [shop.row(id=1, name="b", v=False), shop.row(id=2, name="a", v=False)]))
        assert shop.tuples("points", "id", "name", "v") == [(1, "a", True), (1, "b", False), (2, "a", False)]

    def test_keys_of_text_differ_by_case_by_trailing_space_and_by_accent(self, shop: Shop) -> None:
        table = shop.create("words", {"w": "string", "n": "integer"}, ["w"])
        words = ["a", "A", "a ", "", "ä", "a\u0308", "ß", "ss", "🧵", "0", "00"]
        shop.given(table, [shop.row(w=word, n=1) for word in words])
        shop.load((_upsert(table), [shop.row(w=word, n=2) for word in words]))
        assert shop.tuples("words", "w", "n") == sorted([(word, 2) for word in words], key=repr)

    def test_rows_of_one_step_may_come_in_several_writes_with_other_columns(
        self, shop: Shop, orders: CreateTable
    ) -> None:
        step, after, mark = _upsert(orders), shop.mark, shop.next_mark()
        with shop.destination.begin(Load(CONNECTION, LANE, (step,)), after) as writer:
            writer.write(step, reader(step.columns, [shop.row(id=3, name="three")]))
            writer.write(step, reader(step.columns, [shop.row(price=4.5, id=4)]))
            writer.write(step, reader(step.columns, []))
            counts = writer.commit(mark, [])
        assert list(counts) == [StepCount(inserted=2)]
        assert (3, "three", None) in shop.tuples("orders", "id", "name", "price")
        assert (4, None, 4.5) in shop.tuples("orders", "id", "name", "price")

    def test_ten_thousand_rows(self, shop: Shop) -> None:
        table = shop.create("many", {"id": "integer", "name": "string"}, ["id"])
        shop.given(table, [shop.row(id=n, name=f"first {n}") for n in range(10_000)])
        counts = shop.load((_upsert(table), [shop.row(id=n, name=f"second {n}") for n in range(5_000, 15_000)]))
        assert counts == [StepCount(inserted=5_000, updated=5_000)]
        expected = [(n, f"{'first' if n < 5_000 else 'second'} {n}") for n in range(15_000)]
        assert sorted(shop.tuples("many", "id", "name")) == expected

    def test_replace_makes_the_rows_the_whole_content(self, shop: Shop, orders: CreateTable) -> None:
        counts = shop.load((Step("orders", "replace", orders.columns, ("id",)), [shop.row(id=7, name="seven")]))
        assert shop.tuples("orders", "id", "name", "price") == [(7, "seven", None)]
        assert counts == [StepCount(inserted=1, total=1)]

    def test_replace_without_rows_empties_the_table(self, shop: Shop, orders: CreateTable) -> None:
        counts = shop.load((Step("orders", "replace", orders.columns, ("id",)), []))
        assert shop.held("orders") == []
        assert counts == [StepCount(total=0)]

    def test_replace_keeps_the_key_so_that_upserts_go_on(self, shop: Shop, orders: CreateTable) -> None:
        shop.load((Step("orders", "replace", orders.columns, ("id",)), [shop.row(id=7, name="seven")]))
        shop.load((_upsert(orders), [shop.row(id=7, name="SEVEN")]))
        assert shop.tuples("orders", "id", "name") == [(7, "SEVEN")]
        table = shop.table("orders")
        assert table is not None
        assert table.key == ("id",)

    def test_replace_with_mark_deleted_keeps_missing_rows_as_deleted(self, shop: Shop) -> None:
        table = shop.create("orders", {"id": "integer", "name": "string"}, ["id"], "_sdc_deleted_at")
        shop.given(table, [shop.row(id=1, name="one"), shop.row(id=2, name="two")])
        shop.load(
            (Step("orders", "replace", table.columns, ("id",), missing="mark_deleted"), [shop.row(id=2, name="TWO")])
        )
        assert shop.tuples("orders", "id", "name") == [(1, None), (2, "TWO")]
        deleted = {row["id"]: row["_sdc_deleted_at"] is not None for row in shop.held("orders")}
        assert deleted == {1: True, 2: False}

    def test_steps_of_one_load_are_applied_in_their_order(self, shop: Shop, orders: CreateTable) -> None:
        replace = Step("orders", "replace", orders.columns, ("id",))
        first, second = [shop.row(id=2, name="lost")], [shop.row(id=4, name="four"), shop.row(id=5, name="five")]
        third = [shop.row(id=5, name="FIVE"), shop.row(id=6, name="six")]
        counts = shop.load((_upsert(orders), first), (replace, second), (_upsert(orders), third))
        assert shop.tuples("orders", "id", "name") == [(4, "four"), (5, "FIVE"), (6, "six")]
        assert [(count.inserted, count.updated) for count in counts] == [(0, 1), (2, 0), (1, 1)]

    def test_upserts_of_two_tables_in_turn_see_each_others_order(self, shop: Shop, orders: CreateTable) -> None:
        other = shop.create("other", {"id": "integer", "name": "string"}, ["id"])
        shop.load(
            (_upsert(orders), [shop.row(id=1, name="1a")]),
            (_upsert(other), [shop.row(id=1, name="1b")]),
            (_upsert(orders), [shop.row(id=1, name="1c")]),
            (_upsert(other), [shop.row(id=1, name="1d")]),
            changes=[other],
        )
        assert shop.tuples("orders", "id", "name") == [(1, "1c"), (2, "two")]
        assert shop.tuples("other", "id", "name") == [(1, "1d")]

    @pytest.mark.parametrize(("sequence", "lands"), [(9, False), (10, True), (11, True)])
    def test_a_guarded_row_replaces_only_a_row_of_no_greater_sequence(
        self, shop: Shop, sequence: int, lands: bool
    ) -> None:
        table = shop.create("orders", {"id": "integer", "name": "string"}, ["id"])
        shop.given(table, [_numbered(shop, 10, id=1, name="stored"), _numbered(shop, 10, id=2, name="other")])
        rows = [_numbered(shop, sequence, id=1, name="sent"), _numbered(shop, 1, id=3, name="new")]
        counts = shop.load((_upsert(table, guarded=True), rows))
        assert shop.tuples("orders", "id", "name") == [(1, "sent" if lands else "stored"), (2, "other"), (3, "new")]
        assert counts == [StepCount(inserted=1, updated=int(lands), ignored=int(not lands))]

    def test_an_unguarded_row_replaces_a_row_of_a_greater_sequence(self, shop: Shop) -> None:
        table = shop.create("orders", {"id": "integer", "name": "string"}, ["id"])
        shop.given(table, [_numbered(shop, 10, id=1, name="stored")])
        shop.load((_upsert(table), [_numbered(shop, 3, id=1, name="sent")]))
        assert shop.tuples("orders", "id", "name") == [(1, "sent")]

    def test_a_deleted_row_is_a_row_like_any_other(self, shop: Shop) -> None:
        table = shop.create("orders", {"id": "integer", "name": "string"}, ["id"], "_sdc_deleted_at")
        shop.given(table, [shop.row(id=1, name="one")])
        shop.load((_upsert(table), [shop.row(id=1, _sdc_deleted_at=THEN)]))
        assert shop.tuples("orders", "id", "name", "_sdc_deleted_at") == [(1, None, microseconds(THEN))]
        shop.load((_upsert(table), [shop.row(id=1, name="again")]))
        assert shop.tuples("orders", "id", "name", "_sdc_deleted_at") == [(1, "again", None)]

    def test_rejects_are_appended_like_rows_and_are_no_table_of_the_user(self, shop: Shop, orders: CreateTable) -> None:
        text, at = shop.rules.types["string"].type, shop.rules.types["date"].type
        rejected = Step(
            shop.rules.rejected_table,
            "append",
            (Column("_sdc_rejected_at", at), *(Column(name, text) for name in ("table_name", "reason", "record"))),
        )
        row = {"_sdc_rejected_at": THEN, "table_name": "orders", "reason": "Field collision on id", "record": "{}"}
        shop.load((_upsert(orders), [shop.row(id=3)]), (rejected, [row]))
        assert shop.tuples(shop.rules.rejected_table, "table_name", "reason", "record") == [
            ("orders", "Field collision on id", "{}")
        ]
        assert [table.name for table in shop.destination.tables()] == ["orders"]

    # --- the ledger ----------------------------------------------------------------------------------------------

    def test_the_ledger_is_completed_by_what_the_steps_did(self, shop: Shop, orders: CreateTable) -> None:
        rows = [shop.row(id=2), shop.row(id=3), shop.row(id=4)]
        row = LedgerRow("orders", read=6, superseded=1, rejected=2, adjusted=1, checksum=2**63 - 1)
        before = datetime.now(UTC) - _CLOCKS_APART
        shop.load((_upsert(orders), rows), ledger=[row])
        lane, number, written = _ledger(shop)[-1]
        assert (lane, number) == (LANE, 2)
        assert written.committed_at is not None
        assert before <= written.committed_at <= datetime.now(UTC) + _CLOCKS_APART
        assert written == LedgerRow("orders", 6, 2, 1, 1, 2, 1, 2**63 - 1)

    def test_ignored_rows_count_as_superseded(self, shop: Shop, orders: CreateTable) -> None:
        shop.load(
            (_upsert(orders, guarded=True), [_numbered(shop, 0, id=1), shop.row(id=2)]),
            ledger=[LedgerRow("orders", read=2)],
        )
        assert _ledger(shop)[-1][2] == LedgerRow("orders", read=2, updated=1, superseded=1)

    def test_the_ledger_holds_all_loads_in_their_order_and_only_those_of_the_connection(self, shop: Shop) -> None:
        table = shop.create("log", {"line": "string"})
        step = Step("log", "append", table.columns)
        shop.load((step, [shop.row(line="a")]), changes=[table], ledger=[LedgerRow("log", read=1)])
        shop.load(
            (step, [shop.row(line="b")]), ledger=[LedgerRow("log", read=1), LedgerRow("other", read=5, rejected=5)]
        )
        told = [(lane, number, row.table, row.read, row.inserted) for lane, number, row in _ledger(shop)]
        assert told == [(LANE, 1, "log", 1, 1), (LANE, 2, "log", 1, 1), (LANE, 2, "other", 5, 0)]
        assert list(shop.destination.ledger("another connection")) == []

    def test_a_replace_tells_the_ledger_its_total(self, shop: Shop, orders: CreateTable) -> None:
        step = Step("orders", "replace", orders.columns, ("id",))
        shop.load((step, [shop.row(id=1), shop.row(id=5), shop.row(id=6)]), ledger=[LedgerRow("orders", read=3)])
        assert _ledger(shop)[-1][2] == LedgerRow("orders", read=3, inserted=3, total=3)


def _ledger(shop: Shop) -> list[tuple[str, int, LedgerRow]]:
    return list(shop.destination.ledger(CONNECTION))


def _numbered(shop: Shop, sequence: int, **values: object) -> Row:
    return {**shop.row(**values), "_sdc_sequence": sequence}
