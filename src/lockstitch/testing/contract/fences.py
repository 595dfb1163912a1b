"""Marks and fences, as far as they need no rows: what also a destination promises that keeps no tables."""

from __future__ import annotations

from typing import Any

import pytest

from lockstitch.core.errors import AccessError, Superseded
from lockstitch.core.loads import Load
from lockstitch.core.model import Mark
from lockstitch.testing.contract.shop import CONNECTION, LANE, SCHEMA, Database, Shop

CURSORS: list[Any] = [
    None,
    "",
    0,
    [],
    {"file": "sync_124/users/part-1.avro", "nested": {"list": [1, None, 2.5, True], "größe": "日本 🧵 \"'\\\u0001"}},
    2**63 - 1,
]


class FencesContract:
    """A mark is written as it is, and only by the one who knows the mark before it."""

    def test_check_passes_and_leaves_nothing(self, database: Database) -> None:
        database.open().check()
        assert not database.open().marks(CONNECTION)

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

    def test_no_mark_where_one_is_expected_is_superseded(self, shop: Shop) -> None:
        with (
            pytest.raises(Superseded),
            shop.destination.begin(Load(CONNECTION, LANE, ()), Mark(1, 1, None)) as writer,
        ):
            writer.commit(Mark(1, 2, None), [])
        assert shop.mark is None

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
