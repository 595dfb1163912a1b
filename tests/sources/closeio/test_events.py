"""The event log: 30 days of it, newest first, and the deletions that nothing else tells of."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from lockstitch.core.errors import AccessError, LockstitchError, TransientError
from lockstitch.testing.vendors.close_account import add_events
from lockstitch.testing.vendors.faults import ChangedSchema, Failure
from sources.closeio.account import NOW, Account, ago

ONLY = ("event_log",)
FIVE_MINUTES = timedelta(minutes=5)


def test_all_pages_come_by_the_cursor_and_the_filter_is_repeated(account: Account) -> None:
    for number in range(120):
        account.event(number, ago(hours=200 - number))
    read = account.read(only=ONLY)
    assert sorted(read.ids("event_log")) == sorted(account.data.events)
    asked = account.asked("/event/")[1:]
    assert len(asked) == 3
    assert all(one["date_updated__gte"] == "2026-05-01T00:00:00" for one in asked)
    assert ["_cursor" in one for one in asked] == [False, True, True]
    assert read.position("event_log") == ago(hours=81)


def test_only_thirty_days_come_at_first(account: Account) -> None:
    account.event(1, ago(days=31))
    account.event(2, ago(days=29))
    assert account.read(only=ONLY, start_date="2020-01-01").ids("event_log") == ["ev_00002"]


def test_the_last_five_minutes_are_read_again_as_events_go_on_changing(account: Account) -> None:
    account.event(1, ago(hours=1))
    account.event(2, ago(minutes=4), changed_fields=["name"])
    first = account.read(only=ONLY)
    assert first.position("event_log") == NOW - FIVE_MINUTES
    account.data.events["ev_00002"].update(changed_fields=["name", "url"], date_updated=ago(minutes=3).isoformat())
    second = account.read(first.cursor, only=ONLY)
    assert [(row["id"], row["changed_fields"]) for row in second.rows("event_log")] == [("ev_00002", ["name", "url"])]


def test_an_event_that_close_does_not_change_any_more_comes_once(account: Account) -> None:
    account.event(1, ago(hours=1))
    first = account.read(only=ONLY)
    account.event(2, ago(hours=1))  # of the very same moment
    second = account.read(first.cursor, only=ONLY)
    assert (first.ids("event_log"), second.ids("event_log")) == (["ev_00001"], ["ev_00002"])
    assert account.read(second.cursor, only=ONLY).ids("event_log") == []


def test_changes_of_one_object_are_one_event_in_the_end(account: Account) -> None:
    account.lead(1, ago(days=1))
    account.data.update("leads", "lead_00001", {"name": "first"})
    first = account.read(only=ONLY)
    account.data.clock.advance(timedelta(minutes=3))
    account.data.update("leads", "lead_00001", {"description": "second"})
    second = account.read(first.cursor, only=ONLY)
    assert first.ids("event_log") == second.ids("event_log")
    assert second.rows("event_log")[0]["changed_fields"] == ["description", "name"]


def test_data_come_as_the_text_of_their_json(account: Account) -> None:
    data = {"id": "lead_1", "big": 2**53 + 1, "exact": 0.1, "text": '☃ "', "list": [None]}
    account.event(1, ago(hours=1), data=data, previous_data={"name": "before"})
    account.event(2, ago(hours=2), data=None)
    account.event(3, ago(hours=3), data=[1], previous_data="text")
    account.event(4, ago(hours=4))
    rows = {row["id"]: row for row in account.read(only=ONLY).rows("event_log")}
    texts = {name: (row["data"], row["previous_data"]) for name, row in rows.items()}
    assert texts.pop("ev_00001") == (json.dumps(data, ensure_ascii=False), '{"name": "before"}')
    assert texts == {"ev_00002": (None, None), "ev_00003": ("[1]", '"text"'), "ev_00004": (None, None)}


def test_without_an_admins_key_older_events_have_no_data(account: Account) -> None:
    account.admin = False
    account.event(1, ago(hours=2), data={"a": 1}, previous_data={"a": 0})
    account.event(2, ago(minutes=30), data={"a": 2}, previous_data={"a": 1})
    rows = {row["id"]: row["data"] for row in account.read(only=ONLY).rows("event_log")}
    assert rows == {"ev_00001": None, "ev_00002": '{"a": 2}'}


def test_events_of_none_or_of_any_form_do_no_harm(account: Account) -> None:
    for number in range(3):
        account.event(number, ago(hours=1), action=None, object_type={"name": "lead"}, object_id=None, meta=None)
    account.faults.add(ChangedSchema(change="missing", field="date_updated", on="/event/"))
    assert len(account.read().ids("event_log")) == 3


def test_a_gap_of_more_than_thirty_days_is_told(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    account.event(1, ago(days=1))
    first = account.read(only=ONLY)
    account.data.clock.advance(timedelta(days=29))
    account.event(2, ago(days=-20))
    second = account.read(first.cursor, only=ONLY)
    assert "are lost" not in caplog.text
    account.data.clock.advance(timedelta(days=45))
    account.read(second.cursor, only=ONLY)
    assert "event_log: read up to 2026-07-05T12:00:45+00:00 so far" in caplog.text


def test_a_log_that_is_selected_after_more_than_thirty_days_tells_of_the_gap(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    first = account.read(only=("leads",))
    account.data.clock.advance(timedelta(days=29))
    account.read(first.cursor, only=("leads", "event_log"))
    assert "are lost" not in caplog.text
    account.data.clock.advance(timedelta(days=2))
    account.read(first.cursor, only=("leads", "event_log"))
    assert "event_log: read up to 2026-06-15T12:00:45+00:00 so far" in caplog.text


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_a_plan_without_the_log_leaves_the_stream_out(account: Account) -> None:
    account.faults.add(Failure(status=400, on="/event/", times=None))
    account.lead(1, ago(hours=1))
    source = account.source()
    assert "event_log" not in [stream.name for stream in source.discover()]
    source.close()
    assert account.read().ids("leads") == ["lead_00001"]


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (401, AccessError, "Close refuses the API key"),
        (402, AccessError, r"GET /event/ is not open to this key \(402\)"),
        (403, AccessError, r"GET /event/ is not open to this key \(403\)"),
        (418, LockstitchError, "GET /event/ answers 418"),
        (500, TransientError, "GET /event/ answers 500"),
    ],
)
def test_any_other_error_fails_check_and_discovery(account: Account, status: int, kind: Any, text: str) -> None:
    account.faults.add(Failure(status=status, on="/event/", times=None))
    source = account.source()
    for attempt in (source.check, source.discover):
        with pytest.raises(kind, match=text):
            attempt()
    source.close()


def test_a_wrong_key_is_told_without_being_shown(account: Account) -> None:
    source = account.source(api_key="api_wrong.secret")
    with pytest.raises(AccessError, match="Close refuses the API key: The API key is missing") as raised:
        source.check()
    assert raised.value.hint
    assert "secret" not in str(raised.value)
    source.close()


# --- deletions --------------------------------------------------------------------------------------------------------


def deletion(account: Account, number: int, object_type: str, object_id: str, **more: Any) -> None:
    at = account.data.clock.now() - timedelta(minutes=1)
    account.event(number, at, action="deleted", object_type=object_type, object_id=object_id, **more)


def test_deletions_since_the_connections_beginning_are_deleted(account: Account) -> None:
    account.event(1, ago(days=2), action="deleted", object_id="lead_00009")
    first = account.read()
    assert first.deleted("leads") == []
    account.data.clock.advance(timedelta(hours=1))
    deletion(account, 2, "lead", "lead_00001")
    deletion(account, 3, "activity.email_thread", "acti_1")
    deletion(account, 4, "task.missed_call", "task_1")
    deletion(account, 5, "custom_fields.lead", "lcf_1")
    deletion(account, 6, "custom_fields.shared", "cf_1")
    deletion(account, 7, "custom_fields.contact", "cf_2")
    deletion(account, 8, "contact", "cont_1")
    deletion(account, 9, "status.lead", "stat_1")
    account.event(10, account.data.clock.now(), action="merged", object_id="lead_00002")
    second = account.read(first.cursor)
    assert {name: sorted(second.deleted(name)) for name in second.streams() - {"event_log"}} == {
        "leads": ["lead_00001"],
        "activities": ["acti_1"],
        "tasks": ["task_1"],
        "custom_fields": ["cf_1", "lcf_1"],
    }


def test_deletions_of_streams_that_are_not_wanted_are_left_out(account: Account) -> None:
    first = account.read(only=("tasks", "event_log"))
    account.data.clock.advance(timedelta(hours=1))
    deletion(account, 1, "lead", "lead_00001")
    deletion(account, 2, "task.lead", "task_1")
    second = account.read(first.cursor, only=("tasks", "event_log"))
    assert second.streams() == {"tasks", "event_log"}
    assert second.deleted("tasks") == ["task_1"]


def test_a_record_deleted_while_it_is_read_is_deleted_after_it(account: Account) -> None:
    account.lead(1, ago(days=1))
    first = account.read()
    account.data.clock.advance(timedelta(hours=1))
    account.data.update("leads", "lead_00001", {"name": "new"})
    account.data.delete("leads", "lead_00001")
    second = account.read(first.cursor)
    assert second.rows("leads") == []
    assert second.deleted("leads") == ["lead_00001"]


def test_the_log_is_read_from_its_bookmark_in_a_state(account: Account) -> None:
    add_events(account.data, 0)
    account.event(1, ago(days=3))
    account.event(2, ago(days=1), action="deleted", object_id="lead_00001")
    state = {"bookmarks": {"event_log": {"date_updated": ago(days=2).isoformat()}}}
    read = account.read(account.source().cursors(state)["closeio"])
    assert read.ids("event_log") == ["ev_00002"]
    # The tap has filled the table, and marks no deletion.
    assert read.deleted("leads") == ["lead_00001"]


def test_without_a_bookmark_of_the_log_all_deletions_that_it_tells_of_count(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    account.event(1, ago(days=40), action="deleted", object_id="lead_00001")
    account.event(2, ago(days=29), action="deleted", object_id="lead_00002")
    state = {"bookmarks": {"leads": {"date_updated": ago(days=2).isoformat()}}}
    read = account.read(account.source().cursors(state)["closeio"])
    assert read.deleted("leads") == ["lead_00002"]
    assert "event_log: read up to 2026-05-01T00:00:00+00:00 so far" in caplog.text
