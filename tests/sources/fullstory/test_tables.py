"""The server API's lists and settings: only what has changed is delivered, at the cost of a request where it can be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from lockstitch.core.model import Batch, Checkpoint, Json, Message, Publish, Selected, Version
from lockstitch.sources.fullstory import tables
from lockstitch.sources.fullstory.shapes import SETTINGS, TABLES
from lockstitch.testing.vendors.faults import ChangedSchema, Failure
from lockstitch.testing.vendors.fullstory_data import SETTING_STREAMS, stamp
from lockstitch.testing.vendors.messages import Record
from sources.fullstory.account import Account, counted, cursors, rows, shape, truth

ALL = [*TABLES, *SETTINGS]


def paths(account: Account) -> list[str]:
    return [one.request.path for one in account.server.requests]


@pytest.mark.parametrize("stream", ALL)
def test_all_rows_come_as_fullstory_has_them(account: Account, stream: str) -> None:
    found = rows(account.read(stream))
    assert found
    assert counted(found) == counted(truth(account.server, stream))


@pytest.mark.parametrize("stream", ALL)
def test_what_is_unchanged_costs_a_request_and_writes_nothing(account: Account, stream: str) -> None:
    last = cursors(account.read(stream))[-1]
    account.server.requests.clear()
    assert account.read(stream, last) == [Checkpoint(last)]
    assert len(account.server.requests) == (1 + 25 if stream == "user" else 1)


def test_every_stream_of_the_fake_is_ours() -> None:
    assert set(SETTINGS) == set(SETTING_STREAMS)


# --- lists ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def paged(account: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    """25 users on pages of 10."""
    monkeypatch.setattr("lockstitch.sources.fullstory.api.LIMIT", 10)
    return account


def version(messages: list[Message]) -> int:
    (number,) = {one.number for one in messages if isinstance(one, Version | Publish)}
    return number


@pytest.mark.parametrize("stream", ["users", "user"])
def test_a_list_is_a_version_and_a_changed_one_the_next(paged: Account, stream: str) -> None:
    first = paged.read(stream)
    assert shape(first) == "VBCBCBPC"
    del paged.server.data.users[str(10**15 + 7)]
    paged.server.data.users[str(10**15)]["email"] = "new@example.com"
    second = paged.read(stream, cursors(first)[-1])
    assert version(second) > version(first)
    assert counted(rows(second)) == counted(truth(paged.server, stream))


@pytest.mark.parametrize("stream", ["users", "user"])
def test_an_interrupted_version_goes_on_with_its_next_page(paged: Account, stream: str) -> None:
    whole = paged.read(stream)
    half = cursors(whole)[0]
    paged.server.requests.clear()
    rest = paged.read(stream, half)
    assert shape(rest) == "VBCBPC"
    assert version(rest) == version(whole)
    assert rows(rest) == rows(whole)[10:]
    assert cursors(rest)[-1] == cursors(whole)[-1]
    assert paths(paged).count("/v2/users") == 2


def test_a_page_that_fullstory_no_longer_knows_begins_a_new_version(paged: Account) -> None:
    whole = paged.read("users")
    half = cursors(whole)[0]
    assert isinstance(half, dict)
    again = paged.read("users", {**half, "token": "after-1000"})
    assert shape(again) == "VBCBCBPC"
    assert version(again) > version(whole)


def test_a_list_that_is_too_large_to_hold_is_delivered_as_it_comes(
    paged: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "HELD_BYTES", 100)
    first = paged.read("users")
    assert counted(rows(first)) == counted(truth(paged.server, "users"))
    second = paged.read("users", cursors(first)[-1])
    assert version(second) > version(first)
    assert rows(second) == rows(first)


def test_a_first_fill_is_delivered_as_it_comes(paged: Account) -> None:
    source = paged.source()
    (users,) = [one for one in source.discover() if one.name == "users"]
    (lane,) = source.lanes([Selected(users)])
    messages = source.read(lane, None)
    assert isinstance(next(messages), Version)
    assert isinstance(next(messages), Batch)
    assert len(paged.server.requests) == 1


def test_an_empty_list_empties_the_table_once(account: Account) -> None:
    first = account.read("users")
    account.server.data.users.clear()
    second = account.read("users", cursors(first)[-1])
    assert shape(second) == "VPC"
    assert shape(account.read("users", cursors(second)[-1])) == "C"


def test_a_user_who_is_deleted_in_between_is_left_out(account: Account) -> None:
    account.server.faults.add(Failure(status=404, on=f"/v2/users/{10**15 + 3}"))
    found = rows(account.read("user"))
    assert len(found) == 24


def test_users_are_asked_for_one_by_one_only_where_that_is_wanted(account: Account) -> None:
    account.read("users")
    assert paths(account) == ["/v2/users"]


def test_only_wanted_fields_come_and_the_key(account: Account) -> None:
    found = rows(account.read("users", fields=frozenset({"email"})))
    assert {frozenset(row) for row in found} == {frozenset({"id", "email"})}


@pytest.mark.parametrize("stream", ["users", "user", "block_rules", "block_rules_history"])
def test_fields_that_fullstory_adds_are_told_where_fields_are_chosen(
    account: Account, caplog: pytest.LogCaptureFixture, stream: str
) -> None:
    account.server.faults.add(ChangedSchema())
    account.read(stream)
    assert caplog.messages == []
    account.read(stream, fields=frozenset({"id", "email"}))
    assert caplog.messages == [
        f"{stream}: left out brand_new, brand_new_nested, which FullStory also sends: "
        "where fields are chosen, those it adds are not"
    ]


# --- settings ---------------------------------------------------------------------------------------------------------


def change(account: Account, setting: str, ago: timedelta = timedelta(), **values: Any) -> Record:
    versions = account.server.data.settings[setting]
    changed = stamp(account.server.clock.now() - ago)
    versions.append({**versions[-1], **values, "metadata": {**versions[-1]["metadata"], "lastUpdated": changed}})
    return versions[-1]


def updated(cursor: Json) -> object:
    assert isinstance(cursor, dict)
    return cursor["lastUpdated"]


@pytest.mark.parametrize("stream", ["geo_settings_history", "block_rules_history"])
def test_a_new_version_alone_is_delivered(account: Account, stream: str) -> None:
    first = account.read(stream)
    change(account, SETTING_STREAMS[stream][0])
    second = account.read(stream, cursors(first)[-1])
    assert [*rows(first), *rows(second)] == truth(account.server, stream)
    assert len(rows(second)) == 1
    assert updated(cursors(second)[-1]) == "2026-06-15T12:00:00.000000Z"


def test_a_setting_that_has_changed_is_a_new_row(account: Account) -> None:
    first = account.read("block_rules")
    change(account, "blocking", blockedUas=["bot"])
    second = account.read("block_rules", cursors(first)[-1])
    assert rows(second) == truth(account.server, "block_rules")
    assert rows(second)[0]["blockedUas"] == ["bot"]


def test_changes_of_one_moment_are_each_delivered_once(account: Account) -> None:
    change(account, "geo", recordGeoMode="A")
    first = account.read("geo_settings_history")
    change(account, "geo", recordGeoMode="B")
    second = account.read("geo_settings_history", cursors(first)[-1])
    assert [row["recordGeoMode"] for row in rows(second)] == ["B"]
    change(account, "geo", recordGeoMode="C")
    third = account.read("geo_settings_history", cursors(second)[-1])
    assert [row["recordGeoMode"] for row in rows(third)] == ["C"]
    assert shape(account.read("geo_settings_history", cursors(third)[-1])) == "C"


def test_versions_before_the_start_date_are_left_out(account: Account) -> None:
    found = account.read("geo_settings_history", start_date="2026-05-20")
    assert rows(found) == truth(account.server, "geo_settings_history")[1:]
    assert account.server.requests[-1].request.get("updated_since") == "2026-05-20T00:00:00.000000Z"


def test_a_setting_without_a_moment_is_delivered_once(account: Account) -> None:
    versions = account.server.data.settings["blocking"]
    versions[-1] = {"blockedIps": ["192.0.2.1"]}
    first = account.read("block_rules")
    assert rows(first) == [{"blockedIps": ["192.0.2.1"]}]
    assert shape(account.read("block_rules", cursors(first)[-1])) == "C"
    versions[-1] = {}
    assert shape(account.read("block_rules", cursors(first)[-1])) == "C"


def test_what_a_setting_itself_has_under_a_keys_name_stays(account: Account) -> None:
    versions = account.server.data.settings["blocking"]
    versions[-1] = {**versions[-1], "createdBy": "its own"}
    (row,) = rows(account.read("block_rules"))
    assert row["createdBy"] == "its own"
    assert row["metadata"]["createdBy"] == "a@example.com"


def test_numbers_keep_their_digits(account: Account) -> None:
    change(account, "privacy", elementBlocks=[{"groupId": 2**63 - 1}])
    assert rows(account.read("privacy_settings"))[0]["elementBlocks"] == [{"groupId": 2**63 - 1}]


def test_settings_of_many_versions_come_in_pages(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockstitch.sources.fullstory.api.LIMIT", 2)
    assert rows(account.read("geo_settings_history")) == truth(account.server, "geo_settings_history")
    assert len(account.server.requests) == 2


def test_keys_are_in_every_batch(account: Account) -> None:
    for stream in SETTINGS:
        for one in account.read(stream, fields=frozenset({"metadata"})):
            if isinstance(one, Batch):
                assert set(one.rows.schema.names) == {"created", "createdBy", "lastUpdated", "metadata"}
