"""What users put beside our rows: columns, views, tables of their own."""

from __future__ import annotations

import pytest

from lockstitch.core.loads import AddColumn, CreateTable, Step
from lockstitch.testing.contract.shop import SCHEMA, Shop

VERSION = 1_790_000_000_000


class NeighboursContract:
    """We never touch what is the user's."""

    @pytest.fixture
    def noted(self, shop: Shop) -> CreateTable:
        """Orders 1 and 2; a user has added a column `note` and written into it."""
        table = shop.create("orders", {"id": "integer", "name": "string"}, ["id"])
        shop.given(table, [shop.row(id=1, name="one"), shop.row(id=2, name="two")])
        shop.database.sql(f"alter table {SCHEMA}.orders add column note varchar(20)")
        shop.database.sql(f"update {SCHEMA}.orders set note = 'note ' || name")
        return table

    def test_a_users_column_is_told_as_not_ours(self, shop: Shop, noted: CreateTable) -> None:
        told = shop.table("orders")
        assert told is not None
        assert told.column("note") is not None
        assert told.ours == {column.name for column in noted.columns}

    def test_a_column_of_a_type_that_we_never_write_has_no_type(self, shop: Shop, noted: CreateTable) -> None:
        shop.database.sql(f"alter table {SCHEMA}.orders add column day interval")
        told = shop.table("orders")
        assert told is not None
        day = told.column("day")
        assert day is not None
        assert day.type is None

    def test_append_leaves_a_users_column_null(self, shop: Shop) -> None:
        table = shop.create("log", {"line": "string"})
        shop.given(table, [shop.row(line="a")])
        shop.database.sql(f"alter table {SCHEMA}.log add column note varchar(20)")
        shop.load((Step("log", "append", table.columns), [shop.row(line="b")]))
        assert shop.tuples("log", "line", "note") == [("a", None), ("b", None)]

    def test_upsert_keeps_a_users_value_in_a_replaced_row(self, shop: Shop, noted: CreateTable) -> None:
        step = Step("orders", "upsert", noted.columns, ("id",))
        shop.load((step, [shop.row(id=2, name="TWO"), shop.row(id=3, name="three")]))
        expected = [(1, "one", "note one"), (2, "TWO", "note two"), (3, "three", None)]
        assert shop.tuples("orders", "id", "name", "note") == expected

    def test_replace_keeps_a_users_values_by_key(self, shop: Shop, noted: CreateTable) -> None:
        step = Step("orders", "replace", noted.columns, ("id",))
        shop.load((step, [shop.row(id=2, name="TWO"), shop.row(id=3, name="three")]))
        assert shop.tuples("orders", "id", "name", "note") == [(2, "TWO", "note two"), (3, "three", None)]

    def test_publish_keeps_a_users_values_by_key(self, shop: Shop, noted: CreateTable) -> None:
        self._publish(shop, noted)
        assert shop.tuples("orders", "id", "name", "note") == [(2, "TWO", "note two"), (3, "three", None)]
        told = shop.table("orders")
        assert told is not None
        assert told.ours == {column.name for column in noted.columns}

    def _publish(self, shop: Shop, table: CreateTable) -> None:
        generation = CreateTable("orders", table.columns, ("id",), version=VERSION)
        fill = Step("orders", "fill", table.columns, ("id",), version=VERSION)
        publish = Step("orders", "publish", table.columns, ("id",), version=VERSION)
        rows = [shop.row(id=2, name="TWO"), shop.row(id=3, name="three")]
        shop.load((fill, rows), changes=[generation])
        shop.load((publish, []))

    def test_a_users_view_lives_through_upsert_new_columns_replace_and_publish(
        self, shop: Shop, noted: CreateTable
    ) -> None:
        shop.database.sql(f"create view {SCHEMA}.names as select id, name from {SCHEMA}.orders where id > 1")
        late = shop.column("late", "boolean")
        wider = (*noted.columns, late)
        upsert = Step("orders", "upsert", wider, ("id",))
        shop.load((upsert, [shop.row(id=3, name="three", late=True)]), changes=[AddColumn("orders", late)])
        assert sorted(shop.database.sql(f"select id, name from {SCHEMA}.names")) == [(2, "two"), (3, "three")]
        shop.load((Step("orders", "replace", wider, ("id",)), [shop.row(id=4, name="four")]))
        assert shop.database.sql(f"select id, name from {SCHEMA}.names") == [(4, "four")]
        self._publish(shop, noted)
        assert sorted(shop.database.sql(f"select id, name from {SCHEMA}.names")) == [(2, "TWO"), (3, "three")]

    def test_a_users_table_in_the_schema_stays_as_it_is(self, shop: Shop, noted: CreateTable) -> None:
        shop.database.sql(f"create table {SCHEMA}.mine (id integer, note varchar(20))")
        shop.database.sql(f"insert into {SCHEMA}.mine values (1, 'mine')")
        self._publish(shop, noted)
        assert shop.database.sql(f"select id, note from {SCHEMA}.mine") == [(1, "mine")]
        told = shop.table("mine")
        assert told is None or told.ours == frozenset()

    def test_a_users_index_lives_through_publish(self, shop: Shop, noted: CreateTable) -> None:
        shop.database.sql(f"create index names_of_orders on {SCHEMA}.orders (name)")
        self._publish(shop, noted)
        assert shop.tuples("orders", "id", "name") == [(2, "TWO"), (3, "three")]
        self.check_index(shop, "names_of_orders")

    def check_index(self, shop: Shop, name: str) -> None:
        """Assert that the index is still there; overridden where the catalog is another."""
        assert shop.database.sql(f"select 1 from pg_indexes where indexname = '{name}'")

    def test_a_table_dropped_by_the_user_can_be_made_again(self, shop: Shop, noted: CreateTable) -> None:
        shop.database.sql(f"drop table {SCHEMA}.orders")
        assert shop.table("orders") is None
        shop.load((Step("orders", "upsert", noted.columns, ("id",)), [shop.row(id=9)]), changes=[noted])
        assert shop.tuples("orders", "id") == [(9,)]

    def test_a_column_dropped_by_the_user_is_not_told_and_can_be_added_again(
        self, shop: Shop, noted: CreateTable
    ) -> None:
        shop.database.sql(f"alter table {SCHEMA}.orders drop column name")
        told = shop.table("orders")
        assert told is not None
        assert told.column("name") is None
        step = Step("orders", "upsert", noted.columns, ("id",))
        shop.load((step, [shop.row(id=3, name="three")]), changes=[AddColumn("orders", shop.column("name", "string"))])
        assert shop.tuples("orders", "id", "name") == [(1, None), (2, None), (3, "three")]


