"""What has landed can be read, and asked for in the destination's own SQL where it has one."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from lockstitch.core.errors import SettingsError
from lockstitch.core.protocols import Queryable
from lockstitch.testing.contract.shop import SCHEMA, Shop


class ReadingContract:
    """What a destination gives back."""

    def test_a_table_without_rows_still_tells_its_columns(self, shop: Shop) -> None:
        shop.given(shop.create("orders", {"id": "integer", "note": "string"}, ["id"]), [])
        (batch,) = shop.destination.read_back("orders", ["id", "note"])
        assert (batch.num_rows, batch.schema.names) == (0, ["id", "note"])

    def test_a_query_finds_the_schemas_tables_by_their_names(self, shop: Shop) -> None:
        shop.given(shop.create("orders", {"id": "integer"}, ["id"]), [shop.row(id=each) for each in range(5)])
        assert asked(shop, "select id from orders where id > 2 order by id").to_pydict() == {"id": [3, 4]}
        assert asked(shop, f"select count(*) as n from {SCHEMA}.orders;").to_pydict() == {"n": [5]}
        empty = asked(shop, "select id from orders where id > 7 -- none")
        assert (empty.num_rows, empty.column_names) == (0, ["id"])

    def test_a_query_gives_decimals_as_they_are(self, shop: Shop) -> None:
        price = Decimal("12345678901234567890.123456789")
        rows = [shop.row(id=1, price=price), shop.row(id=2, price=Decimal("-0.5")), shop.row(id=3)]
        shop.given(shop.create("orders", {"id": "integer", "price": "number"}, ["id"]), rows)
        answer = asked(shop, "select price, id from orders order by id")
        assert answer["price"].to_pylist() == [price, Decimal("-0.5"), None]
        assert answer["id"].to_pylist() == [1, 2, 3]
        assert pa.types.is_decimal(answer.schema.field("price").type)
        assert asked(shop, "select price from orders where id > 3")["price"].to_pylist() == []

    @pytest.mark.parametrize(
        "statement",
        [
            "delete from orders",
            "insert into orders (id) values (2)",
            "drop table orders",
            "create table more (id integer)",
            "selec id from orders",
            "select id from ordres",
            "select nothing from orders",
            "select cast('a' as integer) from orders",
        ],
    )
    def test_a_query_that_is_wrong_or_would_change_something_is_refused(self, shop: Shop, statement: str) -> None:
        shop.given(shop.create("orders", {"id": "integer"}, ["id"]), [shop.row(id=1)])
        with pytest.raises(SettingsError) as refused:
            asked(shop, statement)
        assert refused.value.hint
        assert shop.tuples("orders", "id") == [(1,)]
        assert [table.name for table in shop.destination.tables()] == ["orders"]


def asked(shop: Shop, sql: str) -> pa.Table:
    """Return the answer, of another destination on the same database: a query needs no `open`."""
    destination = shop.again().destination
    if not isinstance(destination, Queryable):
        pytest.skip("this destination has no SQL")
    return pa.Table.from_batches(destination.query(SCHEMA, sql))
