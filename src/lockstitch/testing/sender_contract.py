"""What a destination must do that keeps no tables but sends rows on. Inherit `SenderContract`, give one fixture.

    class TestHeap(SenderContract):
        @pytest.fixture
        def database(self, tmp_path: Path) -> Database:
            return Database(lambda: open_destination(Properties(state=str(tmp_path), ...)), no_sql)

That rows arrive, each once, is shown by tests of the destination's own, against a fake of the other side.
"""

from __future__ import annotations

import pytest

from lockstitch.core.errors import SettingsError, Superseded
from lockstitch.core.loads import AddColumn, CreateTable, DropKey, LedgerRow, Load, RenameColumn, Step
from lockstitch.core.model import Mark
from lockstitch.testing.contract.fences import FencesContract
from lockstitch.testing.contract.shop import CONNECTION, LANE, SCHEMA, THEN, Database, Shop

__all__ = ["Database", "SenderContract"]


class SenderContract(FencesContract):
    """All promises of a destination that only sends, on an empty state each."""

    @pytest.fixture
    def database(self) -> Database:
        """Return an empty state; every connector overrides this. Its `sql` is not used."""
        raise NotImplementedError

    @pytest.fixture
    def shop(self, database: Database) -> Shop:
        return Shop(database)

    def test_it_says_that_nothing_is_atomic_or_can_be_read(self, shop: Shop) -> None:
        capabilities = shop.destination.capabilities
        assert (capabilities.atomic, capabilities.readable) == ("none", False)

    def test_marks_of_a_fresh_state_are_none(self, database: Database) -> None:
        assert database.open().marks(CONNECTION) == {}
        assert database.open().ledger(CONNECTION) == []

    def test_a_load_after_another_mark_is_superseded_at_its_beginning_and_at_its_end(self, shop: Shop) -> None:
        shop.load(mark=Mark(1, 1, "x"))
        late = shop.again()
        with late.destination.begin(Load(CONNECTION, LANE, ()), late.mark) as writer:
            shop.load(mark=Mark(1, 2, "winner"))
            with pytest.raises(Superseded):
                writer.commit(Mark(1, 2, "late"), [])
        with pytest.raises(Superseded), late.destination.begin(Load(CONNECTION, LANE, ()), Mark(1, 1, "x")):
            pass
        assert shop.mark == Mark(1, 2, "winner")

    def test_the_ledger_comes_back(self, shop: Shop) -> None:
        row = LedgerRow("orders", read=3, superseded=1, rejected=2, adjusted=1, checksum=2**62)
        shop.load(ledger=[row])
        assert shop.again().destination.ledger(CONNECTION) == [(LANE, 1, row)]

    def test_tables_come_back_as_the_changes_left_them(self, shop: Shop) -> None:
        orders = shop.create("orders", {"id": "integer", "a": "string", "n": "number"}, ["id"])
        more = shop.column("b", "integer")
        append = Step("orders", "append", orders.columns)
        shop.load((append, []), changes=[orders])
        shop.load(changes=[AddColumn("orders", more), RenameColumn("orders", "a", "a__st"), DropKey("orders")])
        table = shop.again().table("orders")
        assert table is not None
        names = {"a": "a__st"}
        assert [column.name for column in table.columns] == [*(names.get(c.name, c.name) for c in orders.columns), "b"]
        assert table.column("n") == orders.columns[2]
        assert table.column("b") == more
        assert table.key == ()
        assert table.ours == {column.name for column in table.columns}

    def test_a_generation_becomes_the_table_when_it_is_published(self, shop: Shop) -> None:
        made = shop.create("orders", {"id": "integer"}, ["id"])
        generation = CreateTable("orders", made.columns, ("id",), version=7)
        stale = CreateTable("orders", made.columns, ("id",), version=6)
        shop.load((Step("orders", "fill", made.columns, ("id",), version=6), []), changes=[stale])
        shop.load((Step("orders", "fill", made.columns, ("id",), version=7), []), changes=[generation])
        assert [(one.name, one.version) for one in shop.destination.tables()] == [("orders", 7)]
        shop.load((Step("orders", "publish", made.columns, ("id",), version=7), []))
        [table] = shop.again().destination.tables()
        assert (table.name, table.version, table.key) == ("orders", None, ("id",))

    def test_rejects_can_be_read_and_are_no_table(self, shop: Shop) -> None:
        names = ("table_name", "reason", "record")
        columns = (shop.column("_sdc_rejected_at", "date"), *(shop.column(name, "string") for name in names))
        row = {"_sdc_rejected_at": THEN, "table_name": "orders", "reason": "Field collision", "record": "{}"}
        shop.load((Step(shop.rules.rejected_table, "append", columns), [row]))
        assert shop.again().tuples(shop.rules.rejected_table, *names) == [("orders", "Field collision", "{}")]
        assert shop.destination.tables() == []

    def test_what_was_sent_is_not_read_back(self, shop: Shop) -> None:
        with pytest.raises(SettingsError) as refused:
            list(shop.destination.read_back("orders"))
        assert refused.value.hint

    def test_opening_twice_changes_nothing(self, shop: Shop) -> None:
        shop.load(mark=Mark(1, 1, "x"))
        shop.destination.open(CONNECTION, SCHEMA)
        assert shop.mark == Mark(1, 1, "x")
