"""Generations: filled by many loads, seen by nobody, published in one transaction."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockstitch.core.loads import AddColumn, CreateTable, LedgerRow, Load, RenameColumn, Step, StepCount
from lockstitch.testing.contract.shop import CONNECTION, LANE, THEN, Shop, microseconds, reader

VERSION = 1_790_000_000_000


def _generation(shop: Shop, version: int = VERSION) -> CreateTable:
    columns = shop.columns({"id": "integer", "name": "string"}, "_sdc_deleted_at")
    return CreateTable("orders", columns, ("id",), version=version)


def _fill(table: CreateTable) -> Step:
    return Step(table.table, "fill", table.columns, table.key, version=table.version)


def _publish(table: CreateTable) -> Step:
    return Step(table.table, "publish", table.columns, table.key, version=table.version)


class GenerationsContract:
    """A generation is durable and invisible until it is published."""

    @pytest.fixture
    def stored(self, shop: Shop) -> CreateTable:
        """The table as it stands before the generation: orders 1 and 2."""
        table = shop.create("orders", {"id": "integer", "name": "string"}, ["id"], "_sdc_deleted_at")
        shop.given(table, [shop.row(id=1, name="one"), shop.row(id=2, name="two")])
        return table

    def test_a_generation_being_filled_is_told_but_is_no_table(self, shop: Shop) -> None:
        table = _generation(shop)
        shop.load((_fill(table), [shop.row(id=1, name="one")]), changes=[table])
        told = shop.table("orders", VERSION)
        assert told is not None
        assert [column.name for column in told.columns] == [column.name for column in table.columns]
        assert [column.type for column in told.columns] == [column.type for column in table.columns]
        assert shop.table("orders") is None
        assert not shop.database.sql("select 1 from information_schema.tables where table_name = 'orders'")

    def test_the_published_table_is_untouched_while_a_generation_is_filled(
        self, shop: Shop, stored: CreateTable
    ) -> None:
        table, before = _generation(shop), shop.table("orders")
        shop.load((_fill(table), [shop.row(id=1, name="ONE")]), changes=[table])
        assert shop.tuples("orders", "id", "name") == [(1, "one"), (2, "two")]
        assert shop.table("orders") == before

    def test_filled_by_several_loads_and_processes_then_published_where_no_table_was(self, shop: Shop) -> None:
        table = _generation(shop)
        shop.load((_fill(table), [shop.row(id=1, name="one")]), changes=[table])
        shop = shop.again()
        shop.load((_fill(table), [shop.row(id=2, name="two")]))
        shop = shop.again()
        counts = shop.load((_fill(table), [shop.row(id=3, name="three")]), (_publish(table), []))
        assert shop.tuples("orders", "id", "name") == [(1, "one"), (2, "two"), (3, "three")]
        assert counts == [StepCount(inserted=1), StepCount(total=3)]
        told = shop.table("orders")
        assert told is not None
        assert (told.key, told.version) == (("id",), None)
        assert [column.name for column in told.columns] == [column.name for column in table.columns]
        assert told.ours == {column.name for column in table.columns}

    def test_after_publish_no_generation_is_left_and_upserts_go_on(self, shop: Shop, stored: CreateTable) -> None:
        table = _generation(shop)
        shop.load((_fill(table), [shop.row(id=1, name="ONE")]), changes=[table])
        shop.load((_publish(table), []))
        assert [(told.name, told.version) for told in shop.destination.tables()] == [("orders", None)]
        shop.load((Step("orders", "upsert", stored.columns, ("id",)), [shop.row(id=1, name="1"), shop.row(id=4)]))
        assert shop.tuples("orders", "id", "name") == [(1, "1"), (4, None)]

    def test_publish_replaces_all_rows_of_a_table(self, shop: Shop, stored: CreateTable) -> None:
        table = _generation(shop)
        shop.load((_fill(table), [shop.row(id=2, name="TWO"), shop.row(id=3, name="three")]), changes=[table])
        counts = shop.load((_publish(table), []))
        assert shop.tuples("orders", "id", "name") == [(2, "TWO"), (3, "three")]
        assert counts == [StepCount(total=2)]

    def test_publish_of_an_empty_generation_empties_the_table(self, shop: Shop, stored: CreateTable) -> None:
        table = _generation(shop)
        shop.load((_publish(table), []), changes=[table])
        assert shop.held("orders") == []
        told = shop.table("orders")
        assert told is not None
        assert told.key == ("id",)

    def test_steps_after_the_publish_in_one_load_see_its_rows(self, shop: Shop, stored: CreateTable) -> None:
        table = _generation(shop)
        shop.load((_fill(table), [shop.row(id=3, name="three"), shop.row(id=4, name="four")]), changes=[table])
        upsert = Step("orders", "upsert", table.columns, ("id",))
        shop.load(
            (_fill(table), [shop.row(id=5, name="five")]), (_publish(table), []), (upsert, [shop.row(id=3, name="III")])
        )
        assert shop.tuples("orders", "id", "name") == [(3, "III"), (4, "four"), (5, "five")]

    def test_of_rows_with_one_key_in_a_generation_the_last_is_published(self, shop: Shop) -> None:
        table = _generation(shop)
        shop.load((_fill(table), [shop.row(id=1, name="old"), shop.row(id=2, name="two")]), changes=[table])
        shop.load((_fill(table), [shop.row(id=1, name="new"), shop.row(id=3, name="three")]))
        counts = shop.load((_publish(table), []))
        assert shop.tuples("orders", "id", "name") == [(1, "new"), (2, "two"), (3, "three")]
        assert counts == [StepCount(inserted=-1, ignored=1, total=3)]

    def test_of_rows_with_one_key_the_greater_sequence_wins_however_they_came(self, shop: Shop) -> None:
        table = _generation(shop)
        early, late = shop.row(id=1, name="early"), shop.row(id=1, name="late")
        shop.load((_fill(table), [late]), changes=[table])
        shop.load((_fill(table), [early]))
        shop.load((_publish(table), []))
        assert shop.tuples("orders", "id", "name") == [(1, "late")]

    def test_of_rows_with_one_key_and_one_sequence_the_later_is_published(self, shop: Shop) -> None:
        """Only a source's own sequence, which makes a step guarded, is ever given twice."""
        table = _generation(shop)
        fill = replace(_fill(table), guarded=True)
        first = [{**shop.row(id=n % 500, name=f"first {n}"), "_sdc_sequence": 7} for n in range(5_000)]
        second = [{**shop.row(id=n, name="second"), "_sdc_sequence": 7} for n in range(100)]
        shop.load((fill, first), changes=[table])
        shop.load((fill, second), (_publish(table), []))
        expected = [(n, "second" if n < 100 else f"first {4_500 + n}") for n in range(500)]
        assert sorted(shop.tuples("orders", "id", "name")) == expected

    def test_one_version_is_published_and_the_next_begun_in_one_load(self, shop: Shop, stored: CreateTable) -> None:
        first, second = _generation(shop), _generation(shop, VERSION + 1)
        shop.load((_fill(first), [shop.row(id=1, name="ONE")]), changes=[first])
        shop.load((_publish(first), []), (_fill(second), [shop.row(id=2, name="II")]), changes=[second])
        assert shop.tuples("orders", "id", "name") == [(1, "ONE")]
        shop.load((_publish(second), []))
        assert shop.tuples("orders", "id", "name") == [(2, "II")]

    def test_a_generation_that_is_created_again_begins_empty(self, shop: Shop, stored: CreateTable) -> None:
        table = _generation(shop)
        shop.load((_fill(table), [shop.row(id=1, name="old")]), changes=[table])
        shop.load((_fill(table), [shop.row(id=2, name="new")]), (_publish(table), []), changes=[table])
        assert shop.tuples("orders", "id", "name") == [(2, "new")]

    def test_generations_of_one_version_begun_and_published_in_turn(self, shop: Shop) -> None:
        """A log lane's snapshots: every table's version has the same number."""
        columns = shop.columns({"id": "integer"})
        tables = [CreateTable(f"t{n}", columns, ("id",), version=1) for n in range(12)]
        for n in range(0, 12, 3):
            begun = tables[n : n + 3]
            shop.load(*((_fill(table), [shop.row(id=n)]) for table in begun), changes=begun)
            shop.load((_publish(tables[n]), []))
        shop.load(*((_publish(table), []) for n, table in enumerate(tables) if n % 3))
        held = {table.table: shop.tuples(table.table, "id") for table in tables}
        assert held == {f"t{n}": [(n - n % 3,)] for n in range(12)}

    def test_a_generation_without_a_key_keeps_every_row(self, shop: Shop) -> None:
        table = CreateTable("log", shop.columns({"line": "string"}), version=VERSION)
        shop.load((_fill(table), [shop.row(line="a"), shop.row(line="a")]), changes=[table])
        shop.load((_fill(table), [shop.row(line="a")]), (_publish(table), []))
        assert shop.tuples("log", "line") == [("a",)] * 3

    def test_an_abandoned_load_leaves_the_generation_as_it_was(self, shop: Shop, stored: CreateTable) -> None:
        table = _generation(shop)
        shop.load((_fill(table), [shop.row(id=3, name="three")]), changes=[table])
        steps = (_fill(table), _publish(table))
        with shop.destination.begin(Load(CONNECTION, LANE, steps), shop.mark) as writer:
            writer.write(steps[0], reader(table.columns, [shop.row(id=4, name="lost")]))
        assert shop.tuples("orders", "id") == [(1,), (2,)]
        shop = shop.again()
        shop.load((_publish(table), []))
        assert shop.tuples("orders", "id", "name") == [(3, "three")]

    def test_a_newer_generation_discards_the_older_one(self, shop: Shop, stored: CreateTable) -> None:
        old, new = _generation(shop), _generation(shop, VERSION + 1)
        shop.load((_fill(old), [shop.row(id=8, name="old")]), changes=[old])
        shop = shop.again()
        shop.load((_fill(new), [shop.row(id=9, name="new")]), changes=[new])
        shop.load((_publish(new), []))
        assert shop.tuples("orders", "id", "name") == [(9, "new")]
        assert [table.version for table in shop.destination.tables()] == [None]

    def test_columns_are_added_and_renamed_in_a_generation(self, shop: Shop) -> None:
        table = _generation(shop)
        shop.load((_fill(table), [shop.row(id=1, name="one")]), changes=[table])
        late = shop.column("late", "boolean")
        changes = (AddColumn("orders", late, VERSION), RenameColumn("orders", "name", "name__st", VERSION))
        names = {"name": "name__st"}
        columns = tuple(shop.column(names.get(c.name, c.name), c.type.stitch) for c in table.columns if c.type)
        wider = CreateTable("orders", (*columns, late), ("id",), version=VERSION)
        shop.load((_fill(wider), [shop.row(id=2, name__st="two", late=True)]), changes=changes)
        shop.load((_publish(wider), []))
        assert shop.tuples("orders", "id", "name__st", "late") == [(1, "one", None), (2, "two", True)]

    def test_a_generation_with_other_columns_than_the_table(self, shop: Shop, stored: CreateTable) -> None:
        """Columns that the version brought are added with the publish; those that it lacks stay, NULL."""
        columns = shop.columns({"id": "integer", "price": "double"})
        table = CreateTable("orders", columns, ("id",), version=VERSION)
        shop.load((_fill(table), [shop.row(id=2, price=2.5)]), changes=[table])
        shop.load((_publish(table), []), changes=[AddColumn("orders", shop.column("price", "double"))])
        assert shop.tuples("orders", "id", "name", "price") == [(2, None, 2.5)]
        told = shop.table("orders")
        assert told is not None
        assert [column.name for column in told.columns] == [*(column.name for column in stored.columns), "price"]

    def test_publish_takes_the_sources_key(self, shop: Shop, stored: CreateTable) -> None:
        table = CreateTable("orders", stored.columns, ("id", "name"), version=VERSION)
        shop.load((_fill(table), [shop.row(id=1, name="a"), shop.row(id=1, name="b")]), changes=[table])
        shop.load((_publish(table), []))
        told = shop.table("orders")
        assert told is not None
        assert told.key == ("id", "name")
        assert shop.tuples("orders", "id", "name") == [(1, "a"), (1, "b")]

    def test_mark_deleted_keeps_missing_rows_as_deleted(self, shop: Shop, stored: CreateTable) -> None:
        table = _generation(shop)
        shop.load((_fill(table), [shop.row(id=2, name="TWO"), shop.row(id=3, name="three")]), changes=[table])
        step = Step("orders", "publish", table.columns, ("id",), version=VERSION, missing="mark_deleted")
        counts = shop.load((step, []))
        assert shop.tuples("orders", "id", "name") == [(1, None), (2, "TWO"), (3, "three")]
        deleted = {row["id"]: row["_sdc_deleted_at"] is not None for row in shop.held("orders")}
        assert deleted == {1: True, 2: False, 3: False}
        assert [count.total for count in counts] == [3]
        sequences = dict(shop.tuples("orders", "id", "_sdc_sequence"))
        assert sequences[1] == 1

    def test_mark_deleted_over_a_table_without_a_key_leaves_the_version_alone(self, shop: Shop) -> None:
        plain = CreateTable("orders", shop.columns({"id": "integer", "name": "string"}))
        shop.load((Step("orders", "append", plain.columns), [shop.row(id=1, name="one")]), changes=[plain])
        table = CreateTable("orders", plain.columns, ("id",), version=VERSION)
        step = Step("orders", "publish", table.columns, ("id",), version=VERSION, missing="mark_deleted")
        shop.load((_fill(table), [shop.row(id=2, name="two")]), (step, []), changes=[table])
        assert shop.tuples("orders", "id", "name") == [(2, "two")]

    def test_mark_deleted_keeps_the_time_of_an_earlier_delete(self, shop: Shop, stored: CreateTable) -> None:
        upsert = Step("orders", "upsert", stored.columns, ("id",))
        shop.load((upsert, [shop.row(id=1, _sdc_deleted_at=THEN)]))
        table = _generation(shop)
        step = Step("orders", "publish", table.columns, ("id",), version=VERSION, missing="mark_deleted")
        shop.load((_fill(table), [shop.row(id=2, name="two")]), (step, []), changes=[table])
        assert (1, None, microseconds(THEN)) in shop.tuples("orders", "id", "name", "_sdc_deleted_at")

    def test_fills_and_publish_are_accounted_in_the_ledger(self, shop: Shop) -> None:
        table = _generation(shop)
        rows = [shop.row(id=1, name="old"), shop.row(id=2), shop.row(id=1, name="new")]
        shop.load((_fill(table), rows), changes=[table], ledger=[LedgerRow("orders", read=3)])
        shop.load((_publish(table), []), ledger=[LedgerRow("orders")])
        filled, published = (row for _, _, row in shop.destination.ledger(CONNECTION))
        assert filled == LedgerRow("orders", read=3, inserted=3)
        assert published == LedgerRow("orders", inserted=-1, superseded=1, total=2)
