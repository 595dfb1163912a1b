"""Changes of tables, in the load's own transaction."""

from __future__ import annotations

from lockstitch.core.loads import AddColumn, DropKey, RenameColumn, Step
from lockstitch.core.model import StitchType
from lockstitch.testing.contract.shop import Shop

_ALL: dict[str, StitchType] = {
    "a": "integer",
    "b": "boolean",
    "c": "date",
    "d": "double",
    "e": "number",
    "f": "string",
}


class ChangesContract:
    """Create, add, rename, drop a key; told again as they were made."""

    def test_a_new_table_is_told_as_it_was_made(self, shop: Shop) -> None:
        table = shop.create("t", _ALL, ["f", "a"])
        shop.given(table, [])
        told = shop.again().table("t")
        assert told is not None
        assert told.columns == table.columns
        assert told.key == ("f", "a")
        assert told.ours == {column.name for column in table.columns}
        assert told.parent is None

    def test_a_table_without_a_key_is_told_without_one(self, shop: Shop) -> None:
        shop.given(shop.create("t", _ALL), [])
        told = shop.table("t")
        assert told is not None
        assert told.key == ()

    def test_a_column_is_added_at_the_end_and_is_null_in_the_rows_before(self, shop: Shop) -> None:
        table = shop.create("t", {"id": "integer"}, ["id"])
        shop.given(table, [shop.row(id=1)])
        late = shop.column("late", "boolean")
        step = Step("t", "upsert", (*table.columns, late), ("id",))
        shop.load((step, [shop.row(id=2, late=True)]), changes=[AddColumn("t", late)])
        assert shop.tuples("t", "id", "late") == [(1, None), (2, True)]
        told = shop.table("t")
        assert told is not None
        assert told.columns == (*table.columns, late)
        assert told.ours == {column.name for column in told.columns}

    def test_a_renamed_column_keeps_place_type_and_values(self, shop: Shop) -> None:
        table = shop.create("t", {"id": "integer", "age": "integer", "z": "string"}, ["id"])
        shop.given(table, [shop.row(id=1, age=16)])
        split = shop.column("age__do", "double")
        changes = (RenameColumn("t", "age", "age__bi"), AddColumn("t", split))
        step = Step("t", "upsert", (shop.column("id", "integer"), split, *shop.columns({})), ("id",))
        shop.load((step, [shop.row(id=2, age__do=16.5)]), changes=changes)
        assert shop.tuples("t", "id", "age__bi", "age__do") == [(1, 16, None), (2, None, 16.5)]
        told = shop.table("t")
        assert told is not None
        assert [column.name for column in told.columns][:3] == ["id", "age__bi", "z"]
        assert told.ours >= {"age__bi", "age__do"}

    def test_a_dropped_key_lets_equal_and_null_keys_be_appended(self, shop: Shop) -> None:
        table = shop.create("t", {"id": "integer", "other": "string"}, ["id"])
        shop.given(table, [shop.row(id=1)])
        rows = [shop.row(id=1, other="a"), shop.row(other="b")]
        shop.load((Step("t", "append", table.columns), rows), changes=[DropKey("t")])
        assert shop.tuples("t", "id", "other") == [(1, "a"), (1, None), (None, "b")]
        told = shop.again().table("t")
        assert told is not None
        assert told.key == ()

    def test_changes_come_before_all_steps_whatever_table_they_are_for(self, shop: Shop) -> None:
        one, two = (shop.create(name, {"id": "integer"}, ["id"]) for name in ("one", "two"))
        shop.load(
            (Step("one", "append", one.columns), [shop.row(id=1)]),
            (Step("two", "append", two.columns), [shop.row(id=2)]),
            changes=[two, one],
        )
        assert (shop.tuples("one", "id"), shop.tuples("two", "id")) == ([(1,)], [(2,)])

    def test_a_table_made_and_loaded_by_upsert_in_one_load(self, shop: Shop) -> None:
        table = shop.create("t", {"id": "integer"}, ["id"])
        shop.load((Step("t", "upsert", table.columns, ("id",)), [shop.row(id=2), shop.row(id=1)]), changes=[table])
        assert shop.tuples("t", "id") == [(1,), (2,)]

    def test_a_table_of_many_columns(self, shop: Shop) -> None:
        own: dict[str, StitchType] = {f"column_{n}": "boolean" for n in range(1_000)}
        table = shop.create("wide", {"id": "integer", **own}, ["id"])
        shop.given(table, [shop.row(id=1, column_0=True, column_999=False)])
        assert shop.tuples("wide", "column_0", "column_1", "column_999") == [(True, None, False)]
