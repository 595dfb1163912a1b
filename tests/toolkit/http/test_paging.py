"""A list that is paged by offsets while it changes loses nothing that was there all the time; tokens are followed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstitch.core.errors import SourceDataError
from lockstitch.toolkit.http.paging import by_offset, by_token

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

    def page(self, skip: int) -> tuple[list[dict[str, Any]], bool]:
        for what, number in self.to_come[self.asked] if self.asked < len(self.to_come) else []:
            self._do(what, number)
        self.asked += 1
        found = sorted(self.records.values(), key=self.order)
        return [dict(one) for one in found[skip : skip + self.size]], skip + self.size < len(found)

    def pages(self) -> Iterator[tuple[list[tuple[tuple[str, str], dict[str, Any]]], bool]]:
        return by_offset(self.page, lambda one: (one["id"], one["date_updated"]))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 40), st.integers(2, 9), st.sampled_from(sorted(ORDERS)), changes)
def test_whatever_stays_is_read(count: int, size: int, order: str, to_come: list[list[Change]]) -> None:
    """What is updated meanwhile may be missed, as it is new to the next job."""
    listed = Listed(count, size, order, to_come)
    stamps = [stamp for records, _ in listed.pages() for stamp, _ in records]
    assert listed.at_first - listed.ever_changed <= {name for name, _ in stamps}
    assert len(set(stamps)) == len(stamps)
    assert listed.asked < 500


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 40), st.integers(2, 9))
def test_a_quiet_list_costs_no_page_twice(count: int, size: int) -> None:
    listed = Listed(count, size, "by creation", [])
    pages = list(listed.pages())
    assert sum(len(records) for records, _ in pages) == count
    assert listed.asked == max(1, 1 + -(-(count - size) // (size - 1)))
    assert [more for _, more in pages] == [True] * (len(pages) - 1) + [False]


def test_a_page_of_one_is_walked_too() -> None:
    listed = Listed(5, 1, "by creation", [])
    assert len([one for records, _ in listed.pages() for one in records]) == 5


def asked(following: dict[str | None, str | None]) -> tuple[list[str | None], Callable[[str | None], Any]]:
    """Return what is asked for, and an API whose pages tell these tokens."""
    seen: list[str | None] = []

    def ask(token: str | None) -> tuple[str, str | None]:
        seen.append(token)
        return f"page {token}", following[token]

    return seen, ask


@pytest.mark.parametrize("last", [None, "", "b"], ids=["no token", "an empty token", "its own token"])
def test_tokens_are_followed_to_the_last_page(last: str | None) -> None:
    seen, ask = asked({None: "a", "a": "b", "b": last})
    assert list(by_token(ask)) == [("page None", "a"), ("page a", "b"), ("page b", None)]
    assert seen == [None, "a", "b"]


def test_a_list_goes_on_from_a_token() -> None:
    seen, ask = asked({"a": "b", "b": None})
    assert list(by_token(ask, "a")) == [("page a", "b"), ("page b", None)]
    assert seen == ["a", "b"]


@settings(max_examples=100, deadline=None)
@given(before=st.integers(0, 40), around=st.integers(2, 40), begins=st.booleans())
def test_a_circle_is_told_before_long(before: int, around: int, begins: bool) -> None:
    count = before + around
    following: dict[str | None, str | None] = {str(at): str(at + 1) for at in range(count)}
    following |= {None: "0", str(count - 1): str(before)}
    seen, ask = asked(following)
    with pytest.raises(SourceDataError, match="lead in a circle"):
        for _ in by_token(ask, "0" if begins else None):
            pass
    assert len(seen) <= 3 * count + 4
