"""Rows of subtables follow their parents."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lockstitch.core.loads import CreateTable, Step
from lockstitch.core.model import StitchType
from lockstitch.testing.contract.shop import THEN, Row, Shop

VERSION = 1_790_000_000_000

_LINES: dict[str, StitchType] = {"product": "string"}
_SOURCE: dict[str, StitchType] = {"_sdc_source_key_id": "integer", "_sdc_level_0_id": "integer"}
_LEVELS: dict[str, StitchType] = {"_sdc_level_1_id": "integer"}


class Orders:
    """Orders with lines, and lines with taxes; `version` for a generation of the three."""

    def __init__(self, shop: Shop, version: int | None = None) -> None:
        self.shop = shop
        self.version = version
        lines = (*shop.columns(_LINES), *(shop.column(name, kind) for name, kind in _SOURCE.items()))
        taxes = (*lines, *(shop.column(name, kind) for name, kind in _LEVELS.items()))
        source = ("_sdc_source_key_id", "_sdc_level_0_id")
        top = shop.columns({"id": "integer", "name": "string"}, "_sdc_deleted_at")
        self.tables = (
            CreateTable("orders", top, ("id",), version=version),
            CreateTable("orders__lines", lines, source, "orders", version),
            CreateTable("orders__lines__taxes", taxes, (*source, "_sdc_level_1_id"), "orders", version),
        )

    def steps(self, action: str, guarded: bool = False) -> list[Step]:
        """Return the step for each of the three tables, the parent's first."""
        pairs = (("_sdc_source_key_id", "id"),)
        return [
            Step(
                table=table.table,
                action=action,  # pyright: ignore[reportArgumentType] - one of the five, as the tests write them
                columns=table.columns,
                key=table.key,
                parent=table.parent,
                parent_key=pairs if table.parent else (),
                version=self.version,
                guarded=guarded,
            )
            for table in self.tables
        ]

    def rows(self, *orders: tuple[int, str, dict[str, list[str]]], sequence: int | None = None) -> list[list[Row]]:
        """Return the rows of the three tables from (id, name, {product: taxes}); children have their parent's."""
        top: list[Row] = []
        lines: list[Row] = []
        taxes: list[Row] = []
        for key, name, products in orders:
            row = self.shop.row(id=key, name=name)
            if sequence is not None:
                row["_sdc_sequence"] = sequence
            top.append(row)
            shared = {name: value for name, value in row.items() if name.startswith("_sdc_")}
            for place, (product, of_product) in enumerate(products.items()):
                line = {"product": product, **shared, "_sdc_source_key_id": key, "_sdc_level_0_id": place}
                lines.append(line)
                taxes += [{**line, "product": tax, "_sdc_level_1_id": at} for at, tax in enumerate(of_product)]
        return [top, lines, taxes]

    def load(
        self, action: str, *orders: tuple[int, str, dict[str, list[str]]], guarded: bool = False, **numbers: int
    ) -> None:
        rows = self.rows(*orders, **numbers)
        self.shop.load(*zip(self.steps(action, guarded), rows, strict=True))

    def held(self) -> dict[int, dict[str, list[str]]]:
        """Return what the three tables hold: {id: {product: taxes}}."""
        found: dict[int, dict[str, list[str]]] = {key: {} for (key,) in self.shop.tuples("orders", "id")}
        source = ("_sdc_source_key_id", "_sdc_level_0_id")
        products: dict[tuple[int, int], str] = {}
        for key, place, product in sorted(self.shop.tuples("orders__lines", *source, "product")):
            found[key][product] = []
            products[key, place] = product
        for key, place, _, tax in sorted(
            self.shop.tuples("orders__lines__taxes", *source, "_sdc_level_1_id", "product")
        ):
            found[key][products[key, place]].append(tax)
        return found


_ONE = (1, "one", {"pen": ["vat", "duty"], "ink": []})
_TWO = (2, "two", {"cap": ["vat"]})


