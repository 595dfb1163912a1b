"""Destinations in both versions and their checks: `spec/connect-api.md` sections 4.2 to 4.4 and 9."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa
from tests.api.calling import JOB, MOMENT, POSTGRES, Account, now
from tests.planted import PASSWORD

from lockstitch.control import checks
from lockstitch.control.store.tables import hooks

POST_TEXT = (
    "POST body may only include a type, a name, a description, map of properties, and boolean for unmapped sources"
)
PUT_TEXT = "PUT body may only include a name, a description, and map of properties"
GET_TEXT = "GET may only include the params: source_id and/or destination_id"
V3_TEXT = "body must be a map with type = redshift, postgres, or snowflake. required-keys = type, connection"
GIVEN = {"type": "postgres", "properties": POSTGRES}


def test_the_documented_request_makes_a_destination_and_checks_it(account: Account):
    body = {**GIVEN, "name": "Staging", "description": "Postgres database for the staging environment."}
    made = account.call("POST", "/v4/destinations", body)
    card = made.pop("report_card")
    assert re.fullmatch(rf"{account.id}\.{made['id']}\.check\.{JOB}", made.pop("check_job_name"))
    assert re.fullmatch(MOMENT, made["created_at"])
    assert made == {
        "description": "Postgres database for the staging environment.",
        "properties": {
            "database": "demni2mf59dt10",
            "encryption_type": "none",
            "host": "db.example.com",
            "port": "5432",
            "ssl": "false",
            "status": "1",
            "username": "stitch",
        },
        "updated_at": made["created_at"],
        "name": "Staging",
        "type": "postgres",
        "deleted_at": None,
        "system_paused_at": None,
        "stitch_client_id": account.id,
        "paused_at": None,
        "id": made["id"],
        "display_name": None,
        "created_at": made["created_at"],
    }
    assert (card["current_step"], card["current_step_type"]) == (2, "fully_configured")
    assert "details" not in card
    assert account.call("GET", "/v4/destinations") == [{**made, "report_card": card}]
    assert account.call("GET", f"/v4/destinations/{made['id']}") == {**made, "report_card": card}


def test_a_name_comes_from_the_type_and_a_password_never_comes_back(account: Account):
    made = account.destination(name=None, description=None)
    assert made["name"]
    assert made["description"] is None
    answers = [
        account.ask("GET", "/v4/destinations").text,
        account.ask("GET", "/v3/destinations").text,
        account.ask("PUT", f"/v4/destinations/{made['id']}", {"properties": {"password": "other secret"}}).text,
    ]
    assert not any("secret" in text or PASSWORD in text for text in answers)
    assert PASSWORD not in str(account.row(made["id"]))


@pytest.mark.parametrize("ssl", [True, "true"])
def test_a_boolean_may_be_sent_as_text_and_is_answered_as_such(account: Account, ssl: object):
    assert account.destination(properties={**POSTGRES, "ssl": ssl})["properties"]["ssl"] == "true"


def test_a_change_of_some_properties_keeps_the_rest(account: Account):
    made = account.destination()
    told = account.call("PUT", f"/v4/destinations/{made['id']}", {"properties": {"username": "stitch_admin"}})
    assert told["properties"] == {**made["properties"], "username": "stitch_admin"}
    assert told["check_job_name"]
    named = account.call("PUT", f"/v4/destinations/{made['id']}", {"name": "New", "description": "Words"})
    assert (named["name"], named["description"]) == ("New", "Words")
    kept = account.call(
        "PUT", f"/v4/destinations/{made['id']}", {"name": None, "description": None, "properties": None}
    )
    assert (kept["name"], kept["description"], kept["properties"]) == ("New", None, told["properties"])


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        {},
        {"type": "postgres"},
        {"properties": POSTGRES},
        {**GIVEN, "paused_at": None},
        {**GIVEN, "name": 5},
        {**GIVEN, "description": []},
        {**GIVEN, "ignore_unmapped_sources": "true"},
        {**GIVEN, "ignore_unmapped_sources": 1},
        {**GIVEN, "name": "a\0b"},
        {"type": "postgres", "properties": []},
        {"type": "postgres", "properties": None},
        {"type": 5, "properties": {}},
        {"type": "nothing", "properties": {}},
        {"type": "platform.heap", "properties": {}},
    ],
)
def test_a_body_with_missing_or_prohibited_arguments_is_refused(account: Account, body: Any):
    assert account.text("POST", "/v4/destinations", body) == POST_TEXT
    assert account.call("GET", "/v4/destinations") == []


def test_a_body_that_is_no_json_is_refused_in_the_same_words(account: Account):
    made = account.destination()
    for method, path, text in (
        ("POST", "/v4/destinations", POST_TEXT),
        ("PUT", f"/v4/destinations/{made['id']}", PUT_TEXT),
        ("POST", "/v3/destinations", V3_TEXT),
        ("PUT", f"/v3/destinations/{made['id']}", V3_TEXT),
    ):
        for content in (b"{", b"", b'{"type":"\xff"}', b'{"type":"\\ud800"}', b"[" * 100_000):
            answer = account.ask(method, path, content=content)
            assert (answer.status_code, answer.text) == (400, text)


def test_a_type_that_this_server_cannot_run_is_refused(account: Account):
    refused = account.call("POST", "/v4/destinations", {"type": "panoply", "properties": {}}, status=400)
    assert refused["error"] == "AccessDenied"


def test_bad_properties_are_listed_with_the_card(account: Account):
    bad = {**POSTGRES, "port": "abc", "host": "", "unknown": "x"}
    refused = account.call("POST", "/v4/destinations", {"type": "postgres", "properties": bad}, status=400)
    assert refused["error"] == "InvalidProperties"
    assert refused["data"]["message"] == "properties do not match schema"
    assert refused["data"]["bad_properties"] == ["host", "port", "unknown"]
    assert refused["data"]["report_card"]["type"] == "postgres"


def test_ten_destinations_are_the_most(account: Account):
    made = [account.destination() for _ in range(10)]
    assert account.text("POST", "/v4/destinations", GIVEN) == "you are at your destination limit"
    v3 = {"type": "postgres", "connection": POSTGRES}
    assert account.text("POST", "/v3/destinations", v3) == "you are at your destination limit"
    account.call("DELETE", f"/v4/destinations/{made[0]['id']}")
    account.destination()


def test_a_type_cannot_change_and_an_unknown_id_is_refused(account: Account):
    made = account.destination()
    path = f"/v4/destinations/{made['id']}"
    text = "this API endpoint does not support modifying destination type"
    assert account.text("PUT", path, {"type": "postgres", "properties": {}}) == text
    assert account.text("PUT", path, {"type": "duckdb"}) == text
    for body in ({}, {"paused_at": None}, {"ignore_unmapped_sources": True}, {"properties": []}, {"name": 1}, []):
        assert account.text("PUT", path, body) == PUT_TEXT
    for unknown in (made["id"] + 1, 0, -1, 2**63, 10**40):
        assert account.text("PUT", f"/v4/destinations/{unknown}", {"properties": {}}) == "invalid connection id"


def test_a_deleted_destination_is_gone_and_its_sources_pause(account: Account):
    made = account.destination()
    source, paused = account.ready_source(), account.source("Paused")
    account.call("PUT", f"/v4/sources/{paused['id']}", {"paused_at": "2019-06-01T00:00:00Z"})
    account.call("DELETE", f"/v4/sources/{account.source('Gone')['id']}")
    with account.served.server.write() as db:
        hook = {"url": "https://a.example", "secret": "", "created_at": now(), "modified_at": now()}
        db.execute(sa.insert(hooks).values(account_id=account.id, destination_id=made["id"], **hook))
    assert account.call("DELETE", f"/v4/destinations/{made['id']}") == {}
    text = f"Unable to locate dest ({made['id']}) for client ({account.id}) to delete"
    assert account.text("DELETE", f"/v4/destinations/{made['id']}") == text
    assert account.text("PUT", f"/v4/destinations/{made['id']}", {"properties": {}}) == "invalid connection id"
    assert account.call("GET", "/v4/destinations") == []
    assert account.call("GET", f"/v4/destinations/{made['id']}", status=404)["error"] == "NotFound"
    told = account.call("GET", f"/v4/sources/{source['id']}")
    assert re.fullmatch(MOMENT, told["paused_at"])
    assert told["schedule"] is None
    assert account.row(source["id"]).destination_id is None
    gone = account.call("GET", "/v4/sources")[-1]
    assert (gone["display_name"], gone["paused_at"]) == ("Gone", None)
    with account.served.server.read() as db:
        assert db.execute(sa.select(hooks).where(hooks.c.destination_id == made["id"])).all() == []


def test_unknown_ids_are_not_deleted(account: Account):
    for unknown in (0, -7, 2**63, 10**30):
        text = f"Unable to locate dest ({unknown}) for client ({account.id}) to delete"
        assert account.text("DELETE", f"/v4/destinations/{unknown}") == text


def test_sources_without_a_destination_are_mapped_to_a_new_one_and_scheduled(account: Account):
    source = account.ready_source()
    assert source["schedule"] is None
    kept_apart = account.destination(ignore_unmapped_sources=True)
    assert account.call("GET", f"/v4/destinations?source_id={source['id']}") == []
    mapped = account.destination(ignore_unmapped_sources=False)
    found = account.call("GET", f"/v4/destinations?source_id={source['id']}")
    assert [one["id"] for one in found] == [mapped["id"]]
    told = account.call("GET", f"/v4/sources/{source['id']}")
    assert told["schedule"]["type"] == "interval"
    assert "destination_id" not in told
    both = account.call("GET", f"/v4/destinations?source_id={source['id']}&destination_id={kept_apart['id']}")
    assert both == []
    one = account.call("GET", f"/v4/destinations?destination_id={kept_apart['id']}")
    assert [each["id"] for each in one] == [kept_apart["id"]]


def test_other_filters_are_refused_and_senseless_values_find_nothing(account: Account):
    account.destination()
    assert account.text("GET", "/v4/destinations?page=1") == GET_TEXT
    assert account.text("GET", "/v4/destinations?source_id=1&name=x") == GET_TEXT
    for value in ("x", "-1", "", "99999999999999999999999", "%00", "1.5"):
        assert account.call("GET", f"/v4/destinations?source_id={value}") == []
        assert account.call("GET", f"/v4/destinations?destination_id={value}") == []


# --- the last check (section 9) ---------------------------------------------------------------------------------------


def test_a_check_is_told_while_it_runs_and_when_it_has_ended(account: Account):
    made = account.destination()
    path = f"/v4/destinations/{made['id']}/last-connection-check"
    running = account.call("GET", path)
    assert running == {
        "target_exit_status": None,
        "tap_error_message": None,
        "check_exit_status": None,
        "name": made["check_job_name"],
        "start_time": running["start_time"],
        "mode": "check",
        "tap_exit_status": None,
        "target_error_message": None,
        "discovery_exit_status": None,
        "status": "running",
        "completion_time": None,
        "error": False,
        "discovery_error_message": None,
    }
    message = 'FATAL:  password authentication failed for user "stitch"'
    with account.served.server.write() as db:
        checks.finish(db, made["check_job_name"], check=None, discovery=1, message=message, now=now())
    failed = account.call("GET", path)
    assert (failed["status"], failed["error"], failed["discovery_error_message"]) == ("failed", True, message)
    assert (failed["check_exit_status"], failed["discovery_exit_status"]) == (None, 1)
    assert re.fullmatch(MOMENT, failed["completion_time"])


def test_no_check_of_an_unknown_destination(account: Account):
    for unknown in (0, 2**63, account.import_source()["id"]):
        refused = account.call("GET", f"/v4/destinations/{unknown}/last-connection-check", status=404)
        assert refused["error"] == "NotFound"


# --- version 3 (section 4.4) ------------------------------------------------------------------------------------------


def test_version_3_keeps_json_types_and_tells_the_last_check(account: Account):
    assert account.call("GET", "/v3/destinations") == []
    given = {**POSTGRES, "port": 5432}
    made = account.call("POST", "/v3/destinations", {"type": "postgres", "connection": given})
    shown = {name: value for name, value in given.items() if name != "password"}
    assert shown.items() <= made["connection"].items()
    assert "password" not in made["connection"]
    assert set(made) == {"id", "type", "created_at", "updated_at", "connection", "last_check"}
    check = account.call("GET", f"/v4/destinations/{made['id']}/last-connection-check")
    assert made["last_check"] == {"error": False, "started_at": check["start_time"], "completed_at": None}
    assert account.call("GET", "/v3/destinations") == [made]
    body = {"type": "postgres", "connection": {"port": "5433", "ssl": True}}
    changed = account.call("PUT", f"/v3/destinations/{made['id']}", body)
    assert changed["connection"] == {**made["connection"], "port": 5433, "ssl": True}
    account.destination()
    assert [one["id"] for one in account.call("GET", "/v3/destinations")] == [made["id"]]


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"type": "postgres"},
        {"connection": {}},
        {"type": "postgres", "properties": {}},
        {"type": "postgres", "connection": {}, "name": "x"},
        {"type": "postgres", "connection": []},
        {"type": "nothing", "connection": {}},
    ],
)
def test_version_3_refuses_other_bodies(account: Account, body: Any):
    assert account.text("POST", "/v3/destinations", body) == V3_TEXT


def test_version_3_refuses_another_type_and_an_unknown_id(account: Account):
    made = account.destination()
    text = "this API endpoint does not support modifying destination type"
    assert account.text("PUT", f"/v3/destinations/{made['id']}", {"type": "duckdb", "connection": {}}) == text
    for unknown in (0, made["id"] + 1, 2**64):
        path = f"/v3/destinations/{unknown}"
        assert account.text("PUT", path, {"type": "postgres", "connection": {}}) == "invalid connection id"
    assert account.text("PUT", f"/v3/destinations/{made['id']}", {"type": "postgres"}) == V3_TEXT
