"""Streams and selection: `spec/connect-api.md` section 10."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.api.calling import STREAMS, Account

from lockstitch.control import selection

WRITABLE = ["selected", "replication-method", "replication-key", "view-key-properties"]
NO_LIST = "body must contain a 'streams' property with a list of metadatas by tap_stream_id"


def chosen(stream: str, **fields: Any) -> dict[str, Any]:
    """Return a stream's part of a body; the field "" is the stream itself."""
    entries = [
        {"breadcrumb": ["properties", name] if name else [], "metadata": metadata} for name, metadata in fields.items()
    ]
    return {"tap_stream_id": stream, "metadata": entries}


def streams_of(account: Account, source: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["stream_name"]: one for one in account.call("GET", f"/v4/sources/{source['id']}/streams")}


@pytest.fixture
def source(account: Account) -> dict[str, Any]:
    made = account.source()
    account.discovered(made)
    return made


def test_there_is_no_stream_before_discovery(account: Account):
    assert account.call("GET", f"/v4/sources/{account.source()['id']}/streams") == []


def test_streams_and_their_schemas_are_told(account: Account, source: dict[str, Any]):
    found = streams_of(account, source)
    users = found["users"]
    assert users == {
        "selected": None,
        "stream_id": users["stream_id"],
        "tap_stream_id": "users",
        "stream_name": "users",
        "metadata": {
            "selected": None,
            "table-key-properties": ["user_id"],
            "forced-replication-method": "INCREMENTAL",
            "valid-replication-keys": ["time"],
        },
    }
    told = account.call("GET", f"/v4/sources/{source['id']}/streams/{users['stream_id']}")
    assert list(told) == ["schema", "metadata", "non-discoverable-metadata-keys"]
    assert told["non-discoverable-metadata-keys"] == WRITABLE
    schema = json.loads(told["schema"])
    assert schema["properties"]["time"] == {"type": ["null", "string"], "format": "date-time"}
    metadata = {tuple(entry["breadcrumb"]): entry["metadata"] for entry in told["metadata"]}
    assert metadata == {
        (): users["metadata"],
        ("properties", "user_id"): {"inclusion": "automatic"},
        ("properties", "email"): {"inclusion": "available"},
        ("properties", "time"): {"inclusion": "automatic"},
        ("properties", "blob"): {"inclusion": "unsupported"},
    }


def test_a_selection_is_told_of_the_stream_and_only_then_of_its_fields(account: Account, source: dict[str, Any]):
    told = account.choose(source["id"], chosen("users", **{"": {"selected": True}, "email": {"selected": True}}))
    assert told == {"status": 200}
    users = streams_of(account, source)["users"]
    assert users["selected"] is True
    assert users["metadata"]["selected"] is True
    path = f"/v4/sources/{source['id']}/streams/{users['stream_id']}"
    fields = {entry["breadcrumb"][-1]: entry["metadata"] for entry in account.call("GET", path)["metadata"][1:]}
    assert {name: one["selected"] for name, one in fields.items()} == {
        "user_id": False,
        "email": True,
        "time": False,
        "blob": False,
    }
    account.choose(source["id"], chosen("users", **{"": {"selected": False}}))
    assert streams_of(account, source)["users"]["selected"] is False


def test_keys_that_are_not_mentioned_stay(account: Account, source: dict[str, Any]):
    method = {"selected": True, "replication-method": "INCREMENTAL", "replication-key": "event_id"}
    account.choose(source["id"], chosen("sessions", **{"": method}))
    account.choose(
        source["id"],
        chosen("sessions", event_id={"selected": True}),
        chosen("sessions", **{"": {"view-key-properties": ["event_id"]}}),
    )
    assert streams_of(account, source)["sessions"]["metadata"] == {
        "table-key-properties": ["session_id"],
        **method,
        "view-key-properties": ["event_id"],
    }
    with account.served.server.read() as db:
        choice = selection.selection(db, source["id"])["sessions"]
    assert (choice.replication_method, choice.replication_key) == ("INCREMENTAL", "event_id")


@pytest.mark.parametrize(
    ("inclusion", "selected", "by_default", "replicated"),
    [
        ("automatic", False, None, True),
        ("automatic", None, None, True),
        ("unsupported", True, True, False),
        ("available", True, None, True),
        ("available", True, False, True),
        ("available", False, None, False),
        ("available", False, True, True),
        ("available", False, False, False),
        ("available", None, True, True),
        ("available", None, False, False),
        ("available", None, None, False),
    ],
)
def test_which_fields_are_replicated(inclusion: str, selected: Any, by_default: Any, replicated: bool):
    discovered = {"inclusion": inclusion, "selected-by-default": by_default}
    assert selection.replicated(discovered, {"selected": selected}) is replicated


def test_choices_outlive_a_discovery_and_a_stream_that_is_away(account: Account, source: dict[str, Any]):
    account.selected(source, "users", "sessions")
    users = streams_of(account, source)["users"]
    account.discovered(source, STREAMS[1])
    assert list(streams_of(account, source)) == ["sessions"]
    refused = account.choose(source["id"], chosen("users", **{"": {"selected": True}}), status=400)
    assert refused == {"invalid_fields": "invalid tap-stream-ids:  [users]"}
    account.discovered(source)
    assert streams_of(account, source)["users"] == users


