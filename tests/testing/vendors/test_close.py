"""The fake of Close does what Close's documentation says, seen through plain requests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.testing.vendors.plain_http import Answer, ask, basic

from lockstitch.testing.vendors.close import CloseServer
from lockstitch.testing.vendors.close_account import NOW, acceptance_account, acceptance_start, add_events, make_account
from lockstitch.testing.vendors.close_changes import Restless
from lockstitch.testing.vendors.close_data import parse_time, stamp
from lockstitch.testing.vendors.faults import Burst429, Failure, Meanwhile
from lockstitch.testing.vendors.messages import Record

KEY = "api_test.key"


@pytest.fixture
def close() -> Iterator[CloseServer]:
    with CloseServer(make_account(seed=1, leads=250, activities=240, tasks=40), key=KEY) as server:
        yield server


def get(server: CloseServer, path: str, **query: Any) -> Answer:
    return ask("GET", f"{server.url}/api/v1{path}", query=query, headers=basic(KEY))


def pages(server: CloseServer, path: str, **query: Any) -> list[Record]:
    """Read a list by offset as its documentation says."""
    found: list[Record] = []
    for _ in range(100):
        page = get(server, path, **{"_limit": 100, "_skip": len(found), **query}).json()
        found += page["data"]
        if not page["has_more"]:
            return found
    raise AssertionError("no end")


def by_id(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record["id"])


# --- access -----------------------------------------------------------------------------------------------------------


def test_the_key_is_the_user_name_and_the_password_is_empty(close: CloseServer) -> None:
    # The example of the documentation: yourapikey becomes eW91cmFwaWtleTo=.
    close.key = "yourapikey"
    good = ask("GET", f"{close.url}/api/v1/me/", headers={"Authorization": "Basic eW91cmFwaWtleTo="})
    assert good.status == 200
    assert good.json()["organizations"][0]["id"] == close.data.organization_id


@pytest.mark.parametrize("headers", [{}, basic("wrong"), basic(KEY, "password"), {"Authorization": f"Bearer {KEY}"}])
def test_other_credentials_are_refused(close: CloseServer, headers: dict[str, str]) -> None:
    answer = ask("GET", f"{close.url}/api/v1/lead/", headers=headers)
    assert (answer.status, list(answer.json())) == (401, ["error"])


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/lead", 404), ("GET", "/nothing/", 404), ("POST", "/lead/", 405)]
)
def test_paths_end_with_a_slash_and_have_their_method(close: CloseServer, method: str, path: str, status: int) -> None:
    assert ask(method, f"{close.url}/api/v1{path}", headers=basic(KEY)).status == status


@pytest.mark.parametrize("status", [400, 402, 403])
def test_a_plan_can_lack_the_event_log(close: CloseServer, status: int) -> None:
    close.faults.add(Failure(status=status, on="/event/", times=None))
    answer = get(close, "/event/")
    assert (answer.status, list(answer.json())) == (status, ["error"])
    assert get(close, "/user/").status == 200


# --- offset paging ----------------------------------------------------------------------------------------------------


def test_leads_are_paged_by_offset(close: CloseServer) -> None:
    first = get(close, "/lead/").json()
    assert (len(first["data"]), first["has_more"], first["total_results"]) == (100, True, 250)
    last = get(close, "/lead/", _limit=200, _skip=200).json()
    assert (len(last["data"]), last["has_more"]) == (50, False)
    assert by_id(pages(close, "/lead/")) == by_id(list(close.data.leads.values()))


def test_a_skip_or_limit_beyond_the_maximum_is_refused_with_the_maximum(close: CloseServer) -> None:
    close.max_skip["lead"] = 100
    assert get(close, "/lead/", _skip=100).status == 200
    refused = get(close, "/lead/", _skip=101)
    assert refused.status == 400
    assert (
        refused.json()["error"]
        == "The skip you set is larger than the maximum skip for this resource (max_skip = 100)."
    )
    assert "max_limit = 200" in get(close, "/lead/", _limit=201).json()["error"]
    assert get(close, "/lead/", _skip="-1").status == 400


def test_fields_can_be_chosen_and_custom_means_all_custom_fields(close: CloseServer) -> None:
    lead = next(iter(close.data.leads.values()))
    shown = [one for one in pages(close, "/lead/", _fields="id,name,custom") if one["id"] == lead["id"]]
    assert shown == [
        {"id": lead["id"], "name": lead["name"], "custom.lcf_x": "a string", "custom.cf_y": ["several", "choices"]}
        | {"custom": lead["custom"]}
    ]


# --- leads ------------------------------------------------------------------------------------------------------------


def test_leads_are_found_by_the_words_of_the_query(close: CloseServer) -> None:
    since = NOW - timedelta(days=10)
    query = f'date_updated>="{since:%Y-%m-%dT%H:%M}" sort:date_updated'
    found = pages(close, "/lead/", _limit=50, query=query)
    expected = [
        lead for lead in close.data.leads.values() if parse_time(lead["date_updated"]) >= since.replace(second=0)
    ]
    assert 0 < len(expected) < 250
    assert by_id(found) == by_id(expected)
    times = [parse_time(lead["date_updated"]) for lead in found]
    assert times == sorted(times)
    assert get(close, "/lead/", query='status:"Potential"').status == 400  # not known here: refused, never guessed


def test_the_query_can_be_ignored_as_it_is_deprecated(close: CloseServer) -> None:
    close.query_works = False
    assert get(close, "/lead/", query='date_updated>="2100-01-01T00:00"').json()["total_results"] == 250


def search(server: CloseServer, body: Any) -> Answer:
    return ask("POST", f"{server.url}/api/v1/data/search/", headers=basic(KEY), body=body)


def search_body(moments: dict[str, Any], **more: Any) -> dict[str, Any]:
    field = {"type": "regular_field", "object_type": "lead", "field_name": "date_updated"}
    return {
        "query": {
            "type": "and",
            "queries": [
                {"type": "object_type", "object_type": "lead"},
                {"type": "field_condition", "field": field, "condition": {"type": "moment_range", **moments}},
            ],
        },
        "sort": [{"direction": "asc", "field": field}],
        **more,
    }


def test_leads_are_found_by_a_search_with_a_cursor_and_only_the_fields_asked_for(close: CloseServer) -> None:
    since = NOW - timedelta(days=20)
    body = search_body({"on_or_after": {"type": "fixed_utc", "value": since.isoformat()}}, _limit=30)
    body["_fields"] = {"lead": ["id", "date_updated"]}
    answers = [search(close, body).json()]
    while (cursor := answers[-1]["cursor"]) is not None:
        answers.append(search(close, {**body, "cursor": cursor}).json())
    found: list[Record] = [lead for answer in answers for lead in answer["data"]]
    expected = [lead for lead in close.data.leads.values() if parse_time(lead["date_updated"]) >= since]
    assert [lead["id"] for lead in by_id(found)] == [lead["id"] for lead in by_id(expected)]
    assert all(set(lead) == {"__object_type", "id", "date_updated"} for lead in found)
    times = [parse_time(lead["date_updated"]) for lead in found]
    assert times == sorted(times)
    # A page whose answer was lost can be asked for again.
    assert search(close, {**body, "cursor": answers[0]["cursor"]}).json()["data"] == answers[1]["data"]


def test_leads_that_change_while_a_search_is_paged_are_not_missed(close: CloseServer) -> None:
    body = search_body({}, _limit=100)
    page = search(close, body).json()
    found = [lead["id"] for lead in page["data"]]
    close.data.update("leads", found[0], {"name": "new"})
    close.data.delete("leads", found[1])
    while page["cursor"] is not None:
        page = search(close, {**body, "cursor": page["cursor"]}).json()
        found += [lead["id"] for lead in page["data"]]
    assert sorted(found) == sorted([*close.data.leads, found[1]])


def test_a_search_names_only_ids_by_default_and_can_be_limited_and_negated(close: CloseServer) -> None:
    day = {"type": "fixed_local_date", "value": f"{NOW - timedelta(days=5):%Y-%m-%d}", "which": "end"}
    body = search_body({"before": day})
    found = search(close, {**body, "_limit": 200, "results_limit": 7}).json()
    assert (len(found["data"]), found["cursor"]) == (7, None)
    assert set(found["data"][0]) == {"__object_type", "id"}
    body["query"]["queries"][1]["negate"] = True
    later = search(close, {**body, "_limit": 200, "_fields": {"lead": ["date_updated"]}}).json()["data"]
    border = datetime.fromisoformat(day["value"]).replace(tzinfo=UTC) + timedelta(days=1)
    assert later
    assert all(parse_time(lead["date_updated"]) >= border for lead in later)


@pytest.mark.parametrize(
    "body", [{}, {"query": {"type": "nonsense"}}, b"not json", {"query": {"type": "match_all"}, "cursor": "x"}]
)
def test_a_search_that_is_not_valid_is_refused(close: CloseServer, body: Any) -> None:
    assert search(close, body).status == 400


# --- activities, tasks, users, custom fields --------------------------------------------------------------------------


def test_activities_come_newest_first_within_the_range_asked_for(close: CloseServer) -> None:
    start, end = NOW - timedelta(days=20), NOW - timedelta(days=5)
    bounds = {"date_created__gt": f"{start:%Y-%m-%dT%H:%M:%S}", "date_created__lt": f"{end:%Y-%m-%dT%H:%M:%S}"}
    found = pages(close, "/activity/", _limit=40, **bounds)
    expected = [
        one
        for one in close.data.activities.values()
        if start.replace(microsecond=0) < parse_time(one["date_created"]) < end
    ]
    assert len(expected) > 40
    assert by_id(found) == by_id(expected)
    times = [parse_time(one["date_created"]) for one in found]
    assert times == sorted(times, reverse=True)


def test_the_bounds_of_a_range_are_exclusive_or_inclusive_as_they_say(close: CloseServer) -> None:
    one = next(iter(close.data.activities.values()))
    one["date_created"] = "2026-05-31T00:00:00+00:00"
    found = {
        how: one["id"]
        in {each["id"] for each in pages(close, "/activity/", **{f"date_created__{how}": "2026-05-31T00:00:00"})}
        for how in ("gt", "gte", "lt", "lte")
    }
    assert found == {"gt": False, "gte": True, "lt": False, "lte": True}


@pytest.mark.parametrize("name", ["user_id", "contact_id__in", "_type", "_type__in"])
def test_some_filters_of_activities_need_a_lead(close: CloseServer, name: str) -> None:
    assert get(close, "/activity/", **{name: "Call"}).status == 400
    lead_id = next(one["lead_id"] for one in close.data.activities.values() if one["_type"] == "Call")
    assert get(close, "/activity/", lead_id=lead_id, **{name: "Call"}).status == 200


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/activity/", {"date_created__gt": "yesterday"}),
        ("/activity/", {"_order_by": "-activity_at"}),  # only for one lead
        ("/activity/", {"_order_by": "user_name"}),
        ("/task/", {"_order_by": "text"}),
        ("/event/", {"date_updated__gte": "yesterday"}),
        ("/lead/", {"query": "sort:name"}),
        ("/lead/", {"query": 'date_updated>="2026-99-99T00:00"'}),
    ],
)
def test_what_cannot_be_filtered_or_sorted_by_is_refused(close: CloseServer, path: str, query: dict[str, str]) -> None:
    add_events(close.data, 1)
    assert get(close, path, **query).status == 400


def test_activities_of_one_lead_can_be_chosen_by_type(close: CloseServer) -> None:
    call = next(one for one in close.data.activities.values() if one["_type"] == "Call")
    found = pages(close, "/activity/", lead_id=call["lead_id"], _type="Call")
    assert call in found
    assert {(one["lead_id"], one["_type"]) for one in found} == {(call["lead_id"], "Call")}


def test_tasks_come_by_type_and_what_comes_without_one_can_be_set(close: CloseServer) -> None:
    assert by_id(pages(close, "/task/")) == by_id(list(close.data.tasks.values()))
    assert {task["_type"] for task in pages(close, "/task/", _type="voicemail")} == {"voicemail"}
    close.untyped_tasks = "lead"
    assert {task["_type"] for task in pages(close, "/task/")} == {"lead"}


def test_filters_that_close_does_not_know_are_ignored_and_noted(close: CloseServer) -> None:
    late = {"date_updated__gte": "2100-01-01T00:00:00"}
    assert len(pages(close, "/task/", **late)) == 40
    assert close.ignored == {"date_updated__gte"}
    close.tasks_by_update = True
    assert pages(close, "/task/", **late) == []


def test_users_and_custom_fields_are_listed_whole(close: CloseServer) -> None:
    assert pages(close, "/user/", _limit=2) == list(close.data.users.values())
    fields = list(close.data.custom_fields.values())
    assert pages(close, "/custom_field/lead/") == pages(close, "/custom_fields/lead/") == fields
    close.old_custom_fields = False
    assert get(close, "/custom_fields/lead/").status == 404


# --- events -----------------------------------------------------------------------------------------------------------


def events(server: CloseServer, **query: Any) -> list[Record]:
    found: list[Record] = []
    more = query
    for _ in range(50):
        page = get(server, "/event/", **more).json()
        found += page["data"]
        if page["cursor_next"] is None:
            return found
        more = {"_cursor": page["cursor_next"]}
    raise AssertionError("no end")


def test_events_come_newest_first_50_a_page_by_a_cursor_that_keeps_the_range(close: CloseServer) -> None:
    add_events(close.data, 120)
    first = get(close, "/event/", _limit=100).json()
    assert (len(first["data"]), get(close, "/event/", _skip=50).status) == (50, 400)
    found = events(close)
    assert len(found) == 120
    assert close.count("/event/") == 5
    times = [event["date_updated"] for event in found]
    assert times == sorted(times, reverse=True)
    since = found[70]["date_updated"]
    assert events(close, date_updated__gte=since) == found[:71]
    assert events(close, date_updated__lte=since) == found[70:]


def test_a_cursor_leads_back_to_newer_events(close: CloseServer) -> None:
    add_events(close.data, 120)
    first = get(close, "/event/").json()
    second = get(close, "/event/", _cursor=first["cursor_next"]).json()
    assert get(close, "/event/", _cursor=second["cursor_previous"]).json()["data"] == first["data"]
    assert get(close, "/event/", _cursor=first["cursor_previous"]).json()["data"] == []
    assert get(close, "/event/", _cursor="nonsense").status == 400


def test_the_log_reaches_back_30_days_from_now(close: CloseServer) -> None:
    add_events(close.data, 120)
    close.clock.advance(timedelta(days=11))
    oldest = min(parse_time(event["date_updated"]) for event in events(close))
    assert len(events(close)) < 120
    assert oldest >= close.clock.now() - timedelta(days=30)


def test_only_certain_filters_of_events_go_together(close: CloseServer) -> None:
    add_events(close.data, 20)
    deleted = events(close, object_type="lead", action="deleted")
    assert [event["action"] for event in deleted] == ["deleted", "deleted"]
    assert get(close, "/event/", request_id="req_1", action="deleted").status == 400
    assert get(close, "/event/", user_id="user_1", date_updated__gte="2026-01-01").status == 200


def test_who_is_no_admin_misses_the_data_of_events_an_hour_old(close: CloseServer) -> None:
    add_events(close.data, 5)
    lead_id = next(iter(close.data.leads))
    close.data.update("leads", lead_id, {"name": "new"})
    close.admin = False
    new, *old = events(close)
    assert (new["data"]["name"], len(old)) == ("new", 5)
    assert all("data" not in event and "previous_data" not in event for event in old)
    close.admin = True
    assert all("data" in event for event in events(close))


# --- changes ----------------------------------------------------------------------------------------------------------


def test_a_change_moves_the_date_and_is_logged(close: CloseServer) -> None:
    close.clock.advance(timedelta(hours=3))
    lead_id, lead = next(iter(close.data.leads.items()))
    close.data.update("leads", lead_id, {"name": "new", "custom.lcf_x": None})
    found = pages(close, "/lead/", query=f'date_updated>="{close.clock.now():%Y-%m-%dT%H:%M}"')
    assert [(one["id"], one["name"], "custom.lcf_x" in one) for one in found] == [(lead_id, "new", False)]
    (event,) = events(close)
    assert (event["action"], event["object_type"], event["lead_id"]) == ("updated", "lead", lead_id)
    assert event["changed_fields"] == ["custom.lcf_x", "name"]
    assert event["previous_data"] == {"name": lead["name"], "custom.lcf_x": "a string"}
    assert event["data"]["name"] == "new"


def test_changes_in_a_short_time_are_one_event_whose_update_moves(close: CloseServer) -> None:
    lead_id, lead = next(iter(close.data.leads.items()))
    close.data.update("leads", lead_id, {"name": "new"})
    close.clock.advance(timedelta(minutes=2))
    close.data.update("leads", lead_id, {"name": "newer", "url": "https://example.com"})
    (event,) = events(close)
    assert parse_time(event["date_updated"]) - parse_time(event["date_created"]) == timedelta(minutes=2)
    assert (event["data"]["name"], event["previous_data"]["name"]) == ("newer", lead["name"])
    assert event["changed_fields"] == ["name", "url"]
    close.clock.advance(timedelta(minutes=10))
    close.data.update("leads", lead_id, {"name": "newest"})
    assert len(events(close)) == 2


def test_what_is_deleted_is_only_in_the_log(close: CloseServer) -> None:
    task_id = next(iter(close.data.tasks))
    close.data.delete("tasks", task_id)
    assert task_id not in {task["id"] for task in pages(close, "/task/")}
    (event,) = events(close)
    assert (event["action"], event["object_id"], event["data"]) == ("deleted", task_id, None)
    assert close.data.deleted == {"tasks": {task_id}}


def test_what_is_new_is_listed_and_logged(close: CloseServer) -> None:
    close.data.add("activities", {"id": "acti_new", "_type": "LeadStatusChange", "lead_id": "lead_1"})
    assert get(close, "/activity/", lead_id="lead_1").json()["data"][0]["date_created"] == stamp(NOW)
    assert events(close)[0]["object_type"] == "activity.lead_status_change"


def test_the_truth_of_leads_has_custom_fields_as_a_list(close: CloseServer) -> None:
    lead_id = next(iter(close.data.leads))
    (row,) = [row for row in close.data.truth("leads") if row["id"] == lead_id]
    assert row["custom_fields"] == [
        {"id": "lcf_x", "value": "a string"},
        {"id": "cf_y", "value": ["several", "choices"]},
    ]
    assert not [name for name in row if name == "custom" or name.startswith("custom.")]
    assert [row["id"] for row in close.data.truth("leads")] == sorted(close.data.leads)


def test_an_account_can_change_while_it_is_paged(close: CloseServer) -> None:
    before = set(close.data.leads)
    restless = Restless(close.data)
    close.faults.add(Meanwhile(call=restless, on="/lead/", times=12))
    found = {lead["id"] for lead in pages(close, "/lead/", _limit=20, query="sort:date_updated")}
    assert restless.calls == 12
    after, deleted = set(close.data.leads), close.data.deleted["leads"]
    assert (len(after - before), len(before - after)) == (4, 3)
    assert found <= before | after
    assert after - found, "an offset over a list that changes loses rows: the fake is as hostile as the real one"
    again = {lead["id"] for lead in pages(close, "/lead/")}
    assert after <= found | again
    assert (found | again) - after <= deleted
    assert {"deleted", "created", "updated"} == {event["action"] for event in close.data.truth("event_log")}
    assert len([one for one in close.data.activities if "_new" in one]) == 12


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "where"),
    [
        ("RateLimit", lambda answer: answer.headers["RateLimit"].rpartition("reset=")[2]),
        ("X-Rate-Limit", lambda answer: answer.headers["X-Rate-Limit-Reset"]),
        ("body", lambda answer: answer.json()["error"]["rate_reset"]),
        ("old body", lambda answer: answer.json()["rate_reset"]),
        ("seconds", lambda answer: answer.headers["Retry-After"]),
    ],
)
def test_a_429_comes_in_each_form_that_close_has_had(close: CloseServer, form: str, where: Any) -> None:
    close.faults.add(Burst429(times=1, form=form, retry_after=0.87, on="/lead/"))
    answer = get(close, "/lead/")
    assert (answer.status, float(where(answer))) == (429, 0.87)
    assert get(close, "/lead/").status == 200


def test_each_group_of_endpoints_has_its_own_limit_which_every_answer_tells(close: CloseServer) -> None:
    close.rate_limit, close.rate_window = 2, 60.0
    statuses = [get(close, path).status for path in ("/lead/", "/lead/", "/lead/", "/user/")]
    assert statuses == [200, 200, 429, 200]
    told, _, reset = get(close, "/lead/").headers["RateLimit"].partition(", reset=")
    assert told == "limit=2, remaining=0"
    assert 0 < float(reset) <= 60
    assert get(close, "/user/").headers["RateLimit"].startswith("limit=2, remaining=0, reset=")
    close.rate_headers = "old"
    assert get(close, "/task/").headers["X-Rate-Limit-Remaining"] == "1"
    close.rate_headers = "none"
    assert not [name for name in get(close, "/task/").headers if "rate" in name.lower()]
    close.rate_window = 0.05
    time.sleep(0.05)
    assert get(close, "/lead/").status == 200


# --- generated accounts -----------------------------------------------------------------------------------------------


def names(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield the paths of all fields with a value at least once, lists looked through."""
    if isinstance(value, list):
        for one in value:
            yield from names(one, prefix)
    elif isinstance(value, dict):
        for name, one in value.items():
            yield f"{prefix}{name}"
            yield from names(one, f"{prefix}{name}.")


