"""A list that is paged by offsets while it changes loses nothing that was there all the time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstitch.sources.closeio.api import Page, stamp_of, walk

#: What happens to the list before a page is asked for: a record is added, deleted, or updated. Numbers choose it.
Change = tuple[str, int]
changes = st.lists(
    st.lists(st.tuples(st.sampled_from(["add", "delete", "update"]), st.integers(0, 1000)), max_size=4), max_size=30
)

#: Orders that lists may be in. An update moves a record in some of them.
ORDERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "by creation": lambda one: one["date_created"],
    "newest first": lambda one: _reversed(one["date_created"]),
    "by update": lambda one: one["date_updated"],
    "latest update first": lambda one: _reversed(one["date_updated"]),
    "by id": lambda one: one["id"],
}


def _reversed(text: str) -> str:
    return "".join(chr(255 - ord(letter)) for letter in text)


class Listed:
    """A list of a vendor's, which changes before each page as it is told."""

    def __init__(self, count: int, size: int, order: str, to_come: list[list[Change]]) -> None:
        self.clock = 0
        self.size = size
        self.order = ORDERS[order]
        self.to_come = to_come
        self.records: dict[str, dict[str, Any]] = {}
        self.ever_changed: set[str] = set()
        self.asked = 0
        for _ in range(count):
            self._do("add", 0)
        self.at_first = set(self.records)

    def _do(self, what: str, number: int) -> None:
        self.clock += 1
        now = f"{self.clock:06}"
        ids = list(self.records)
        if what == "add":
            # Ids are not in the order of creation.
            name = f"{self.clock * 7919 % 10007:05}"
            self.records[name] = {"id": name, "date_created": now, "date_updated": now}
        elif ids and what == "delete":
            del self.records[ids[number % len(ids)]]
            self.ever_changed.add(ids[number % len(ids)])
        elif ids:
            self.records[ids[number % len(ids)]]["date_updated"] = now
            self.ever_changed.add(ids[number % len(ids)])

    def page(self, skip: int) -> Page:
        for what, number in self.to_come[self.asked] if self.asked < len(self.to_come) else []:
            self._do(what, number)
        self.asked += 1
        found = sorted(self.records.values(), key=self.order)
        shown = [msgspec.Raw(json.dumps(one).encode()) for one in found[skip : skip + self.size]]
        return Page(shown, has_more=skip + self.size < len(found))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 40), st.integers(2, 9), st.sampled_from(sorted(ORDERS)), changes)
def test_whatever_stays_is_read(count: int, size: int, order: str, to_come: list[list[Change]]) -> None:
    """What is updated meanwhile may be missed, as it is new to the next job."""
    listed = Listed(count, size, order, to_come)
    stamps = [stamp for records, _ in walk(listed.page) for stamp, _ in records]
    assert listed.at_first - listed.ever_changed <= {stamp.id for stamp in stamps}
    assert len(set(stamps)) == len(stamps)
    assert listed.asked < 500


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 40), st.integers(2, 9))
def test_a_quiet_list_costs_no_page_twice(count: int, size: int) -> None:
    listed = Listed(count, size, "by creation", [])
    pages = list(walk(listed.page))
    assert sum(len(records) for records, _ in pages) == count
    assert listed.asked == max(1, 1 + -(-(count - size) // (size - 1)))
    assert [more for _, more in pages] == [True] * (len(pages) - 1) + [False]


def test_a_page_of_one_is_walked_too() -> None:
    listed = Listed(5, 1, "by creation", [])
    assert len([one for records, _ in walk(listed.page) for one in records]) == 5


def test_dates_of_another_type_count_as_none() -> None:
    stamp = stamp_of(msgspec.Raw(b'{"id": "a", "date_updated": {"text": "now"}, "date_created": "2026"}'))
    assert (stamp.id, stamp.date_updated, stamp.date_created) == ("a", None, None)
