"""Report cards are, key by key, those that Stitch's API answers (connect-api 4, 5, 6.7, 7)."""

from __future__ import annotations

import json
from collections.abc import Set
from dataclasses import replace
from typing import Any, Literal

import pytest

from lockstitch.control.catalogue.cards import report_card
from lockstitch.control.catalogue.catalogue import ConnectionType, destination_types, find, source_types
from lockstitch.control.catalogue.properties import secret_names, system_values

Kind = Literal["source", "destination"]

HEAP_FORM = {"account_id", "bucket", "external_id", "image_version", "role_name", "start_date"}
HIDDEN_FROM_HEAP = {"endpoint_url", "bucket_url", "aws_region", "aws_secret_access_key"}


def known(kind: Kind, type_name: str) -> ConnectionType:
    found = find(kind, type_name)
    assert found is not None
    return found


def bare(kind: Kind, type_name: str, *, own: bool = False) -> dict[str, Any]:
    """Return a card as the type endpoints answer it."""
    return report_card(known(kind, type_name), provided=set(), discovered=False, selected=False, details=True, own=own)


def current(
    found: ConnectionType, provided: Set[str], *, discovered: bool = False, selected: bool = False
) -> tuple[int, str]:
    card = report_card(found, provided=provided, discovered=discovered, selected=selected)
    assert card["steps"][card["current_step"] - 1]["type"] == card["current_step_type"]
    return card["current_step"], card["current_step_type"]


def names(card: dict[str, Any], step: int = 0) -> list[str]:
    return [each["name"] for each in card["steps"][step]["properties"]]


def test_hubspot_is_answered_as_documented() -> None:
    documented = """{"type":"platform.hubspot","current_step":1,"current_step_type":"form",
     "steps":[{"type":"form","properties":[
      {"name":"anchor_time","is_required":false,"is_credential":false,"system_provided":false,"property_type":"user_provided","json_schema":{"type":"string","format":"date-time"},"provided":false,"tap_mutable":false},
      {"name":"cron_expression","is_required":false,"is_credential":false,"system_provided":false,"property_type":"user_provided","json_schema":null,"provided":false,"tap_mutable":false},
      {"name":"frequency_in_minutes","is_required":false,"is_credential":false,"system_provided":false,"property_type":"user_provided","json_schema":{"type":"string","pattern":"^1$|^30$|^60$|^360$|^720$|^1440$"},"provided":false,"tap_mutable":false},
      {"name":"image_version","is_required":true,"is_credential":false,"system_provided":true,"property_type":"read_only","json_schema":null,"provided":false,"tap_mutable":false},
      {"name":"start_date","is_required":true,"is_credential":false,"system_provided":false,"property_type":"user_provided","json_schema":{"type":"string","pattern":"^\\\\d{4}-\\\\d{2}-\\\\d{2}T00:00:00Z$"},"provided":false,"tap_mutable":false}]},
     {"type":"oauth","properties":[
      {"name":"client_id","is_required":true,"is_credential":true,"system_provided":true,"property_type":"system_provided_by_default","json_schema":{"type":"string"},"provided":false,"tap_mutable":false}]},
     {"type":"discover_schema","properties":[]},{"type":"field_selection","properties":[]},{"type":"fully_configured","properties":[]}],
     "details":{"pricing_tier":"standard","pipeline_state":"released","default_start_date":"-30 days","default_scheduling_interval":30,"protocol":"platform.hubspot","access":false,"image_version":"2.latest"},
     "upgrade_available":null}"""  # noqa: E501  # a body as it is sent
    expected = json.loads(documented)
    card = bare("source", "platform.hubspot")
    # The documented body is shortened: it lacks most rows of OAuth, and rows of the form that few callers send.
    for step, shortened in zip(card["steps"], expected["steps"], strict=True):
        kept = [each["name"] for each in shortened["properties"]]
        step["properties"] = [each for each in step["properties"] if each["name"] in kept]
    assert json.dumps(card) == json.dumps(expected)


def test_redshift_is_answered_as_documented() -> None:
    card = bare("destination", "redshift")
    rows = {each["name"]: each for each in card["steps"][0]["properties"]}
    assert list(card) == ["type", "current_step", "current_step_type", "steps", "details"]
    assert json.dumps(rows["encryption_host"]) == json.dumps(
        {
            "name": "encryption_host",
            "is_required": False,
            "is_credential": False,
            "system_provided": False,
            "property_type": "user_provided",
            "json_schema": {
                "anyOf": [
                    {"type": "string", "format": "ipv4"},
                    {"type": "string", "format": "ipv6"},
                    {"type": "string", "format": "hostname"},
                ]
            },
            "provided": False,
        }
    )
    assert rows["port"]["json_schema"] == {"type": "string", "pattern": "^\\d+$"}
    assert rows["password"]["is_credential"]
    assert card["details"] == {
        "pricing_tier": "standard",
        "pipeline_state": "released",
        "protocol": "redshift",
        "access": False,
    }


def test_documented_oddities_of_destinations() -> None:
    assert "username" in secret_names(known("destination", "snowflake"))
    sentinel = known("destination", "s3").properties["sentinel_key"]
    assert (sentinel.is_credential, sentinel.property_type) == (True, "system_provided_by_default")
    assert bare("destination", "storagegrid")["details"]["pricing_tier"] == "enterprise"


def test_import_api_is_answered_as_documented() -> None:
    card = report_card(known("source", "import_api"), provided=set(), discovered=False, selected=False)
    documented = (
        '{"type":"import_api","current_step":2,"current_step_type":"fully_configured",'
        '"steps":[{"type":"form","properties":[]},{"type":"fully_configured","properties":[]}]}'
    )
    assert json.dumps(card, separators=(",", ":")) == documented


