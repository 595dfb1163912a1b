"""The table of consequences of `spec/source-heap.md` section 6, and its rules one by one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstitch.core.model import Json
from lockstitch.sources.heap.selection import Cursor, Delivery, Position, choose, held_at, read_cursor

TABLE = "users"


def key(dump: int, part: int = 0) -> str:
    return f"sync_{dump}/{TABLE}/part-{part:05}-5ea1-c000.avro"


def full(dump: int, files: int = 2) -> Delivery:
    return Delivery(dump, TABLE, tuple(key(dump, part) for part in range(files)), incremental=False)


def incremental(dump: int, files: int = 2) -> Delivery:
    return Delivery(dump, TABLE, tuple(key(dump, part) for part in range(files)))


def bookmark(dump: int, part: int = 0, version: int | None = 7) -> dict[str, Json]:
    found: dict[str, Json] = {"file": key(dump, part)}
    return found if version is None else found | {"version": version}


def both(dump: int) -> list[str]:
    return [key(dump, 0), key(dump, 1)]


@dataclass(frozen=True)
class Row:
    """One situation: what is in the bucket, where we stand, what is read."""

    deliveries: list[Delivery]
    cursor: Json
    files: list[str]
    new_version: bool


ROWS = {
    "first run, full 123, incremental 124, 125": Row(
        [full(123), incremental(124), incremental(125)], None, [*both(123), *both(124), *both(125)], True
    ),
    "first run, full 123 and 125": Row([full(123), incremental(124), full(125)], None, both(125), True),
    "first run, only incremental": Row([incremental(124), incremental(125)], None, [*both(124), *both(125)], True),
    "state in 124, full 123": Row(
        [full(123), incremental(124), incremental(125)], bookmark(124), [key(124, 1), *both(125)], False
    ),
    "state in 124, full 125": Row(
        [full(123), incremental(124), full(125), incremental(126)], bookmark(124), [*both(125), *both(126)], True
    ),
    "state in full 124": Row([full(124), incremental(125)], bookmark(124), [key(124, 1), *both(125)], False),
    "version lost": Row([full(123), incremental(124)], bookmark(124, version=None), [*both(123), *both(124)], True),
    "nothing new": Row([full(123), incremental(124)], bookmark(124, 1), [], False),
    "nothing new, state at the end of full 124": Row([full(123), full(124)], bookmark(124, 1), [], False),
    "file lost, as Heap rewrote the dump": Row([full(123), incremental(124)], bookmark(124, 9), both(124), False),
    "dumps 9 and 10, as numbers": Row([incremental(10), incremental(9)], None, [*both(9), *both(10)], True),
    "parts 9 and 10, as numbers": Row(
        [Delivery(1, TABLE, ("sync_1/users/10_users.avro", "sync_1/users/9_users.avro"))],
        None,
        ["sync_1/users/9_users.avro", "sync_1/users/10_users.avro"],
        True,
    ),
    "a dump id of 10 digits": Row([full(1008461850), full(999999999)], None, both(1008461850), True),
    "empty full dump": Row([full(123), full(124, files=0)], bookmark(123, 1), [], True),
    "empty full dump, then incremental": Row(
        [full(123), full(124, files=0), incremental(125)], bookmark(123, 1), both(125), True
    ),
    "after an empty full dump": Row(
        [full(123), full(124, files=0), incremental(125)], {"file": None, "version": 7, "dump": 124}, both(125), False
    ),
    "nothing new after an empty full dump": Row(
        [full(123), full(124, files=0)], {"file": None, "version": 7, "dump": 124}, [], False
    ),
    "a manifest that does not name the table": Row([], bookmark(124), [], False),
    "a state whose file is of no dump": Row([full(123)], {"file": "elsewhere/x.avro", "version": 7}, both(123), True),
    "a file named twice": Row([full(123), Delivery(124, TABLE, (key(123),))], None, both(123), True),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_consequences(row: Row) -> None:
    choice = choose(row.deliveries, read_cursor(row.cursor))
    assert [file.key for file in choice.files] == row.files
    assert choice.new_version == row.new_version


def test_a_full_dump_ends_a_version_that_is_still_being_filled() -> None:
    filling = Cursor(Position(key(123, 0)), 7, filling=True)
    choice = choose([full(123), full(125)], filling)
    assert [file.key for file in choice.files] == both(125)
    assert choice.new_version


CURSORS = [
    Cursor(Position(key(1)), 7),
    Cursor(Position(key(1)), 7, modified="2026-01-01T00:00:00+00:00"),
    Cursor(Position(None, 12), 7),
    Cursor(Position(key(2)), 8, filling=True),
    Cursor(Position(key(2)), 8, filling=True, published=Position(key(1))),
    Cursor(Position(key(2)), 8, filling=True, published=Position(None, 1)),
]


@pytest.mark.parametrize("cursor", CURSORS, ids=str)
def test_a_cursor_survives_json(cursor: Cursor) -> None:
    assert read_cursor(cursor.to_json()) == cursor


def test_a_cursor_is_the_taps_bookmark_with_more_in_it() -> None:
    assert Cursor(Position(key(1)), 7).to_json() == {"file": key(1), "version": 7}


HELD = {
    "all of full 123": (Position(key(123, 1)), both(123)),
    "half of full 123": (Position(key(123, 0)), [key(123, 0)]),
    "full 123 and half of 124": (Position(key(124, 0)), [*both(123), key(124, 0)]),
    "full 125 alone": (Position(key(125, 1)), both(125)),
    "an empty dump 126": (Position(None, 126), both(125)),
    "a file that Heap has rewritten": (Position(key(124, 9)), [*both(123), *both(124)]),
    "before everything": (Position(key(1)), []),
}


@pytest.mark.parametrize(("position", "files"), HELD.values(), ids=HELD)
def test_what_the_table_holds_at_a_position(position: Position, files: list[str]) -> None:
    deliveries = [full(123), incremental(124), full(125), incremental(126, files=0), incremental(127)]
    assert [file.key for file in held_at(deliveries, position)] == files


dumps = st.lists(
    st.tuples(st.integers(1, 30), st.booleans(), st.integers(0, 3)), unique_by=lambda dump: dump[0], max_size=8
).map(lambda dumps: [(incremental if each else full)(dump, files) for dump, each, files in sorted(dumps)])


@given(dumps, st.data())
def test_what_was_read_in_pieces_is_what_the_table_holds(deliveries: list[Delivery], data: st.DataObject) -> None:
    """Dumps arrive one after another, reading stops anywhere: the files since the last new version are the table's."""
    held: list[str] = []
    cursor: Cursor | None = None
    arrived = 0
    for _ in range(6):
        arrived = data.draw(st.integers(arrived, len(deliveries)))
        if arrived == 0:
            continue
        choice = choose(deliveries[:arrived], cursor)
        if choice.new_version:
            held = []
            cursor = Cursor(Position(None, choice.newest), 1)
        assert cursor is not None
        for file in choice.files[: data.draw(st.integers(0, len(choice.files)))]:
            held.append(file.key)
            cursor = cursor.moved(file.key, None)
        if not held and choice.files:
            cursor = None  # nothing was committed yet
    if cursor is not None and held:
        assert held == [file.key for file in held_at(deliveries, cursor.position)]
