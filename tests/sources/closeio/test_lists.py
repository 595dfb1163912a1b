"""Lists that Close gives as a whole; selection, requests, and the account of the specification."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from lockstitch.core.errors import SourceDataError
from lockstitch.sources.closeio import reading
from lockstitch.sources.closeio.api import stamp_of
from lockstitch.testing.vendors.close_account import acceptance_account, acceptance_start
from lockstitch.testing.vendors.close_data import stamp
from lockstitch.testing.vendors.faults import Burst429, Failure
from sources.closeio.account import NOW, Account, ago
from sources.closeio.pipelines import Warehouse, assert_whole

# --- what is new of a whole list --------------------------------------------------------------------------------------


@pytest.mark.parametrize("knows_updates", [True, False])
def test_only_what_is_new_of_the_tasks_comes(account: Account, knows_updates: bool) -> None:
    account.tasks_by_update = knows_updates
    for number in range(5):
        account.task(number, ago(days=5 - number))
    first = account.read(only=("tasks",))
    assert len(first.ids("tasks")) == 5
    account.data.clock.advance(timedelta(hours=1))
    account.data.update("tasks", "task_00001", {"text": "new"})
    second = account.read(first.cursor, only=("tasks",))
    assert second.ids("tasks") == ["task_00001"]
    assert account.asked("/task/")[-1]["date_updated__gte"] == ago(days=1).isoformat()[:19]
    assert account.ignored == (set() if knows_updates else {"date_updated__gte"})


def test_where_close_refuses_to_be_asked_by_update_all_tasks_are_read(account: Account) -> None:
    account.refused = {"date_updated__gte"}
    for number in range(5):
        account.task(number, ago(days=5 - number))
    first = account.read(only=("tasks",))
    assert len(first.ids("tasks")) == 5
    account.data.clock.advance(timedelta(hours=1))
    account.data.update("tasks", "task_00001", {"text": "new"})
    assert account.read(first.cursor, only=("tasks",)).ids("tasks") == ["task_00001"]


def test_tasks_of_all_types_come_where_it_is_wanted(account: Account) -> None:
    account.untyped_tasks = "lead"
    for number, kind in enumerate(("lead", "missed_call", "voicemail")):
        account.task(number, ago(hours=1), _type=kind)
    assert account.read(only=("tasks",)).ids("tasks") == ["task_00000"]
    assert len(account.read(only=("tasks",), all_task_types=True).ids("tasks")) == 3


def test_what_was_updated_before_the_start_is_left_out(account: Account) -> None:
    account.task(1, ago(days=100))
    account.user(1, ago(days=100))
    account.user(2, ago(days=1))
    read = account.read()
    assert (read.ids("tasks"), read.ids("users")) == ([], ["user_00002"])


def test_a_list_longer_than_close_lists(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks are asked for from when the last one was created on; other lists cannot be."""
    monkeypatch.setattr(reading, "OTHERS", 10)
    account.max_skip.update(task=25, user=25)
    for number in range(100):
        account.task(number, ago(days=9) + timedelta(minutes=number))
        account.user(number, ago(days=9))
    assert set(account.read(only=("tasks",)).ids("tasks")) == set(account.data.tasks)
    with pytest.raises(SourceDataError, match=r"/user/ has more records than Close lists: .*max_skip = 25") as raised:
        account.read(only=("users",))
    assert raised.value.hint
    for task in account.data.tasks.values():
        task["date_created"] = stamp(ago(days=9))
    with pytest.raises(SourceDataError, match="/task/ has more records than Close lists"):
        account.read(only=("tasks",))