def test_a_source_whose_selected_streams_are_all_gone_falls_back(account: Account, source: dict[str, Any]):
    account.selected(source, "users")
    assert account.row(source["id"]).has_selection is True
    account.discovered(source, STREAMS[1])
    card = account.call("GET", f"/v4/sources/{source['id']}")["report_card"]
    assert card["current_step_type"] == "field_selection"


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        ({"metadata": []}, "invalid tap-stream-ids:  [nil]"),
        ({"tap_stream_id": None, "metadata": []}, "invalid tap-stream-ids:  [nil]"),
        ({"tap_stream_id": "nothing", "metadata": []}, "invalid tap-stream-ids:  [nothing]"),
        ({"tap_stream_id": 5, "metadata": []}, "invalid tap-stream-ids:  [5]"),
        ({"tap_stream_id": ["users"], "metadata": []}, 'invalid tap-stream-ids:  [["users"]]'),
        ({"tap_stream_id": {}, "metadata": []}, "invalid tap-stream-ids:  [{}]"),
        (
            chosen("users", **{"": {"inclusion": "automatic"}}),
            'only non-discoverable metadata can be produced by the UI: #{"inclusion"}',
        ),
        (
            chosen("users", email={"sql-datatype": "text", "selected": True, "inclusion": "available"}),
            'only non-discoverable metadata can be produced by the UI: #{"sql-datatype" "inclusion"}',
        ),
        (chosen("users", blob={"selected": True}), "Unsupported fields cannot be selected by default"),
        (chosen("users", nothing={"selected": True}), 'invalid breadcrumb: ["properties" "nothing"]'),
        (
            {"tap_stream_id": "users", "metadata": [{"breadcrumb": ["properties"], "metadata": {}}]},
            'invalid breadcrumb: ["properties"]',
        ),
        (
            {"tap_stream_id": "users", "metadata": [{"breadcrumb": ["properties", 5, None], "metadata": {}}]},
            'invalid breadcrumb: ["properties" 5 nil]',
        ),
        (chosen("users", **{"": {"replication-method": "SOMETIMES"}}), "invalid replication-method: SOMETIMES"),
        (chosen("users", **{"": {"replication-method": 5}}), "invalid replication-method: 5"),
        (chosen("users", **{"": {"replication-method": ["FULL_TABLE"]}}), 'invalid replication-method: ["FULL_TABLE"]'),
        (chosen("users", **{"": {"replication-key": 5}}), "invalid replication-key: 5"),
        (chosen("users", **{"": {"view-key-properties": "id"}}), "invalid view-key-properties: id"),
        (chosen("users", **{"": {"view-key-properties": [1]}}), "invalid view-key-properties: [1]"),
        (chosen("users", **{"": {"selected": "true"}}), "invalid selected: true"),
        (chosen("users", **{"": {"selected": 1}}), "invalid selected: 1"),
    ],
)
def test_one_bad_stream_changes_nothing(account: Account, source: dict[str, Any], stream: Any, text: str):
    good = chosen("sessions", **{"": {"selected": True}})
    assert account.choose(source["id"], good, stream, status=400) == {"invalid_fields": text}
    assert streams_of(account, source)["sessions"]["selected"] is None


def test_all_unknown_streams_are_named(account: Account, source: dict[str, Any]):
    refused = account.choose(source["id"], {"tap_stream_id": "a", "metadata": []}, {"metadata": []}, status=400)
    assert refused == {"invalid_fields": "invalid tap-stream-ids:  [a nil]"}


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"streams": None},
        {"streams": {}},
        {"streams": ["users"]},
        {"streams": [{"tap_stream_id": "users"}]},
        {"streams": [{"tap_stream_id": "users", "metadata": {}}]},
        {"streams": [{"tap_stream_id": "users", "metadata": [[]]}]},
        {"streams": [{"tap_stream_id": "users", "metadata": [{"metadata": {}}]}]},
        {"streams": [{"tap_stream_id": "users", "metadata": [{"breadcrumb": []}]}]},
        {"streams": [{"tap_stream_id": "users", "metadata": [{"breadcrumb": [], "metadata": []}]}]},
        {"streams": [{"tap_stream_id": "users", "metadata": [{"breadcrumb": "x", "metadata": {}}]}]},
        {"streams": [{"tap_stream_id": "nul \0", "metadata": []}]},
    ],
)
def test_a_body_without_what_it_needs(account: Account, source: dict[str, Any], body: Any):
    path = f"/v4/sources/{source['id']}/streams/metadata"
    assert account.call("PUT", path, body, status=400) == NO_LIST


def test_no_stream_can_be_selected_before_discovery(account: Account):
    refused = account.choose(account.source()["id"], chosen("users", **{"": {"selected": True}}), status=400)
    assert refused == {"invalid_fields": "invalid tap-stream-ids:  [users]"}


def test_unknown_ids_are_answered_with_a_json_string(account: Account, source: dict[str, Any]):
    known = streams_of(account, source)["users"]["stream_id"]
    for unknown in (0, -1, 10**12, 2**63, 10**30):
        path = f"/v4/sources/{unknown}/streams"
        assert account.call("GET", path, status=400) == f"invalid source-id: {unknown}"
        assert account.call("PUT", f"{path}/metadata", {"streams": []}, status=400) == f"invalid source-id: {unknown}"
        assert account.call("GET", f"{path}/{known}", status=400) == f"invalid stream-id: {known}"
        path = f"/v4/sources/{source['id']}/streams/{unknown}"
        assert account.call("GET", path, status=400) == f"invalid stream-id: {unknown}"
        assert account.ask("GET", path).text == f'"invalid stream-id: {unknown}"'
    elsewhere = account.source("Elsewhere")
    assert account.call("GET", f"/v4/sources/{elsewhere['id']}/streams/{known}", status=400)
