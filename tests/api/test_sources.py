"""Sources: `spec/connect-api.md` sections 6.1 to 6.5, 7, 8 and 9. What is refused is in `test_source_errors.py`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.api.calling import HEAP, JOB, MOMENT, Account, now
from tests.planted import AWS_KEY

from lockstitch.control import checks
from lockstitch.control.store.tables import connections


def test_the_import_api_source_is_answered_as_documented(account: Account):
    made = account.import_source()
    assert made == {
        "properties": {},
        "updated_at": made["created_at"],
        "schedule": None,
        "name": "import_api",
        "type": "import_api",
        "deleted_at": None,
        "system_paused_at": None,
        "stitch_client_id": account.id,
        "paused_at": None,
        "id": made["id"],
        "display_name": "Import API",
        "created_at": made["created_at"],
        "report_card": {
            "type": "import_api",
            "current_step": 2,
            "current_step_type": "fully_configured",
            "steps": [{"type": "form", "properties": []}, {"type": "fully_configured", "properties": []}],
        },
    }
    assert re.fullmatch(MOMENT, made["created_at"])
    assert account.call("GET", f"/v4/sources/{made['id']}") == made


def test_a_source_goes_through_its_steps(account: Account):
    made = account.source(properties={**HEAP, "frequency_in_minutes": 60})
    assert re.fullmatch(rf"{account.id}\.{made['id']}\.check\.{JOB}", made["check_job_name"])
    assert made["properties"] == {
        **HEAP,
        "cron_expression": None,
        "frequency_in_minutes": "60",
        "image_version": made["properties"]["image_version"],
        "product": "pipeline",
    }
    assert step(made) == (2, "discover_schema")
    assert made["schedule"] is None
    account.discovered(made)
    path = f"/v4/sources/{made['id']}"
    assert step(account.call("GET", path)) == (3, "field_selection")
    account.selected(made)
    account.destination()
    told = account.call("GET", path)
    assert step(told) == (4, "fully_configured")
    assert (told["schedule"]["type"], told["schedule"]["unit"]) == ("interval", "minute")
    assert b'"interval":60.0' in account.ask("GET", path).content
    assert re.fullmatch(MOMENT, told["schedule"]["next_fire_time"])
    assert "check_job_name" not in told
    account.choose(made["id"], {"tap_stream_id": "users", "metadata": [selected(False)]})
    again = account.call("GET", path)
    assert step(again) == (3, "field_selection")
    assert again["schedule"] is None


def step(source: dict[str, Any]) -> tuple[int, str]:
    card = source["report_card"]
    assert card["steps"][card["current_step"] - 1]["type"] == card["current_step_type"]
    return card["current_step"], card["current_step_type"]


def selected(value: object) -> dict[str, Any]:
    return {"breadcrumb": [], "metadata": {"selected": value}}


def test_an_incomplete_form_is_allowed_and_completed_later(account: Account):
    made = account.source(properties={"start_date": "2017-01-01T00:00:00Z"})
    assert step(made) == (1, "form")
    assert "check_job_name" not in made
    assert account.call("GET", f"/v4/sources/{made['id']}/last-connection-check", status=404)["error"] == "NotFound"
    told = account.call("PUT", f"/v4/sources/{made['id']}", {"properties": HEAP})
    assert step(told) == (2, "discover_schema")
    assert told["check_job_name"]


def test_a_source_without_properties_is_allowed(account: Account):
    made = account.call("POST", "/v4/sources", {"type": "platform.heap", "display_name": "Heap", "properties": None})
    assert step(made) == (1, "form")


@pytest.mark.parametrize(
    ("display_name", "name"),
    [
        ("Recurly", "recurly"),
        ("Recurly Stitch", "recurly_stitch"),
        ("Import API tokens example", "import_api_tokens_example"),
        ("  Customer \t Records ", "customer_records"),
        ("<DISPLAY_NAME!!!>", "display_name"),
        ("a--b - c", "a_b_c"),
        ("Crème Brûlée", "creme_brulee"),
        ("$5", None),
        ("_5$", "_5$"),
        ("x" * 49, "x" * 49),
    ],
)
def test_a_name_comes_from_the_display_name(account: Account, display_name: str, name: str | None):
    body = {"type": "import_api", "display_name": display_name}
    answer = account.ask("POST", "/v4/sources", body)
    assert (answer.json().get("name"), answer.status_code) == (name, 400 if name is None else 200)


def test_a_name_stays_when_the_display_name_changes(account: Account):
    made = account.import_source("AdWords")
    told = account.call("PUT", f"/v4/sources/{made['id']}", {"display_name": " AdWords2 "})
    assert (told["display_name"], told["name"]) == ("AdWords2", "adwords")
    assert "check_job_name" not in told


def test_an_explicit_name_is_taken(account: Account):
    body = {"type": "import_api", "display_name": "####", "name": "my_schema$1"}
    assert account.call("POST", "/v4/sources", body)["name"] == "my_schema$1"


def test_names_of_deleted_sources_can_be_used_again(account: Account):
    account.call("DELETE", f"/v4/sources/{account.import_source()['id']}")
    assert account.import_source()["name"] == "import_api"


def test_a_moment_of_pausing_is_echoed_and_unpausing_clears_both(account: Account):
    account.destination()
    source = account.ready_source()
    path = f"/v4/sources/{source['id']}"
    for moment in ("2019-06-01T00:00:00Z", "2099-06-01", "2019-06-01T02:00:00.5+02:00"):
        paused = account.call("PUT", path, {"paused_at": moment})
        assert (paused["paused_at"], paused["schedule"]) == (moment, None)
        assert "check_job_name" not in paused
    with account.served.server.write() as db:
        own = connections.c.id == source["id"]
        db.execute(sa.update(connections).where(own).values(system_paused_at=now()))
    assert re.fullmatch(MOMENT, account.call("GET", path)["system_paused_at"])
    told = account.call("PUT", path, {"paused_at": None})
    assert (told["paused_at"], told["system_paused_at"]) == (None, None)
    assert told["schedule"]["type"] == "interval"


def test_properties_merge_and_null_removes_one(account: Account):
    made = account.source(properties={**HEAP, "frequency_in_minutes": "60", "bucket_url": "s3://x"})
    path = f"/v4/sources/{made['id']}"
    told = account.call("PUT", path, {"properties": {"frequency_in_minutes": 30, "bucket_url": None}})
    assert told["properties"]["frequency_in_minutes"] == "30"
    assert "bucket_url" not in told["properties"]
    assert told["properties"]["bucket"] == HEAP["bucket"]
    same = account.call("PUT", path, {"properties": {}})
    assert same["check_job_name"]


def test_credentials_are_kept_apart_and_never_answered(account: Account):
    secret = AWS_KEY
    made = account.source(properties={**HEAP, "aws_secret_access_key": secret})
    assert "aws_secret_access_key" not in made["properties"]
    (shown,) = [one for one in made["report_card"]["steps"][0]["properties"] if one["name"] == "aws_secret_access_key"]
    assert shown["provided"] is True
    assert secret not in account.ask("GET", "/v4/sources").text
    assert secret not in str(account.row(made["id"]))


def test_a_source_fills_the_named_destination_or_the_only_one(account: Account):
    first = account.destination()
    source = account.source("One")
    second = account.destination()
    other = account.source("Two", destination_id=second["id"])
    undecided = account.source("Three")
    wanted = [(source, [first["id"]]), (other, [second["id"]]), (undecided, [])]
    for made, ids in wanted:
        found = account.call("GET", f"/v4/destinations?source_id={made['id']}")
        assert [one["id"] for one in found] == ids
    account.call("PUT", f"/v4/sources/{source['id']}", {"destination_id": second["id"]})
    found = account.call("GET", f"/v4/destinations?source_id={source['id']}")
    assert [one["id"] for one in found] == [second["id"]]


def test_a_deleted_source_is_still_read(account: Account):
    account.destination()
    source = account.ready_source()
    deleted = account.call("DELETE", f"/v4/sources/{source['id']}")
    assert re.fullmatch(MOMENT, deleted["deleted_at"])
    assert deleted["schedule"] is None
    assert account.call("GET", f"/v4/sources/{source['id']}") == deleted
    assert account.call("GET", "/v4/sources") == [deleted]
    assert account.row(source["id"]).secrets == {}


# --- schedules (section 8) --------------------------------------------------------------------------------------------


def test_a_cron_expression_wins_until_it_is_removed(account: Account):
    account.destination()
    source = account.ready_source()
    path = f"/v4/sources/{source['id']}"
    expression = "0 0 12 ? * MON-FRI *"
    told = account.call("PUT", path, {"properties": {"cron_expression": expression}})
    assert told["schedule"] == {
        "type": "cron",
        "cron_expression": expression,
        "next_fire_time": told["schedule"]["next_fire_time"],
    }
    assert told["schedule"]["next_fire_time"].endswith("T12:00:00Z")
    told = account.call("PUT", path, {"properties": {"frequency_in_minutes": "360"}})
    assert told["schedule"]["type"] == "cron"
    told = account.call("PUT", path, {"properties": {"cron_expression": None}})
    assert (told["schedule"]["type"], told["schedule"]["interval"]) == ("interval", 360.0)
    assert told["properties"]["cron_expression"] is None


def test_an_anchor_lays_the_grid_and_is_echoed(account: Account):
    account.destination()
    source = account.ready_source()
    anchor = "2018-11-06T03:30:00.000Z"
    body = {"properties": {"frequency_in_minutes": "360", "anchor_time": anchor}}
    told = account.call("PUT", f"/v4/sources/{source['id']}", body)
    assert told["properties"]["anchor_time"] == anchor
    next_fire = datetime.fromisoformat(told["schedule"]["next_fire_time"])
    assert (next_fire - datetime(2018, 11, 6, 3, 30, tzinfo=UTC)) % timedelta(minutes=360) == timedelta(0)
    assert now() < next_fire <= now() + timedelta(minutes=360)


# --- checks (section 9) -----------------------------------------------------------------------------------------------


def test_the_last_check_of_a_source_is_told(account: Account):
    source = account.source()
    path = f"/v4/sources/{source['id']}/last-connection-check"
    assert account.call("GET", path)["status"] == "running"
    account.discovered(source)
    told = account.call("GET", path)
    assert (told["status"], told["error"], told["name"]) == ("succeeded", False, source["check_job_name"])
    assert (told["check_exit_status"], told["discovery_exit_status"]) == (0, 0)
    again = account.call("PUT", f"/v4/sources/{source['id']}", {"properties": {}})["check_job_name"]
    with account.served.server.write() as db:
        checks.finish(db, again, check=None, discovery=1, message="no way in", now=now())
    told = account.call("GET", path)
    assert (told["name"], told["status"], told["error"]) == (again, "failed", True)
    assert step(account.call("GET", f"/v4/sources/{source['id']}"))[1] == "field_selection"  # it does not fall back


def test_a_check_that_waits_serves_every_change_until_it_begins(account: Account):
    source = account.source()
    path, change = f"/v4/sources/{source['id']}", {"properties": {"start_date": "2026-02-01T00:00:00Z"}}
    first = source["check_job_name"]
    assert [account.call("PUT", path, change)["check_job_name"] for _ in range(3)] == [first] * 3
    with account.served.server.write() as db:
        assert checks.begin(db, first, now()) is not None
    second = account.call("PUT", path, change)["check_job_name"]
    assert second != first
    assert account.call("PUT", path, change)["check_job_name"] == second
    with account.served.server.write() as db:
        assert checks.finish(db, first, check=0, discovery=0, message=None, now=now())
        assert checks.begin(db, first, now()) is None
    told = account.call("GET", f"{path}/last-connection-check")
    assert (told["name"], told["status"]) == (second, "running")


def test_a_first_check_that_fails_leaves_the_source_where_it_is(account: Account):
    source = account.source()
    with account.served.server.write() as db:
        checks.finish(db, source["check_job_name"], check=None, discovery=1, message="no way in", now=now())
    assert step(account.call("GET", f"/v4/sources/{source['id']}")) == (2, "discover_schema")