def test_a_long_list_in_another_order_is_refused(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was made before the last one that is listed might not be listed at all."""
    monkeypatch.setattr(reading, "OTHERS", 10)
    account.max_skip["task"], account.sorts_tasks = 25, False
    for number in range(100):
        account.task(number, ago(days=9) - timedelta(minutes=number % 7), date_updated=stamp(ago(hours=200 - number)))
    with pytest.raises(SourceDataError, match="/task/ has more records than Close lists"):
        account.read(only=("tasks",))


# --- selection --------------------------------------------------------------------------------------------------------


def test_only_selected_streams_are_asked_for(account: Account) -> None:
    account.task(1, ago(hours=1))
    read = account.read(only=("tasks",))
    assert read.streams() == {"tasks"}
    assert {each.request.path for each in account.requests} == {"/api/v1/event/", "/api/v1/task/"}


def test_only_selected_fields_and_the_key_come(account: Account) -> None:
    account.lead(1, ago(hours=1), url="https://example.com", **{"custom.cf_1": 1})
    assert account.read(only=("leads",), fields=frozenset({"name"})).rows("leads") == [
        {"id": "lead_00001", "name": "Lead 1"}
    ]
    read = account.read(only=("leads",), fields=frozenset({"custom_fields"}))
    assert read.rows("leads") == [{"id": "lead_00001", "custom_fields": [{"id": "cf_1", "value": 1}]}]


def test_a_stream_that_is_selected_later_is_read_from_the_start(account: Account) -> None:
    account.task(1, ago(days=9))
    account.lead(1, ago(days=9))
    first = account.read(only=("leads",))
    assert account.read(first.cursor, only=("leads", "tasks")).ids("tasks") == ["task_00001"]


def test_fields_that_are_not_documented_are_named_once_a_job(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        account.activity(number, ago(days=number), brand_new=1, envelope={"subject": "s", "x_spam": True})
    assert "brand_new" not in account.read().rows("activities")[0]
    assert caplog.messages == [
        "activities: Close also sends brand_new, envelope.x_spam, which the documented table does not have; "
        "extra_fields loads them"
    ]
    caplog.clear()
    rows = account.read(extra_fields=True).rows("activities")
    assert {(row["brand_new"], row["envelope"]["x_spam"]) for row in rows} == {(1, True)}
    assert caplog.messages == []


# --- requests ---------------------------------------------------------------------------------------------------------


def test_an_unchanged_account_costs_one_request_a_stream(account: Account) -> None:
    for number in range(200):
        account.event(number, ago(hours=300 - number))
    for number in range(150):
        account.lead(number, ago(hours=300 - number))
        account.activity(number, ago(hours=300 - number))
        account.task(number, ago(hours=300 - number))
    first = account.read()
    made = len(account.requests)
    second = account.read(first.cursor)
    assert sorted(each.request.path.removeprefix("/api/v1") for each in account.requests[made:]) == [
        "/activity/",
        "/custom_field/lead/",
        "/event/",
        "/lead/",
        "/task/",
        "/user/",
    ]
    assert second.rows("leads") == second.rows("tasks") == []


def test_requests_name_who_asks_and_hold_the_key_in_a_header_only(account: Account) -> None:
    account.read(user_agent="acme (ops@example.com)")
    for each in account.requests:
        assert each.request.headers["user-agent"] == "acme (ops@example.com)"
        assert account.key not in str(each.request.query) + each.request.path


def test_both_keep_the_limit_of_one_key(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Close's real limit, 20 in a second, is never met, whatever bursts are allowed."""
    from lockstitch.toolkit.http.quota import Rate

    monkeypatch.setattr("lockstitch.sources.closeio.api.RATE", Rate(15, 1.0, burst=5))
    account.rate_limit = 20
    for number in range(2):
        account.read(start_date=f"2025-0{number + 1}-01", only=("activities",))
    assert len(account.requests) > 40
    assert {each.status for each in account.requests} == {200}


@pytest.mark.parametrize("form", ["RateLimit", "X-Rate-Limit", "body", "old body", "seconds", "date", "none"])
def test_a_429_in_any_form_is_waited_for(account: Account, form: str) -> None:
    account.lead(1, ago(hours=1))
    account.faults.add(Burst429(times=2, retry_after=0.15, form=form, on="/lead/"))
    assert account.read().ids("leads") == ["lead_00001"]
    assert account.faults.met == 2


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Failure(status=400), r"400 Response: this is a test of faults \(GET /user/\)"),
        (Failure(status=400, body="empty"), r"400 Response\. Unable to determine cause\. \(GET /user/\)"),
    ],
)
def test_a_400_is_told_in_closes_words(account: Account, fault: Failure, text: str) -> None:
    account.faults.add(replace(fault, on="/user/", times=None))
    with pytest.raises(SourceDataError, match=text) as raised:
        account.read()
    assert raised.value.hint


