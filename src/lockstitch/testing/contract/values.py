"""Values at their extremes, and names that are hard to quote."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lockstitch.core.loads import CreateTable, Load, Step
from lockstitch.core.model import Column, ColumnType, Mark, StitchType
from lockstitch.testing.contract.shop import CONNECTION, Shop, plain_value

TEXTS = [
    "",
    " ",
    "null",
    "NULL",
    "\\N",
    "\\",
    "'",
    '"',
    "a,b\tc\nd\r\ne\x01\x1f\x7f",
    "naïve ß Ω 日本語 🧵👩‍👩‍👧",
    "a\u0308",
    "\u202eright to left",
    "\ufeffbom",
    "\ufffd\uffff\U0010ffff",
    "$$; drop table orders; --",
    "{}%s%%:x?",
    "x" * 1_000_000,
]

VALUES: dict[StitchType, list[Any]] = {
    "integer": [0, 1, -1, 2**31, -(2**31) - 1, 2**53 + 1, 2**62, 2**63 - 1, -(2**63)],
    "boolean": [True, False],
    "double": [0.0, 0.1, -1.5, 5e-324, 1.7976931348623157e308, 2.0**53 + 2, float("nan"), float("inf"), float("-inf")],
    "number": [
        Decimal("0"),
        Decimal("0.000000001"),
        Decimal("-99999999999999999999999999999.999999999"),
        Decimal("12345678901234567890.1"),
    ],
    "date": [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
    ],
    "string": TEXTS,
}

#: PostgreSQL's and DuckDB's words among them, and whatever a quoting mistake would trip over.
NAMES = [
    "select",
    "order",
    "table",
    "user",
    "group",
    "primary",
    "rowid",
    "ctid",
    "xmin",
    "oid",
    "tableoid",
    "value",
    "key",
    "CamelCase",
    "UPPER",
    "with space",
    " leading",
    "trailing ",
    "a  b",
    "semi;colon",
    "quote'",
    'double"quote',
    'many""quotes"',
    "back\\slash",
    "per%cent",
    "per%s",
    "curly{x}",
    "dot.ted",
    "$1",
    ":name",
    "?",
    "naïve",
    "日本語",
    "🧵",
    "1st",
    "-",
    "_",
    "__x__y",
    "n" * 63,
]

#: Columns that PostgreSQL gives to each table itself.
TAKEN = {"ctid", "xmin", "tableoid"}


class ValuesContract:
    """Each value comes back as it was written; each name can be used."""

    @pytest.mark.parametrize("stitch", list(VALUES))
    def test_every_type_keeps_its_extremes(self, shop: Shop, stitch: StitchType) -> None:
        values = [*VALUES[stitch], None]
        table = shop.create("t", {"n": "integer", "v": stitch}, ["n"])
        shop.given(table, [shop.row(n=n, v=value) for n, value in enumerate(values)])
        assert _values(shop) == {n: plain_value(value) for n, value in enumerate(values)}

    @pytest.mark.parametrize("stitch", list(VALUES))
    def test_every_type_survives_an_upsert(self, shop: Shop, stitch: StitchType) -> None:
        values = VALUES[stitch]
        table = shop.create("t", {"n": "integer", "v": stitch}, ["n"])
        shop.given(table, [shop.row(n=n) for n in range(len(values))])
        rows = [shop.row(n=n, v=value) for n, value in enumerate(values)]
        shop.load((Step("t", "upsert", table.columns, ("n",)), rows))
        assert _values(shop) == {n: plain_value(value) for n, value in enumerate(values)}

    @pytest.mark.parametrize("stitch", ["integer", "boolean", "date", "number", "string"])
    def test_every_type_can_be_a_key(self, shop: Shop, stitch: StitchType) -> None:
        values = [value for value in VALUES[stitch] if not isinstance(value, str) or len(value) < 256]
        table = shop.create("t", {"n": "integer", "v": stitch}, ["v"])
        shop.given(table, [shop.row(n=n, v=value) for n, value in enumerate(values)])
        rows = [shop.row(n=-n, v=value) for n, value in enumerate(values)]
        shop.load((Step("t", "upsert", table.columns, ("v",)), rows))
        assert _values(shop) == {-n: plain_value(value) for n, value in enumerate(values)}

    def test_u0000_comes_back_where_the_rules_say_that_text_may_have_it(self, shop: Shop) -> None:
        if shop.rules.text_without_nul:
            pytest.skip("the rules say that U+0000 cannot be stored: the layout removes it")
        table = shop.create("t", {"n": "integer", "v": "string"}, ["n"])
        shop.given(table, [shop.row(n=1, v="a\0b"), shop.row(n=2, v="\0")])
        assert _values(shop) == {1: "a\0b", 2: "\0"}

    def test_times_at_both_ends_of_the_rules_range(self, shop: Shop) -> None:
        rule = shop.rules.types["date"]
        assert rule.minimum is not None
        assert rule.maximum is not None
        self._write_integers(shop, "date", pa.timestamp("us", "UTC"), [rule.minimum, rule.maximum])

    def _write_integers(self, shop: Shop, stitch: StitchType, kind: pa.DataType, values: list[int]) -> None:
        table = shop.create("t", {"n": "integer", "v": stitch}, ["n"])
        step = Step("t", "append", table.columns)
        batch = pa.table({"n": list(range(len(values))), "v": pa.array(values, pa.int64()).cast(kind)})
        with shop.destination.begin(Load(CONNECTION, shop.lane, (step,), (table,)), None) as writer:
            writer.write(step, batch.to_reader())
            writer.commit(Mark(1, 1, None), [])
        assert _values(shop) == dict(enumerate(values))

    @pytest.mark.parametrize("scale", [9, 20, 38])
    def test_decimals_of_38_digits(self, shop: Shop, scale: int) -> None:
        rule = shop.rules.types["number"]
        native = rule.type.native.format(scale=scale)
        kind = ColumnType("number", native, None if rule.precision is None else scale)
        columns = (shop.column("n", "integer"), Column("v", kind))
        values = [Decimal((sign, (9,) * 38, -scale)) for sign in (0, 1)] + [Decimal((0, (1,), -scale))]
        step = Step("t", "append", columns)
        batch = pa.table({"n": range(3), "v": pa.array(values, pa.decimal128(38, scale))})
        load = Load(CONNECTION, shop.lane, (step,), (CreateTable("t", columns),))
        with shop.destination.begin(load, None) as writer:
            writer.write(step, batch.to_reader())
            writer.commit(Mark(1, 1, None), [])
        assert _values(shop) == {n: plain_value(value) for n, value in enumerate(values)}
        told = shop.again().table("t")
        assert told is not None
        assert [column.type for column in told.columns] == [column.type for column in columns]

    def test_tables_of_any_name(self, shop: Shop) -> None:
        own: dict[str, StitchType] = {"id": "integer", "v": "string"}
        tables = [shop.create(name, own, ["id"]) for name in NAMES]
        appends = [Step(table.table, "append", table.columns) for table in tables]
        shop.load(*((step, [shop.row(id=1, v=step.table)]) for step in appends), changes=tables)
        upserts = [Step(table.table, "upsert", table.columns, ("id",)) for table in tables]
        shop.load(*((step, [shop.row(id=1, v="again"), shop.row(id=2, v=step.table)]) for step in upserts))
        assert {name: shop.tuples(name, "id", "v") for name in NAMES} == {
            name: [(1, "again"), (2, name)] for name in NAMES
        }
        assert sorted(told.name for told in shop.destination.tables()) == sorted(NAMES)

    def test_generations_of_any_name(self, shop: Shop) -> None:
        own: dict[str, StitchType] = {"id": "integer", "v": "string"}
        tables = [shop.create(name, own, ["id"]) for name in NAMES]
        for version in (5, 6):
            generations = [CreateTable(table.table, table.columns, ("id",), version=version) for table in tables]
            fills = [Step(table.table, "fill", table.columns, ("id",), version=version) for table in tables]
            shop.load(*((step, [shop.row(id=version, v=step.table)]) for step in fills), changes=generations)
            shop.load(*((replace(step, action="publish"), []) for step in fills))
            held = {name: shop.tuples(name, "id", "v") for name in NAMES}
            assert held == {name: [(version, name)] for name in NAMES}

    def test_columns_of_any_name_all_at_once_and_as_keys(self, shop: Shop) -> None:
        names = [name for name in NAMES if name not in TAKEN]
        own: dict[str, StitchType] = dict.fromkeys(names, "string")
        table = shop.create("t", own, names[:20])
        shop.given(table, [shop.row(**{name: f"value of {name}" for name in names})])
        shop.load(
            (
                Step("t", "upsert", table.columns, table.key),
                [shop.row(**{name: f"value of {name}" for name in names[:30]})],
            )
        )
        expected = [{name: f"value of {name}" if name in names[:30] else None for name in names}]
        assert shop.held("t", *names) == expected
        told = shop.table("t")
        assert told is not None
        assert [column.name for column in told.columns] == [column.name for column in table.columns]
        assert told.key == table.key


def _values(shop: Shop) -> dict[int, Any]:
    return {row["n"]: plain_value(row["v"]) for row in shop.held("t", "n", "v")}