class GrantsContract:
    """For destinations with roles: inherit this beside DestinationContract."""

    def test_a_readers_grant_lives_through_upsert_replace_and_publish(self, shop: Shop) -> None:
        table = shop.create("orders", {"id": "integer", "name": "string"}, ["id"])
        shop.given(table, [shop.row(id=1, name="one")])
        self.grant(shop)
        shop.load((Step("orders", "upsert", table.columns, ("id",)), [shop.row(id=2, name="two")]))
        shop.load((Step("orders", "replace", table.columns, ("id",)), [shop.row(id=3, name="three")]))
        generation = CreateTable("orders", table.columns, ("id",), version=VERSION)
        fill = Step("orders", "fill", table.columns, ("id",), version=VERSION)
        publish = Step("orders", "publish", table.columns, ("id",), version=VERSION)
        shop.load((fill, [shop.row(id=4, name="four")]), (publish, []), changes=[generation])
        assert self.may_read(shop)

    def grant(self, shop: Shop) -> None:
        """Let the role `reader` read the table."""
        shop.database.sql("drop role if exists reader")
        shop.database.sql("create role reader")
        shop.database.sql(f"grant usage on schema {SCHEMA} to reader")
        shop.database.sql(f"grant select on {SCHEMA}.orders to reader")

    def may_read(self, shop: Shop) -> bool:
        """Tell whether the role `reader` still may read the table."""
        return shop.database.sql(f"select has_table_privilege('reader', '{SCHEMA}.orders', 'select')") == [(True,)]
