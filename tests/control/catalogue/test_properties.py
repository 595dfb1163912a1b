"""What callers send is judged as Stitch judges it (connect-api 6.1 to 6.6)."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstitch.connectors import parse_properties
from lockstitch.control.catalogue.catalogue import ConnectionType, destination_types, find, source_types
from lockstitch.control.catalogue.properties import (
    accept,
    is_name,
    name_from,
    secret_names,
    settings_for,
    system_values,
)
from lockstitch.core.errors import SettingsError
from lockstitch.core.model import Json

SENT: dict[str, object] = {
    "host": "db.example.com",
    "port": 5432,
    "username": "stitch",
    "database": "demni2mf59dt10",
    "password": "s3cret",
    "ssl": False,
}
STORED = {**SENT, "port": "5432", "ssl": "false"}


def known(kind: Literal["source", "destination"], type_name: str) -> ConnectionType:
    found = find(kind, type_name)
    assert found is not None
    return found


def bad(kind: Literal["source", "destination"], type_name: str, sent: dict[str, object]) -> list[str]:
    return accept(known(kind, type_name), sent, {}).bad


def test_values_come_back_as_text() -> None:
    accepted = accept(known("destination", "postgres"), SENT, {})
    assert accepted.values == STORED
    assert (accepted.bad, accepted.removed) == ([], set())


def test_only_what_is_sent_changes() -> None:
    accepted = accept(known("destination", "postgres"), {"username": "stitch_admin"}, STORED)
    assert accepted.values == {"username": "stitch_admin"}
    assert accepted.removed == set()


def test_null_removes_what_is_optional() -> None:
    accepted = accept(known("destination", "postgres"), {"sslrootcert": None, "host": None}, STORED)
    assert accepted.removed == {"sslrootcert"}
    assert accepted.bad == ["host"]
    assert accept(known("source", "platform.heap"), {"cron_expression": None}, {}).removed == {"cron_expression"}


def test_bad_properties_are_named_in_the_order_sent() -> None:
    sent: dict[str, object] = {
        "start_date": "2017-01-01",
        "nonsense": "x",
        "bucket": "",
        "image_version": "1.latest",
        "account_id": "123456789012",
        "frequency_in_minutes": 45,
        "role_name": ["a"],
    }
    accepted = accept(known("source", "platform.heap"), sent, {})
    assert accepted.bad == ["start_date", "nonsense", "bucket", "image_version", "frequency_in_minutes", "role_name"]
    assert accepted.values == {"account_id": "123456789012"}


def test_an_immutable_property_is_set_once() -> None:
    source = known("source", "platform.hp-postgres")
    name = "include_schemas_in_destination_stream_name"
    assert source.properties[name].property_type == "user_provided_immutable"
    assert accept(source, {name: True}, {}).values == {name: "true"}
    assert accept(source, {name: True}, {name: "true"}).bad == []
    assert accept(source, {name: "false"}, {name: "true"}).bad == [name]
    assert accept(source, {name: None}, {name: "true"}).bad == [name]


@pytest.mark.parametrize("value", [True, False, "true", "false"])
def test_ssl_of_postgres_is_a_boolean_or_its_text(value: object) -> None:
    assert accept(known("destination", "postgres"), {"ssl": value}, {}).values == {"ssl": str(value).lower()}


@pytest.mark.parametrize("value", ["yes", "True", 1, "", [True]])
def test_ssl_of_postgres_is_nothing_else(value: object) -> None:
    assert bad("destination", "postgres", {"ssl": value}) == ["ssl"]


@pytest.mark.parametrize("value", [30, "30", "1", 1440])
def test_a_frequency_is_stored_as_text(value: object) -> None:
    accepted = accept(known("source", "platform.heap"), {"frequency_in_minutes": value}, {})
    assert accepted.values == {"frequency_in_minutes": str(value)}


def test_lists_stay_lists() -> None:
    reports = [{"id": "1", "name": "visits"}]
    source = known("source", "platform.google-analytics")
    assert accept(source, {"report_definitions": reports}, {}).values == {"report_definitions": reports}
    for wrong in ([{"id": "1"}], [{"id": 1, "name": "visits"}], "visits", [{"id": "1", "name": "v", "more": "x"}]):
        assert bad("source", "platform.google-analytics", {"report_definitions": wrong}) == ["report_definitions"]
    mysql = known("source", "platform.hp-mysql")
    assert accept(mysql, {"filter_dbs": ["a", "b"]}, {}).values == {"filter_dbs": ["a", "b"]}
    assert accept(mysql, {"filter_dbs": "a"}, {}).values == {"filter_dbs": "a"}


def test_a_property_without_schema_takes_any_text() -> None:
    source = known("source", "platform.heap")
    assert accept(source, {"cron_expression": "0 0 12 ? * MON-FRI *"}, {}).bad == []
    assert accept(source, {"cron_expression": ["0"]}, {}).bad == ["cron_expression"]


def test_documented_properties_outside_the_card_are_accepted() -> None:
    assert bad("source", "platform.amplitude", {"start_date": "2017-01-01T00:00:00Z"}) == []
    assert bad("source", "platform.amplitude", {"start_date": "soon"}) == ["start_date"]


def test_own_properties_are_accepted_as_the_connector_reads_them() -> None:
    heap = known("source", "platform.heap")
    sent: dict[str, object] = {"endpoint_url": "http://127.0.0.1:9000", "skip_missing_files": True}
    assert accept(heap, sent, {}).values == {**sent, "skip_missing_files": "true"}
    assert accept(heap, {"skip_missing_files": "perhaps"}, {}).bad == ["skip_missing_files"]
    # Stitch's pattern for a port admits this one, and no server has it.
    assert bad("destination", "postgres", {"port": "70000"}) == ["port"]
    assert bad("destination", "postgres", {"connect_timeout": 0}) == ["connect_timeout"]


def test_the_platform_adds_its_values() -> None:
    assert system_values(known("source", "platform.github")) == {"image_version": "1.latest", "product": "pipeline"}
    assert system_values(known("source", "import_api")) == {}
    assert system_values(known("source", "webhook.zapier")) == {}
    assert system_values(known("destination", "postgres")) == {"status": "1", "encryption_type": "none"}
    assert system_values(known("destination", "duckdb")) == {"status": "1"}


def test_secrets_are_those_of_card_and_connector() -> None:
    assert secret_names(known("source", "platform.heap")) == {"aws_secret_access_key"}
    assert secret_names(known("source", "platform.hubspot")) >= {"client_secret", "refresh_token", "redirect_uri"}
    assert secret_names(known("destination", "postgres")) == {"password"}


def test_a_connector_gets_the_properties_it_knows() -> None:
    postgres = known("destination", "postgres")
    assert postgres.connector
    values: dict[str, Json] = {**system_values(postgres), **accept(postgres, SENT, {}).values}
    settings = settings_for(postgres, values)
    assert "status" not in settings
    parsed = parse_properties(postgres.connector, settings)
    assert (parsed.port, parsed.ssl, parsed.encryption_type) == (5432, False, "none")


def test_a_type_without_connector_has_no_settings() -> None:
    with pytest.raises(SettingsError, match=r"platform\.zuora") as caught:
        settings_for(known("source", "platform.zuora"), {})
    assert caught.value.hint


@pytest.mark.parametrize(
    ("display_name", "name"),
    [
        ("Recurly", "recurly"),
        ("Recurly Stitch", "recurly_stitch"),
        ("Import API", "import_api"),
        ("Import API tokens example", "import_api_tokens_example"),
        ("Customer Records", "customer_records"),
        ("DISPLAY_NAME!!!", "display_name"),
        ("  Zürich \u2013 West-Side  ", "zurich__west_side"),
        ("Straße $", "strasse_$"),
    ],
)
def test_a_name_is_derived(display_name: str, name: str) -> None:
    assert name_from(display_name) == name
    assert is_name(name)


@pytest.mark.parametrize("display_name", ["####", "", "2nd shop", "東京", "x" * 50])
def test_some_display_names_give_no_name(display_name: str) -> None:
    assert not is_name(name_from(display_name))


def test_names_are_below_fifty_characters() -> None:
    assert is_name("_" + "x" * 48)
    assert not is_name("x" * 50)
    assert not is_name("Upper")
    assert not is_name("line\n")


EVERYTHING = [(each, name) for each in (*source_types(), *destination_types()) for name in each.properties]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(EVERYTHING), ANYTHING | st.sampled_from(["true", "1", "2020-01-01T00:00:00Z", "a.b"]))
def test_every_value_has_one_fate_and_acceptance_repeats(place: tuple[ConnectionType, str], value: Any) -> None:
    connection_type, name = place
    accepted = accept(connection_type, {name: value}, {})
    assert [name in accepted.values, name in accepted.removed, name in accepted.bad].count(True) == 1
    for stored in accepted.values.values():
        assert isinstance(stored, str | list | dict)
        again = accept(connection_type, {name: stored}, accepted.values)
        assert again.values == accepted.values