def test_every_type_answers() -> None:
    for each in (*source_types(), *destination_types()):
        card = bare(each.kind, each.type)
        rows = [row for step in card.get("steps", ()) for row in step["properties"]]
        assert not any(row["provided"] for row in rows)
        assert all(("tap_mutable" in row) == (each.kind == "source") for row in rows)
        assert ("upgrade_available" in card) == (each.kind == "source")
        assert json.loads(json.dumps(card)) == card


def test_legacy_types_have_only_details() -> None:
    card = bare("source", "hubspot")
    assert list(card) == ["type", "details", "upgrade_available"]
    assert card["details"]["pipeline_state"] == "deprecated"
    assert card["upgrade_available"] == {"type": "platform.hubspot"}


@pytest.mark.parametrize(
    ("type_name", "expected"),
    [
        ("import_api", (2, "fully_configured")),
        ("webhook.zapier", (2, "fully_configured")),
        ("webhook.incoming-webhook", (2, "fully_configured")),
        ("webhook.segment", (2, "oauth")),
        ("webhook.customerio", (1, "form")),
        ("platform.fullstory", (1, "form")),
        ("platform.shopify", (1, "form")),
    ],
)
def test_a_bare_type_starts_where_something_is_required(type_name: str, expected: tuple[int, str]) -> None:
    assert current(known("source", type_name), set()) == expected


def test_nearly_every_bare_type_starts_at_the_form() -> None:
    beyond = {each.type for each in source_types() if each.steps and current(each, set())[0] > 1}
    assert {name.partition(".")[0] for name in beyond} == {"import_api", "webhook"}


def test_a_source_goes_through_its_steps() -> None:
    heap = known("source", "platform.heap")
    assert current(heap, HEAP_FORM - {"image_version"}) == (1, "form")
    assert current(heap, HEAP_FORM) == (2, "discover_schema")
    assert current(heap, HEAP_FORM, discovered=True) == (3, "field_selection")
    assert current(heap, HEAP_FORM, discovered=True, selected=True) == (4, "fully_configured")
    assert current(heap, HEAP_FORM - {"bucket"}, discovered=True, selected=True) == (1, "form")


def test_oauth_is_done_by_the_caller_or_by_the_platforms_app() -> None:
    harvest = known("source", "platform.harvest")
    form = {each.name for each in harvest.steps[0].properties if each.is_required}
    assert current(harvest, form) == (2, "oauth")
    oauth = {each.name for each in harvest.steps[1].properties if each.is_required}
    assert current(harvest, form | oauth) == (3, "fully_configured")


def test_a_destination_is_configured_once_its_form_is() -> None:
    postgres = known("destination", "postgres")
    sent = {"host", "port", "username", "database", "password", "ssl"}
    assert current(postgres, sent) == (1, "form")
    assert current(postgres, sent | system_values(postgres).keys()) == (2, "fully_configured")


def test_own_properties_are_shown_only_when_set_or_asked_for() -> None:
    listed = names(bare("source", "platform.heap"))
    assert set(listed) == HEAP_FORM | {"anchor_time", "cron_expression", "frequency_in_minutes"}
    asked = names(bare("source", "platform.heap", own=True))
    assert asked[: len(listed)] == listed
    assert set(asked) > HIDDEN_FROM_HEAP
    heap = known("source", "platform.heap")
    card = report_card(heap, provided={"endpoint_url"}, discovered=False, selected=False)
    assert names(card) == [*listed, "endpoint_url"]
    assert card["steps"][0]["properties"][-1]["provided"] is True


def test_the_inbound_address_of_a_webhook_is_shown_when_there_is_one() -> None:
    zapier = known("source", "webhook.zapier")
    assert names(bare("source", "webhook.zapier")) == []
    card = report_card(zapier, provided={"webhook_url"}, discovered=False, selected=False)
    assert names(card) == ["webhook_url"]
    assert card["steps"][0]["properties"][0]["property_type"] == "read_only"


def test_a_property_of_ours_can_stand_for_required_ones() -> None:
    replaces = {"bucket_url": frozenset({"bucket", "account_id", "external_id", "role_name"})}
    heap = replace(known("source", "platform.heap"), replaces=replaces)
    assert current(heap, {"start_date", "image_version"}) == (1, "form")
    assert current(heap, {"start_date", "image_version", "bucket_url"}) == (2, "discover_schema")
    assert current(heap, {"image_version", "bucket_url"}) == (1, "form")


@pytest.mark.parametrize(
    ("type_name", "name", "system_provided", "property_type", "tap_mutable"),
    [
        ("platform.xero", "refresh_token", True, "system_provided_by_default", True),
        ("platform.hubspot", "refresh_token", True, "system_provided_by_default", False),
        ("platform.salesforce", "client_id", False, "system_provided_by_default", False),
        ("platform.s3-csv", "role_name", True, "read_only", False),
        ("platform.heap", "role_name", False, "user_provided", False),
        ("platform.hp-postgres", "itersize", False, "user_provided_advanced", False),
        ("webhook.customerio", "webhookz_primary_key", True, "read_only", False),
    ],
)
def test_rows_say_who_provides(
    type_name: str, name: str, system_provided: bool, property_type: str, tap_mutable: bool
) -> None:
    rows = [row for step in bare("source", type_name)["steps"] for row in step["properties"] if row["name"] == name]
    assert [(row["system_provided"], row["property_type"], row["tap_mutable"]) for row in rows] == [
        (system_provided, property_type, tap_mutable)
    ]
