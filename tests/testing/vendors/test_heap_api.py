"""The fake of Heap's server-side API does what Heap's documentation says, seen through plain requests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.testing.vendors.plain_http import Answer, ask, basic

from lockstitch.testing.vendors.faults import NoAnswer
from lockstitch.testing.vendors.heap_api import HeapServer
from lockstitch.testing.vendors.messages import Clock

APP = "1234567890"
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)


@pytest.fixture
def heap() -> Iterator[HeapServer]:
    with HeapServer(app_id=APP, clock=Clock(NOW)) as server:
        yield server


def post(server: HeapServer, path: str, **body: Any) -> Answer:
    return ask("POST", f"{server.url}{path}", body={"app_id": APP, **body})


def track(server: HeapServer, **event: Any) -> int:
    return post(server, "/api/track", **{"event": "Send Message", "identity": "alice@example.com", **event}).status


# --- track ------------------------------------------------------------------------------------------------------------


def test_an_event_is_kept_as_heap_keeps_it(heap: HeapServer) -> None:
    # The example of the documentation, with each optional field and a list.
    assert (
        track(
            heap,
            timestamp="2017-03-10T22:21:56+00:00",
            session_id="97",
            properties={"subject": "Welcome ☃", "variation": "A", "count": 2, "tags": ["a", "b", 3]},
            idempotency_key="key-1",
        )
        == 200
    )
    assert heap.accepted == [
        {
            "call": "track",
            "event": "Send Message",
            "identity": "alice@example.com",
            "session_id": "97",
            "timestamp": "2017-03-10T22:21:56+00:00",
            "properties": {"subject": "Welcome ☃", "variation": "A", "count": 2, "tags": "a||b||3"},
            "idempotency_key": "key-1",
        }
    ]


def test_an_event_without_a_time_has_that_of_its_coming(heap: HeapServer) -> None:
    assert post(heap, "/api/track", event="Login", user_id=str(2**53 - 1)).status == 200
    assert heap.accepted == [
        {
            "call": "track",
            "event": "Login",
            "user_id": "9007199254740991",
            "properties": {},
            "timestamp": NOW.isoformat(),
        }
    ]


def test_the_same_idempotency_key_again_changes_nothing(heap: HeapServer) -> None:
    keyed = [track(heap, properties={"try": n}, idempotency_key="key-1") for n in range(3)]
    assert keyed == [200, 200, 200]
    assert [one["properties"] for one in heap.accepted] == [{"try": 0}]
    assert [track(heap), track(heap)] == [200, 200]
    assert len(heap.accepted) == 3


def test_an_answer_lost_after_the_work_can_be_asked_for_again(heap: HeapServer) -> None:
    heap.faults.add(NoAnswer(done=True))
    with pytest.raises(ConnectionResetError):
        track(heap, idempotency_key="key-1")
    assert track(heap, idempotency_key="key-1") == 200
    assert len(heap.accepted) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"app_id": None},
        {"app_id": "7"},
        {"event": None},
        {"event": ""},
        {"event": "x" * 1025},
        {"identity": "x" * 256},
        {"identity": 7},
        {"user_id": "1"},  # beside an identity
        {"properties": []},
        {"properties": {"a": None}},
        {"properties": {"a": True}},
        {"properties": {"a": {"b": 1}}},
        {"properties": {"a": "x" * 1024}},
        {"properties": {"x" * 1024: 1}},
        {"timestamp": "yesterday"},
        {"session_id": 97},
        {"unknown": 1},
    ],
)
def test_an_event_that_is_not_valid_is_refused(heap: HeapServer, wrong: dict[str, Any]) -> None:
    assert track(heap, **wrong) == 400
    assert heap.accepted == []


@pytest.mark.parametrize("user_id", ["-1", "1.5", str(2**53), "", 5])
def test_a_user_id_is_a_decimal_text_within_53_bits(heap: HeapServer, user_id: Any) -> None:
    assert post(heap, "/api/track", event="Login", user_id=user_id).status == 400


def test_an_event_at_the_documented_lengths_is_accepted(heap: HeapServer) -> None:
    longest = {"x" * 1023: "y" * 1023}
    assert track(heap, event="e" * 1024, identity="i" * 255, properties=longest) == 200


def events(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"event": f"event {n}", "identity": "alice@example.com", **more} for n in range(count)]


def test_a_bulk_has_up_to_1000_events_and_is_refused_whole(heap: HeapServer) -> None:
    assert post(heap, "/api/track", events=events(1000)).status == 200
    assert [one["event"] for one in heap.accepted] == [f"event {n}" for n in range(1000)]
    assert post(heap, "/api/track", events=events(1001)).status == 400
    assert post(heap, "/api/track", events=[]).status == 400
    assert post(heap, "/api/track", events=[*events(3, identity="bob"), {"event": ""}]).status == 400
    assert len(heap.accepted) == 1000


@pytest.mark.parametrize("body", [b"not json", b"[]", b""])
def test_a_body_that_is_no_object_is_refused(heap: HeapServer, body: bytes) -> None:
    assert ask("POST", f"{heap.url}/api/track", body=body).status == 400


# --- identify, properties ---------------------------------------------------------------------------------------------


def identify(server: HeapServer, identity: str, user_id: str) -> int:
    return post(server, "/api/v1/identify", identity=identity, user_id=user_id).status


def test_a_user_id_has_one_identity_and_what_is_too_much_is_ignored_silently(heap: HeapServer) -> None:
    assert [identify(heap, "alice", "1"), identify(heap, "bob", "1")] == [200, 200]
    assert heap.identities == {"1": "alice"}
    assert {identify(heap, "alice", str(n)) for n in range(2, 15)} == {200}
    assert len(heap.identities) == 10
    heap.clock.advance(timedelta(days=31))
    assert identify(heap, "alice", "99") == 200
    assert heap.identities["99"] == "alice"
    assert len(heap.accepted) == 11
    assert post(heap, "/api/v1/identify", identity="alice").status == 400


def test_properties_of_users_come_alone_or_in_bulk_and_make_users(heap: HeapServer) -> None:
    assert post(heap, "/api/add_user_properties", identity="bob", properties={"age": 25, "email": "b@x"}).status == 200
    users = [{"identity": "bob", "properties": {"age": 26}}, {"identity": "eve", "properties": {"role": "admin"}}]
    assert post(heap, "/api/add_user_properties", users=users).status == 200
    assert heap.profiles == {"bob": {"age": 26, "email": "b@x"}, "eve": {"role": "admin"}}


@pytest.mark.parametrize("name", ["id", "ID", "Id"])
def test_a_property_of_a_user_cannot_be_named_id(heap: HeapServer, name: str) -> None:
    assert post(heap, "/api/add_user_properties", identity="bob", properties={name: 1}).status == 400
    assert post(heap, "/api/add_user_properties", identity="bob").status == 400


def test_properties_of_accounts_come_alone_or_in_bulk(heap: HeapServer) -> None:
    assert post(heap, "/api/add_account_properties", account_id="Acme", properties={"plan": "pro"}).status == 200
    accounts = [{"account_id": "Acme", "properties": {"seats": 5}}, {"account_id": "Umbrella", "properties": {}}]
    assert post(heap, "/api/add_account_properties", accounts=accounts).status == 200
    assert heap.accounts == {"Acme": {"plan": "pro", "seats": 5}, "Umbrella": {}}


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/api/track", 405), ("POST", "/api/identify", 404)])
def test_other_paths_and_methods_are_refused(heap: HeapServer, method: str, path: str, status: int) -> None:
    assert ask(method, f"{heap.url}{path}").status == status


# --- limits -----------------------------------------------------------------------------------------------------------


def test_one_identity_has_30_requests_in_30_seconds(heap: HeapServer) -> None:
    assert [track(heap) for _ in range(31)] == [200] * 30 + [429]
    assert track(heap, identity="bob") == 200
    assert len(heap.accepted) == 31
    described = [post(heap, "/api/add_user_properties", identity="bob", properties={"n": n}).status for n in range(31)]
    assert described == [200] * 30 + [429]


def test_a_limit_passes_and_can_tell_how_long_it_takes(heap: HeapServer) -> None:
    heap.tells_wait = True
    refused = [post(heap, "/api/track", event="Login", identity="alice") for _ in range(31)][-1]
    assert 0 < float(refused.headers["Retry-After"]) <= 30
    heap.tells_wait = False
    assert "Retry-After" not in post(heap, "/api/track", event="Login", identity="alice").headers
    heap.minute = 0.02
    time.sleep(0.02)
    assert post(heap, "/api/track", event="Login", identity="alice").status == 200


def test_bulks_have_1000_events_a_minute_per_identity_and_15000_in_all(heap: HeapServer) -> None:
    assert post(heap, "/api/track", events=events(600)).status == 200
    assert post(heap, "/api/track", events=events(401)).status == 429
    assert post(heap, "/api/track", events=events(400)).status == 200
    for n in range(14):
        assert post(heap, "/api/track", events=events(1000, identity=f"user {n}")).status == 200
    assert post(heap, "/api/track", events=events(1, identity="one more")).status == 429
    assert len(heap.accepted) == 15_000


# --- the variant behind OAuth -----------------------------------------------------------------------------------------


def token(server: HeapServer, **changes: Any) -> Answer:
    form = {"grant_type": "client_credentials", "client_id": "client", "client_secret": "test-secret", **changes}
    return ask("POST", f"{server.url}/oauth/token", body=urlencode(form).encode())


def bearer(answer: Answer) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_client_credentials_give_a_token_that_expires(heap: HeapServer) -> None:
    answer = token(heap)
    assert (answer.status, answer.json()["token_type"], answer.json()["expires_in"]) == (200, "Bearer", 3600)
    sent = {"event": "Login", "identity": "alice"}
    assert ask("POST", f"{heap.url}/track", headers=bearer(answer), body=sent).status == 200
    heap.clock.advance(timedelta(hours=1))
    refused = ask("POST", f"{heap.url}/track", headers=bearer(answer), body=sent)
    assert (refused.status, refused.json()) == (401, {"error": "invalid_token"})
    again = token(heap)
    assert ask("POST", f"{heap.url}/track", headers=bearer(again), body=sent).status == 200
    heap.expire_tokens()
    assert ask("POST", f"{heap.url}/track", headers=bearer(again), body=sent).status == 401
    assert ask("POST", f"{heap.url}/track", body=sent).status == 401
    assert len(heap.accepted) == 2


def test_a_token_is_given_for_json_and_for_basic_too(heap: HeapServer) -> None:
    form = {"grant_type": "client_credentials", "client_id": "client", "client_secret": "test-secret"}
    assert ask("POST", f"{heap.url}/oauth/token", body=form).status == 200
    alone = urlencode({"grant_type": "client_credentials"}).encode()
    assert ask("POST", f"{heap.url}/oauth/token", headers=basic("client", "test-secret"), body=alone).status == 200


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"client_secret": "wrong"}, 401), ({"client_id": ""}, 401), ({"grant_type": "password"}, 400)],
)
def test_other_credentials_get_no_token(heap: HeapServer, changes: dict[str, str], status: int) -> None:
    assert token(heap, **changes).status == status


def test_a_user_is_looked_up_by_identity(heap: HeapServer) -> None:
    headers = bearer(token(heap))
    properties = {"identity": "eve ☃", "properties": {"role": "admin"}}
    assert ask("POST", f"{heap.url}/add_user_properties", headers=headers, body=properties).status == 200
    found = ask("GET", f"{heap.url}/user", query={"identity": "eve ☃"}, headers=headers)
    assert found.json() == {"user": {"identity": "eve ☃", "role": "admin"}}
    assert ask("GET", f"{heap.url}/user", query={"identity": "nobody"}, headers=headers).status == 404
    assert ask("GET", f"{heap.url}/user", headers=headers).status == 400
    assert ask("GET", f"{heap.url}/user", query={"identity": "eve ☃"}).status == 401


def test_the_variant_takes_properties_of_events_and_lists_nothing(heap: HeapServer) -> None:
    headers = bearer(token(heap))
    properties = {"event_id": "17", "properties": {"price": 9.5}}
    assert ask("POST", f"{heap.url}/add_event_properties", headers=headers, body=properties).status == 200
    assert heap.accepted == [{"call": "add_event_properties", **properties}]
    assert ask("GET", f"{heap.url}/track", headers=headers).status == 405
    assert ask("GET", f"{heap.url}/users", headers=headers).status == 404