@pytest.mark.parametrize("stream", ["activities", "custom_fields", "event_log", "leads", "tasks", "users"])
def test_an_account_has_each_documented_column(stream: Any) -> None:
    data = make_account(seed=3)
    add_events(data, 20)
    found = set(names(data.truth(stream)))
    assert sorted(set(COLUMNS[stream].split()) - found) == []


def test_a_seed_always_makes_the_same_account() -> None:
    assert make_account(seed=5, leads=20).truth("leads") == make_account(seed=5, leads=20).truth("leads")
    assert make_account(seed=5, leads=20).truth("leads") != make_account(seed=6, leads=20).truth("leads")


def test_the_acceptance_account_has_its_special_cases() -> None:
    data = acceptance_account()
    first = next(iter(data.leads.values()))
    assert (first["custom.lcf_x"], first["custom.cf_y"], "custom" in first) == ("blue", ["a", "b"], True)
    window = (stamp(acceptance_start()), stamp(acceptance_start() + timedelta(days=15)))
    assert sum(window[0] <= one["date_created"] < window[1] for one in data.activities.values()) > 1000
    latest = sorted((parse_time(lead["date_updated"]) for lead in data.leads.values()), reverse=True)
    assert len(latest) == 250
    assert [at.replace(second=0) for at in latest[:3]] == [latest[0].replace(second=0)] * 3
    assert latest[0] > latest[1] > latest[2]
    created = [parse_time(one["date_created"]) for one in data.activities.values()]
    assert sum(at > NOW for at in created) == 1
    assert sum(at == acceptance_start() + timedelta(days=14) for at in created) == 1
    assert min(created) < NOW - timedelta(days=38)
    log = data.truth("event_log")
    assert (len(log), sum("data" not in event for event in log)) == (120, 1)