class SubtablesContract:
    """A parent that is sent again takes all its children with it."""

    @pytest.fixture
    def family(self, shop: Shop) -> Orders:
        """Two orders with their lines and taxes, stored."""
        family = Orders(shop)
        work = zip(family.steps("append"), family.rows(_ONE, _TWO), strict=True)
        shop.load(*work, changes=family.tables)
        return family

    def test_subtables_tell_their_parent_and_key(self, shop: Shop, family: Orders) -> None:
        told = {table.name: (table.parent, table.key) for table in shop.destination.tables()}
        assert told == {table.table: (table.parent, table.key) for table in family.tables}

    def test_children_of_a_parent_sent_again_are_replaced_at_every_level(self, family: Orders) -> None:
        family.load("upsert", (1, "ONE", {"pen": ["none"], "nib": ["vat"], "box": []}), (3, "three", {"pen": ["vat"]}))
        assert family.held() == {
            1: {"pen": ["none"], "nib": ["vat"], "box": []},
            2: {"cap": ["vat"]},
            3: {"pen": ["vat"]},
        }

    def test_a_parent_sent_again_without_children_loses_them(self, family: Orders) -> None:
        family.load("upsert", (1, "ONE", {}))
        assert family.held() == {1: {}, 2: {"cap": ["vat"]}}

    def test_a_deleted_parent_loses_its_children(self, shop: Shop, family: Orders) -> None:
        work: Sequence[tuple[Step, list[Row]]] = [
            (step, [shop.row(id=1, _sdc_deleted_at=THEN)] if step.parent is None else [])
            for step in family.steps("upsert")
        ]
        shop.load(*work)
        assert family.held() == {1: {}, 2: {"cap": ["vat"]}}

    def test_children_of_an_ignored_parent_are_ignored_and_the_stored_ones_stay(self, family: Orders) -> None:
        family.load("upsert", (1, "late", {"late": ["late"]}), guarded=True, sequence=100)
        family.load("upsert", (1, "early", {"early": ["early"]}), guarded=True, sequence=50)
        assert family.held() == {1: {"late": ["late"]}, 2: {"cap": ["vat"]}}

    def test_children_of_a_parent_ignored_without_children_stay(self, family: Orders) -> None:
        family.load("upsert", (1, "late", {"late": ["late"]}), guarded=True, sequence=100)
        family.load("upsert", (1, "early", {}), guarded=True, sequence=50)
        assert family.held() == {1: {"late": ["late"]}, 2: {"cap": ["vat"]}}

    def test_children_of_an_equal_sequence_replace(self, family: Orders) -> None:
        family.load("upsert", (1, "first", {"first": ["x", "y"]}), guarded=True, sequence=100)
        family.load("upsert", (1, "second", {"second": ["z"]}), guarded=True, sequence=100)
        assert family.held() == {1: {"second": ["z"]}, 2: {"cap": ["vat"]}}

    def test_replace_replaces_the_children_too(self, family: Orders) -> None:
        family.load("replace", (2, "TWO", {"cap": []}), (3, "three", {}))
        assert family.held() == {2: {"cap": []}, 3: {}}

    def test_replaced_children_leave_no_trace_when_the_new_rows_have_none(self, family: Orders) -> None:
        family.load("replace", (2, "TWO", {}))
        assert family.held() == {2: {}}

    def test_a_generation_of_parents_and_children_is_published_whole(self, shop: Shop, family: Orders) -> None:
        generation = Orders(shop, VERSION)
        self._fill(shop, generation, (2, "TWO", {"hat": ["vat"]}), (3, "three", {"pen": []}), create=True)
        assert family.held() == {1: {"pen": ["vat", "duty"], "ink": []}, 2: {"cap": ["vat"]}}
        self._fill(shop, generation, (4, "four", {}))
        shop.load(*((step, []) for step in generation.steps("publish")))
        assert family.held() == {2: {"hat": ["vat"]}, 3: {"pen": []}, 4: {}}

    def test_a_generation_is_published_where_no_table_was(self, shop: Shop) -> None:
        generation = Orders(shop, VERSION)
        self._fill(shop, generation, _ONE, _TWO, create=True)
        shop.load(*((step, []) for step in generation.steps("publish")))
        assert generation.held() == {1: {"pen": ["vat", "duty"], "ink": []}, 2: {"cap": ["vat"]}}
        told = {table.name: (table.parent, table.key) for table in shop.destination.tables()}
        assert told == {table.table: (table.parent, table.key) for table in generation.tables}

    def test_children_of_an_older_row_of_the_generation_are_not_published(self, shop: Shop) -> None:
        generation = Orders(shop, VERSION)
        self._fill(shop, generation, (1, "old", {"old": ["a", "b"], "gone": []}), _TWO, create=True)
        self._fill(shop, generation, (1, "new", {"new": ["c"]}))
        shop.load(*((step, []) for step in generation.steps("publish")))
        assert generation.held() == {1: {"new": ["c"]}, 2: {"cap": ["vat"]}}

    def _fill(
        self, shop: Shop, generation: Orders, *orders: tuple[int, str, dict[str, list[str]]], create: bool = False
    ) -> None:
        work = zip(generation.steps("fill"), generation.rows(*orders), strict=True)
        shop.load(*work, changes=generation.tables if create else ())

    def test_children_of_a_key_of_two_columns(self, shop: Shop) -> None:
        top = shop.create("t", {"a": "integer", "b": "string"}, ["a", "b"])
        source: dict[str, StitchType] = {"_sdc_source_key_a": "integer", "_sdc_source_key_b": "string"}
        child_columns = shop.columns({"value": "integer", **source, "_sdc_level_0_id": "integer"})
        child = CreateTable("t__c", child_columns, (*source, "_sdc_level_0_id"), "t")
        pairs = (("_sdc_source_key_a", "a"), ("_sdc_source_key_b", "b"))

        def rows(key: tuple[int, str], values: list[int]) -> tuple[list[Row], list[Row]]:
            row = shop.row(a=key[0], b=key[1])
            system = {name: value for name, value in row.items() if name.startswith("_sdc")}
            source_key = {"_sdc_source_key_a": key[0], "_sdc_source_key_b": key[1]}
            return [row], [{"value": v, **source_key, "_sdc_level_0_id": at, **system} for at, v in enumerate(values)]

        steps = (
            Step("t", "upsert", top.columns, top.key),
            Step("t__c", "upsert", child.columns, child.key, "t", pairs),
        )
        for key, values in (((1, "x"), [1, 2]), ((1, "y"), [3]), ((1, "x"), [4])):
            changes = () if shop.table("t") else (top, child)
            shop.load(*zip(steps, rows(key, values), strict=True), changes=changes)
        assert shop.tuples("t__c", "_sdc_source_key_a", "_sdc_source_key_b", "value") == [(1, "x", 4), (1, "y", 3)]
