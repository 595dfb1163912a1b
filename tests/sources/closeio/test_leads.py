"""Leads are read in the order of their updates, by the query or by the search, and none is missed."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from lockstitch.core.errors import SourceDataError
from lockstitch.testing.vendors.close_data import stamp
from lockstitch.testing.vendors.faults import ChangedSchema, Failure, Meanwhile
from lockstitch.testing.vendors.messages import Request
from sources.closeio.account import NOW, Account, ago

ONLY = ("leads",)


def leads(account: Account, count: int, *, apart: timedelta) -> list[str]:
    """Add leads, the newest an hour ago, and return their ids, oldest update first."""
    newest = ago(hours=1)
    return [account.lead(number, newest - (count - number) * apart)["id"] for number in range(count)]


def test_all_come_in_the_order_of_their_updates_over_several_pages(account: Account) -> None:
    ids = leads(account, 450, apart=timedelta(minutes=5))
    read = account.read(only=ONLY)
    assert read.ids("leads") == ids
    assert read.position("leads") == ago(hours=1) - timedelta(minutes=5)
    queries = [asked["query"] for asked in account.asked("/lead/")]
    assert len(queries) == 3
    assert queries[0] == 'date_updated>="2026-05-01T00:00" sort:date_updated'
    assert all(re.fullmatch(r'date_updated>="2026-\d\d-\d\dT\d\d:\d\d" sort:date_updated', one) for one in queries)


def test_within_the_bookmarks_minute_only_what_is_not_older_comes(account: Account) -> None:
    for number, seconds in enumerate((10, 20, 30, 40)):
        account.lead(number, NOW.replace(minute=0, second=seconds))
    state = {"bookmarks": {"leads": {"date_updated": "2026-06-15T12:00:30+00:00"}}}
    read = account.read(account.source().cursors(state)["closeio"], only=ONLY)
    assert read.ids("leads") == ["lead_00002", "lead_00003"]


def test_what_was_delivered_comes_once_and_what_shares_its_moment_comes_later(account: Account) -> None:
    at = ago(hours=2)
    account.lead(1, at)
    account.lead(2, at)
    first = account.read(only=ONLY)
    assert account.read(first.cursor, only=ONLY).rows("leads") == []
    account.lead(3, at)
    second = account.read(first.cursor, only=ONLY)
    assert second.ids("leads") == ["lead_00003"]
    assert account.read(second.cursor, only=ONLY).rows("leads") == []


def test_very_many_at_one_moment_do_not_fill_the_cursor(account: Account) -> None:
    at = ago(hours=2)
    for number in range(1100):
        account.lead(number, at)
    first = account.read(only=ONLY)
    assert len(first.ids("leads")) == 1100
    assert len(str(first.cursor)) < 1000
    assert sorted(account.read(first.cursor, only=ONLY).ids("leads")) == sorted(first.ids("leads"))


def test_a_lead_of_the_future_comes_and_does_not_move_the_position(account: Account) -> None:
    account.lead(1, ago(hours=1))
    account.lead(2, NOW + timedelta(days=2))
    read = account.read(only=ONLY)
    assert read.ids("leads") == ["lead_00001", "lead_00002"]
    assert read.position("leads") == ago(hours=1)


def test_more_leads_than_close_lists_are_asked_for_from_later_on(account: Account) -> None:
    account.max_skip["lead"] = 250
    ids = leads(account, 900, apart=timedelta(minutes=1))
    assert account.read(only=ONLY).ids("leads") == ids
    assert account.count("/data/search/") == 0


def test_more_leads_in_one_minute_than_close_lists_are_searched_for(account: Account) -> None:
    account.max_skip["lead"] = 300
    ids = leads(account, 700, apart=timedelta(milliseconds=5))
    read = account.read(only=ONLY)
    assert set(read.ids("leads")) == set(ids)
    assert account.count("/data/search/") > 0
    assert account.read(read.cursor, only=ONLY).rows("leads") == []


# --- the search -------------------------------------------------------------------------------------------------------


def test_where_the_query_is_ignored_the_search_gives_the_same_rows(account: Account) -> None:
    leads(account, 450, apart=timedelta(minutes=5))
    for number, lead in enumerate(account.data.leads.values()):
        lead.update({"contacts": [{"id": f"cont_{number}"}], "custom.cf_1": number, "custom": {"One": number}})
    asked = account.read(only=ONLY)
    account.query_works = False
    searched = account.read(only=ONLY)
    assert account.count("/data/search/") > 0
    assert searched.rows("leads") == asked.rows("leads")
    assert searched.cursor == asked.cursor
    account.data.clock.advance(timedelta(minutes=1))
    account.data.update("leads", "lead_00007", {"name": "new"})
    assert [row["name"] for row in account.read(searched.cursor, only=ONLY).rows("leads")] == ["new"]


def test_where_the_query_is_refused_leads_are_searched_for(account: Account) -> None:
    account.refused = {"query"}
    ids = leads(account, 250, apart=timedelta(minutes=5))
    assert account.read(only=ONLY).ids("leads") == ids


def test_a_search_ends_although_leads_are_newer_than_the_job(account: Account) -> None:
    account.query_works = False
    leads(account, 300, apart=timedelta(minutes=5))

    def change(_: Request) -> None:
        account.data.clock.advance(timedelta(seconds=30))
        account.data.update("leads", "lead_00003", {"name": stamp(account.data.clock.now())})

    account.faults.add(Meanwhile(call=change, on="/data/search/", times=None))
    read = account.read(only=ONLY)
    assert len(set(read.ids("leads"))) == 300
    assert account.count("/data/search/") < 10
    assert read.position("leads") <= NOW


def test_a_search_whose_cursor_is_forgotten_goes_on_from_where_it_came_to(account: Account) -> None:
    account.query_works = False
    ids = leads(account, 700, apart=timedelta(minutes=5))
    account.faults.add(Meanwhile(call=lambda _: account._searches.clear(), on="/data/search/", times=2))
    assert account.read(only=ONLY).ids("leads") == ids


def test_a_search_that_is_refused_is_an_error(account: Account) -> None:
    account.query_works = False
    leads(account, 3, apart=timedelta(minutes=5))
    account.faults.add(Failure(status=400, on="/data/search/", times=None))
    with pytest.raises(SourceDataError, match=r"400 Response: .*POST /data/search/"):
        account.read(only=ONLY)


# --- records in another form ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["missing", "retyped"])
def test_leads_without_a_date_of_update_come_each_time(account: Account, change: str) -> None:
    ids = leads(account, 250, apart=timedelta(minutes=5))
    account.faults.add(ChangedSchema(change=change, field="date_updated", on="/lead/"))  # pyright: ignore[reportArgumentType]
    first = account.read(only=ONLY)
    assert sorted(first.ids("leads")) == ids
    assert sorted(account.read(first.cursor, only=ONLY).ids("leads")) == ids


def test_a_lead_without_an_id_is_an_error_that_shows_it(account: Account) -> None:
    leads(account, 3, apart=timedelta(minutes=5))
    account.faults.add(ChangedSchema(change="missing", field="id", on="/lead/"))
    with pytest.raises(SourceDataError, match=r"a record that has no id .* it begins with .*Lead 0"):
        account.read(only=ONLY)