def test_an_answer_without_data_is_no_end_of_a_list(account: Account) -> None:
    account.lead(1, ago(hours=1))
    account.faults.add(Failure(status=200, on="/v1/lead/", times=1))
    assert account.read().ids("leads") == ["lead_00001"]
    assert account.count("/v1/lead/") == 2


# --- the account of the specification ---------------------------------------------------------------------------------


@pytest.fixture
def accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """The fixtures of the specification's section 8; leads are asked for by 100, as the tap does."""
    monkeypatch.setattr(reading, "LEADS", 100)
    data = acceptance_account()
    with Account(tmp_path, data) as server:
        server.max_skip["activity"] = 1000
        server.faults.add(Burst429(times=1, retry_after=0.5, form="RateLimit", on="/lead/", after=1))
        server.faults.add(Burst429(times=1, retry_after=0.75, form="body", on="/activity/", after=1))
        yield server


def test_the_acceptance_account(accepted: Account, warehouse: Warehouse) -> None:
    start = acceptance_start().isoformat()
    warehouse.run(accepted, start_date=start)
    assert accepted.faults.met == 2
    assert accepted.faults.unmet == []
    assert_whole(accepted, warehouse)
    answered = [(each.request.path.removeprefix("/api/v1"), each.status) for each in accepted.requests]
    assert answered.count(("/lead/", 200)) == 3
    assert answered.count(("/event/", 200)) == 1 + 3  # discovery takes one look
    assert answered.count(("/activity/", 400)) > 0  # max_skip
    lead = next(lead for lead in accepted.data.leads.values() if lead.get("custom.lcf_x"))
    found, _ = warehouse.records("leads")
    values = {field["id"]: field["value"] for field in found[lead["id"]]["custom_fields"]}
    assert (values["lcf_x"], values["cf_y"]) == ("blue", [{"value": "a"}, {"value": "b"}])
    young = next(
        name for name, one in accepted.data.activities.items() if one["date_created"] > stamp(NOW - timedelta(hours=20))
    )
    accepted.data.clock.advance(timedelta(hours=3))
    accepted.data.update("activities", young, {"note": "three hours later"})
    warehouse.run(accepted, start_date=start)
    assert_whole(accepted, warehouse)


def test_the_second_job_reads_the_last_day_again_and_no_position_is_ahead(accepted: Account) -> None:
    first = accepted.read(start_date=acceptance_start().isoformat())
    accepted.data.clock.advance(timedelta(hours=3))
    second = accepted.read(first.cursor)
    now = accepted.data.clock.now()
    newest = first.position("activities")
    again = [
        one for one in accepted.data.activities.values() if one["date_created"] >= stamp(newest - timedelta(days=1))
    ]
    assert sorted(second.ids("activities")) == sorted(one["id"] for one in again)
    for stream in second.cursor["streams"]:
        assert second.position(stream) <= now
    assert second.position("event_log") <= now - timedelta(minutes=5)


def test_where_the_plan_has_no_event_log_all_else_is_read(accepted: Account) -> None:
    accepted.faults.clear()
    accepted.faults.add(Failure(status=400, on="/event/", times=None))
    read = accepted.read(start_date=acceptance_start().isoformat())
    assert len(read.ids("leads")) == 250
    assert "event_log" not in read.streams()


def test_dates_of_another_type_count_as_none() -> None:
    told = stamp_of(msgspec.Raw(b'{"id": "a", "date_updated": {"text": "now"}, "date_created": "2026"}'))
    assert (told.id, told.date_updated, told.date_created) == ("a", None, None)
