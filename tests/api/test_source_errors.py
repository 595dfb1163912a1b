"""What sources and their tokens refuse: `spec/connect-api.md` sections 6.6 and 6.7."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from tests.api.calling import HEAP, MOMENT, Account

POST = "POST body may only include a non-empty type, a non-empty display_name and map of string properties"
PUT = "PUT body many only include the keys: display_name, properties, and paused_at"
NAME = (
    "The name field must be under 50 characters, and can only contain lowercase letters, numbers, underscores, or "
    "dollar signs. It must begin with a letter or an underscore."
)


def coded(error: str, message: str) -> dict[str, Any]:
    return {"error": error, "data": {"message": message}}


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"type": "import_api"},
        {"display_name": "x"},
        {"type": "", "display_name": "x"},
        {"type": "import_api", "display_name": "  "},
        {"type": None, "display_name": "x"},
        {"type": 5, "display_name": "x"},
        {"type": "import_api", "display_name": "x", "properties": []},
        {"type": "import_api", "display_name": "x", "paused_at": None},
        {"type": "import_api", "display_name": "x", "destination_id": "12"},
        {"type": "import_api", "display_name": "x", "name": 1},
        {"type": "import_api", "display_name": "nul \0 here"},
    ],
)
def test_prohibited_arguments_of_a_new_source(account: Account, body: Any):
    assert account.call("POST", "/v4/sources", body, status=400) == coded("InvalidBody", POST)


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"type": "platform.nothing"}, coded("InvalidType", "invalid source type (platform.nothing)")),
        ({"type": "postgres"}, coded("AccessDenied", "you do not have access to source type (postgres)")),
        (
            {"type": "platform.hubspot"},
            coded("AccessDenied", "you do not have access to source type (platform.hubspot)"),
        ),
        (
            {"display_name": "####"},
            coded("InvalidDisplayName", "invalid name after deriving it from display_name (#### -> )"),
        ),
        (
            {"display_name": "1st"},
            coded("InvalidDisplayName", "invalid name after deriving it from display_name (1st -> 1st)"),
        ),
        (
            {"display_name": "x" * 50},
            coded("InvalidDisplayName", f"invalid name after deriving it from display_name ({'x' * 50} -> {'x' * 50})"),
        ),
        ({"display_name": "x" * 256}, coded("InvalidDisplayName", f"invalid display_name ({'x' * 256})")),
        ({"name": "Upper"}, coded("InvalidName", NAME)),
        ({"name": "1a"}, coded("InvalidName", NAME)),
        ({"name": ""}, coded("InvalidName", NAME)),
        ({"name": "a" * 50}, coded("InvalidName", NAME)),
        ({"name": "a\n"}, coded("InvalidName", NAME)),
    ],
)
def test_a_source_that_cannot_be_made(account: Account, body: dict[str, Any], refused: Any):
    given = {"type": "import_api", "display_name": "Fine", **body}
    assert account.call("POST", "/v4/sources", given, status=400) == refused
    assert account.call("GET", "/v4/sources") == []


def test_names_are_unique_in_an_account(account: Account, other: Account):
    first = account.import_source("Display Name")
    other.import_source("Display Name")
    for name, text in (
        ("Display Name", "non-unique name (Display Name)"),
        ("Display-Name!!!", "non-unique name after deriving it from display_name (Display-Name!!! -> display_name)"),
    ):
        body = {"type": "import_api", "display_name": name}
        assert account.call("POST", "/v4/sources", body, status=400) == coded("InvalidName", text)
    body = {"type": "import_api", "display_name": "Other", "name": "display_name"}
    told = account.call("POST", "/v4/sources", body, status=400)
    assert told == coded("InvalidName", "non-unique name (display_name)")
    second = account.import_source("Second")
    told = account.call("PUT", f"/v4/sources/{second['id']}", {"display_name": "Display Name"}, status=400)
    assert told == coded("InvalidName", "non-unique name (Display Name)")
    account.call("PUT", f"/v4/sources/{first['id']}", {"display_name": "Display Name"})


@pytest.mark.parametrize(
    "body",
    [
        [],
        "x",
        {"type": "import_api"},
        {"name": "x"},
        {"properties": []},
        {"properties": None},
        {"deleted_at": None},
        {"paused_at": "yesterday"},
        {"paused_at": 5},
        {"paused_at": True},
        {"paused_at": ""},
        {"properties": {"bucket": "a\0b"}},
    ],
)
def test_prohibited_arguments_of_a_change(account: Account, body: Any):
    source = account.source()
    told = account.call("PUT", f"/v4/sources/{source['id']}", body, status=400)
    assert told == coded("InvalidBody", PUT)


@pytest.mark.parametrize(
    ("name", "shown"), [("", ""), ("   ", "   "), ("x" * 256, "x" * 256), (5, "5"), (None, "null"), (["a"], '["a"]')]
)
def test_a_bad_display_name(account: Account, name: Any, shown: str):
    source = account.import_source()
    told = account.call("PUT", f"/v4/sources/{source['id']}", {"display_name": name}, status=400)
    assert told == coded("InvalidDisplayName", f"invalid display_name ({shown})")


def test_a_body_that_is_no_json(account: Account):
    source = account.import_source()
    for content in (b"", b"{", b'{"display_name":"\\udc00"}', b"\xff", b"[" * 50_000, b'{"a":' * 40 + b"1" + b"}" * 40):
        told = account.ask("POST", "/v4/sources", content=content)
        assert (told.status_code, told.json()) == (400, coded("InvalidBody", POST))
        told = account.ask("PUT", f"/v4/sources/{source['id']}", content=content)
        assert (told.status_code, told.json()) == (400, coded("InvalidBody", PUT))


@pytest.mark.parametrize(
    ("properties", "bad"),
    [
        ({"account_id": "12"}, ["account_id"]),
        ({"bucket": ""}, ["bucket"]),
        ({"bucket": []}, ["bucket"]),
        ({"bucket": {}}, ["bucket"]),
        ({"bucket": None}, ["bucket"]),
        ({"start_date": "2026-01-01"}, ["start_date"]),
        ({"frequency_in_minutes": "59"}, ["frequency_in_minutes"]),
        ({"anchor_time": "soon"}, ["anchor_time"]),
        ({"image_version": "1"}, ["image_version"]),
        ({"unknown": "x", "account_id": "y"}, ["unknown", "account_id"]),
    ],
)
def test_bad_properties_are_listed(account: Account, properties: dict[str, Any], bad: list[str]):
    source = account.ready_source()
    body = {"type": "platform.heap", "display_name": "Other", "properties": properties}
    told = account.call("POST", "/v4/sources", body, status=400)
    card = told["data"].pop("report_card")
    assert told == {
        "error": "InvalidProperties",
        "data": {"message": "properties do not match schema", "bad_properties": bad},
    }
    assert (card["type"], card["current_step"]) == ("platform.heap", 1)
    told = account.call("PUT", f"/v4/sources/{source['id']}", {"properties": {**properties}}, status=400)
    assert told["data"]["bad_properties"] == bad
    assert told["data"]["report_card"] == source["report_card"]
    assert account.call("GET", f"/v4/sources/{source['id']}") == source


def test_cron_expressions(account: Account):
    source = account.source()
    both = "Support for specifying both a day-of-week AND a day-of-month parameter is not implemented."
    text = f'cron_expression "* * * * * *" is invalid: {both}'
    body = {"properties": {"cron_expression": "* * * * * *"}}
    path = f"/v4/sources/{source['id']}"
    assert account.call("PUT", path, body, status=400) == coded("InvalidCronExpression", text)
    made = {"type": "platform.heap", "display_name": "Cron", "properties": {**HEAP, **body["properties"]}}
    assert account.call("POST", "/v4/sources", made, status=400) == coded("InvalidCronExpression", text)
    for expression in ("x", "0 0 12 ? *", "0 99 12 ? * MON", "0 0 12 32 * ?"):
        told = account.ask("PUT", path, {"properties": {"cron_expression": expression}})
        assert told.status_code == 400
        assert told.json()["error"] == "InvalidCronExpression"
        assert told.json()["data"]["message"].startswith(f'cron_expression "{expression}" is invalid: ')


@pytest.mark.parametrize("destination_id", [0, -1, 10**12, 2**63, 10**30, True])
def test_an_unknown_destination(account: Account, destination_id: Any):
    body = {"type": "import_api", "display_name": "x", "destination_id": destination_id}
    assert account.text("POST", "/v4/sources", body) == "invalid connection id"
    source = account.import_source()
    for value in (destination_id, "1", [], source["id"]):
        told = account.text("PUT", f"/v4/sources/{source['id']}", {"destination_id": value})
        assert told == "invalid connection id"


def test_unknown_and_deleted_ids(account: Account):
    deleted = account.import_source()["id"]
    account.call("DELETE", f"/v4/sources/{deleted}")
    for unknown in (0, -3, 10**12, 2**63, 10**30, account.destination()["id"]):
        refused = coded("InvalidId", f"source not found ({unknown})")
        assert account.call("GET", f"/v4/sources/{unknown}", status=404) == refused
        assert account.call("GET", f"/v4/sources/{unknown}/last-connection-check", status=404) == refused
        assert account.call("PUT", f"/v4/sources/{unknown}", {}, status=400) == refused
        assert account.call("DELETE", f"/v4/sources/{unknown}", status=400) == refused
    refused = coded("InvalidId", f"source not found ({deleted})")
    assert account.call("PUT", f"/v4/sources/{deleted}", {"paused_at": None}, status=400) == refused
    assert account.call("DELETE", f"/v4/sources/{deleted}", status=400) == refused


# --- Import API tokens (section 6.7) ----------------------------------------------------------------------------------


def test_a_source_has_at_most_two_tokens(account: Account):
    source = account.import_source()
    path = f"/v4/sources/{source['id']}/tokens"
    assert account.call("GET", path) == []
    first, second = (account.call("POST", path) for _ in range(2))
    assert set(first) == {"id", "access_token"}
    assert first["id"] < second["id"]
    listed = account.call("GET", path)
    assert [one["token_id"] for one in listed] == [second["id"], first["id"]]
    assert all(set(one) == {"token_id", "created_at"} for one in listed)
    limit = coded("TokenLimitExceeded", "a source can have at most 2 active tokens")
    assert account.call("POST", path, status=400) == limit
    told = account.call("DELETE", f"{path}/{first['id']}")
    assert {**told, "updated_at": ""} == {**source, "updated_at": ""}
    assert account.call("POST", path)["id"] > second["id"]
    for unknown in (first["id"], 0, -1, 2**63, 10**30):
        told = account.call("DELETE", f"{path}/{unknown}", status=400)
        assert told == coded("InvalidId", f"token not found ({unknown})")


def test_a_deletion_of_a_token_is_seen_in_updated_at(account: Account):
    source = account.import_source()
    token = account.call("POST", f"/v4/sources/{source['id']}/tokens")
    time.sleep(1.05)
    told = account.call("DELETE", f"/v4/sources/{source['id']}/tokens/{token['id']}")
    assert re.fullmatch(MOMENT, told["updated_at"])
    assert told["updated_at"] > source["updated_at"]


def test_only_import_api_sources_have_tokens(account: Account):
    source = account.source()
    refused = coded("InvalidType", "source type does not support tokens (platform.heap)")
    path = f"/v4/sources/{source['id']}/tokens"
    for method, address in (("POST", path), ("GET", path), ("DELETE", f"{path}/1")):
        assert account.call(method, address, status=400) == refused
    for method, address in (("POST", "/v4/sources/0/tokens"), ("GET", "/v4/sources/0/tokens")):
        assert account.call(method, address, status=400) == coded("InvalidId", "source not found (0)")
