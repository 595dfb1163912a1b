"""At every fault of the dial all rows of all tables come through, first and after changes, into each warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from lockstitch.core.errors import LockstitchError
from lockstitch.sources.closeio import reading
from lockstitch.testing.vendors.close_changes import Restless
from lockstitch.testing.vendors.faults import LASTING, Fault, Meanwhile
from sources.closeio.account import Account
from sources.closeio.faulty import FAULTS, PLACES, at, change, several_pages
from sources.closeio.pipelines import Warehouse, assert_whole, truth

#: One fault of each kind, for the normal run; the long tests meet all of them everywhere.
COVERING = (
    "429, Retry-After as a date",
    "502 in HTML",
    "reset before the answer",
    "last byte missing",
    "chunks without an end",
    "HTML with 200, once",
    "clock ahead",
    "new fields",
)

DUCKDB = pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An account with several pages of everything, as pages are small, and all that is hostile."""
    monkeypatch.setattr(reading, "LEADS", 15)
    monkeypatch.setattr(reading, "ACTIVITIES", 15)
    monkeypatch.setattr(reading, "OTHERS", 4)
    with Account(tmp_path, several_pages()) as server:
        yield server


def assert_survived(account: Account, warehouse: Warehouse, place: str, fault: Fault) -> None:
    account.query_works = place != "/data/search/"
    for round_number in range(2):
        account.faults.clear()
        account.faults.add(at(place, fault, after=1 - round_number))
        warehouse.run(account)
        assert account.faults.met
        assert_whole(account, warehouse)
        change(account.data, round_number)
    account.faults.clear()
    warehouse.run(account)
    assert_whole(account, warehouse)


@pytest.mark.parametrize(("name", "place"), list(zip(COVERING, cycle(PLACES), strict=False)))
@DUCKDB
def test_all_rows_come_through_each_fault(account: Account, warehouse: Warehouse, name: str, place: str) -> None:
    assert_survived(account, warehouse, place, FAULTS[name])


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_all_rows_come_through_into_postgres(account: Account, warehouse: Warehouse) -> None:
    assert_survived(account, warehouse, "/activity/", FAULTS["last byte missing"])


@pytest.mark.long
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", FAULTS)
def test_all_rows_come_through_each_fault_everywhere(
    account: Account, warehouse: Warehouse, name: str, place: str
) -> None:
    assert_survived(account, warehouse, place, FAULTS[name])


# --- faults that last -------------------------------------------------------------------------------------------------


def assert_kept(account: Account, warehouse: Warehouse, place: str, fault: Fault) -> None:
    """Break the second job for good at one place, and let the third one go on."""
    account.query_works = place != "/data/search/"
    warehouse.run(account)
    change(account.data, 0)
    account.faults.add(replace(fault, on=place, after=0))
    error = failed(account, warehouse)
    assert error.hint or error.verdict == "retry"
    assert place.removeprefix("/v1") in str(error) or "Close refuses the API key" in str(error)
    assert account.key not in str(error)
    assert account.faults.met
    read_before = {
        "/activity/": ["custom_fields", "leads"],
        "/user/": ["custom_fields", "leads", "activities", "tasks"],
    }
    for stream in read_before.get(place, []):
        found, _ = warehouse.records(stream)
        wanted = truth(account, stream)
        assert wanted.items() <= found.items(), stream
    account.faults.clear()
    change(account.data, 1)
    warehouse.run(account)
    assert_whole(account, warehouse)


def failed(account: Account, warehouse: Warehouse) -> LockstitchError:
    """Return the error that a job ends with, whether it is told by its lane or before."""
    try:
        error: Any = warehouse.carried(account).lanes[0].error
    except LockstitchError as before:
        error = before
    assert isinstance(error, LockstitchError)
    return error


@pytest.mark.parametrize(("name", "place"), [("forbidden", "/user/"), ("cut always", "/activity/")])
@DUCKDB
def test_what_stops_a_job_is_named_and_the_next_one_goes_on(
    account: Account, warehouse: Warehouse, name: str, place: str
) -> None:
    assert_kept(account, warehouse, place, LASTING[name])


@pytest.mark.long
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", LASTING)
def test_what_stops_a_job_anywhere_is_named_and_the_next_one_goes_on(
    account: Account, warehouse: Warehouse, name: str, place: str
) -> None:
    assert_kept(account, warehouse, place, LASTING[name])


# --- records that change while they are paged -------------------------------------------------------------------------


def assert_nothing_lost(account: Account, warehouse: Warehouse, seed: int, *, query_works: bool) -> None:
    account.query_works = query_works
    restless = Restless(account.data, seed)
    for _ in range(2):
        account.faults.add(Meanwhile(times=None, call=restless))
        warehouse.run(account)
        account.faults.clear()
        account.data.clock.advance(timedelta(minutes=20))
    assert restless.calls > 10
    warehouse.run(account)
    assert_whole(account, warehouse)


@pytest.mark.parametrize("query_works", [True, False])
@DUCKDB
def test_what_changes_while_it_is_paged_is_not_lost(account: Account, warehouse: Warehouse, query_works: bool) -> None:
    assert_nothing_lost(account, warehouse, 1, query_works=query_works)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
@pytest.mark.parametrize("query_works", [True, False])
def test_whatever_changes_while_it_is_paged_is_not_lost(
    account: Account, warehouse: Warehouse, query_works: bool, seed: int
) -> None:
    assert_nothing_lost(account, warehouse, seed, query_works=query_works)