#: The documented columns, nested ones by their path.
COLUMNS = {
    "activities": """
        _type attachments attachments.content_id attachments.content_type attachments.filename attachments.size
        attachments.url bcc body_html body_html_quoted body_html_quoted.expand body_html_quoted.html
        body_preview body_text body_text_quoted body_text_quoted.expand body_text_quoted.text cc contact_id
        created_by created_by_name date_created date_scheduled date_sent date_updated dialer_id direction
        duration email_account_id envelope envelope.bcc envelope.bcc.email envelope.bcc.name envelope.cc
        envelope.cc.email envelope.cc.name envelope.date envelope.from envelope.from.email envelope.from.name
        envelope.in_reply_to envelope.is_autoreply envelope.message_id envelope.reply_to envelope.reply_to.email
        envelope.reply_to.name envelope.sender envelope.sender.email envelope.sender.name envelope.subject
        envelope.to envelope.to.email envelope.to.name id import_id in_reply_to_id lead_id local_phone
        message_ids need_smtp_credentials new_status_id new_status_label new_status_type note old_status_id
        old_status_label old_status_type opens opens.ip_address opens.opened_at opens.opened_by opens.user_agent
        opens_summary opportunity_confidence opportunity_date_won opportunity_id opportunity_value
        opportunity_value_currency opportunity_value_formatted opportunity_value_period organization_id phone
        recording_url references remote_phone send_attempts send_attempts.date send_attempts.error_class
        send_attempts.error_message sender source status subject task_assigned_to task_assigned_to_name task_id
        task_text template_id template_name thread_id to transferred_from transferred_to updated_by
        updated_by_name user_id user_name users voicemail_duration voicemail_url
    """,
    "custom_fields": """
        choices created_by date_created date_updated editable_with_roles id name organization_id type updated_by
    """,
    "event_log": """
        action changed_fields data date_created date_updated id lead_id meta meta.request_method
        meta.request_path object_id object_type organization_id previous_data request_id user_id
    """,
    "leads": """
        addresses addresses.address_1 addresses.address_2 addresses.city addresses.country addresses.label
        addresses.state addresses.zipcode contacts contacts.created_by contacts.date_created
        contacts.date_updated contacts.display_name contacts.emails contacts.emails.email contacts.emails.type
        contacts.id contacts.integration_links contacts.integration_links.name contacts.integration_links.url
        contacts.lead_id contacts.name contacts.organization_id contacts.phones contacts.phones.phone
        contacts.phones.phone_formatted contacts.phones.type contacts.title contacts.updated_by contacts.urls
        contacts.urls.type contacts.urls.url created_by created_by_name custom_fields custom_fields.id
        custom_fields.value date_created date_updated description display_name html_url id integration_links
        integration_links.name integration_links.url name opportunities opportunities.confidence
        opportunities.contact_id opportunities.contact_name opportunities.created_by
        opportunities.created_by_name opportunities.date_created opportunities.date_lost
        opportunities.date_updated opportunities.date_won opportunities.id opportunities.integration_links
        opportunities.integration_links.name opportunities.integration_links.url opportunities.lead_id
        opportunities.lead_name opportunities.note opportunities.organization_id opportunities.status_id
        opportunities.status_label opportunities.status_type opportunities.updated_by
        opportunities.updated_by_name opportunities.user_id opportunities.user_name opportunities.value
        opportunities.value_currency opportunities.value_formatted opportunities.value_period organization_id
        status_id status_label tasks tasks._type tasks.assigned_to tasks.assigned_to_name tasks.contact_id
        tasks.contact_name tasks.created_by tasks.created_by_name tasks.date tasks.date_created
        tasks.date_updated tasks.due_date tasks.id tasks.is_complete tasks.is_dateless tasks.lead_id
        tasks.lead_name tasks.object_id tasks.object_type tasks.organization_id tasks.text tasks.updated_by
        tasks.updated_by_name tasks.view updated_by updated_by_name url
    """,
    "tasks": """
        _type assigned_to assigned_to_name body_preview contact_id contact_name created_by created_by_name date
        date_created date_updated due_date email_id emails id is_complete is_dateless lead_id lead_name
        local_phone object_id object_type opportunity_note opportunity_value opportunity_value_currency
        opportunity_value_formatted opportunity_value_period organization_id phone phone_formatted
        phone_number_description recording_url remote_phone remote_phone_description remote_phone_formatted
        subject text updated_by updated_by_name view voicemail_duration voicemail_url
    """,
    "users": """
        date_created date_updated email first_name id image last_name last_used_timezone organizations
    """,
}
