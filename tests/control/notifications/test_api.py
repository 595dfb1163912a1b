"""Every row of section 14: custom e-mails and hooks over HTTP, with the documented bodies and error texts."""

from __future__ import annotations

import uuid
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest
from litestar.testing import TestClient
from tests.control.notifications.scene import Caller, Scene, fill, make_caller, make_client

from lockstitch.control import accounts
from lockstitch.control.notifications import hooks
from lockstitch.control.notifications.settings import Outgoing
from lockstitch.control.server import Server, Settings, open_server

BAD_ADDRESS = {"error": {"message": {"email_address": "Required. Must be valid email address format."}}}
BAD_BODY = {"data": {"message": "Invalid POST body"}, "error": "InvalidBody"}
BAD_PUT = {"data": {"message": "PUT body must only contain boolean 'enable' key"}, "error": "InvalidBody"}
URL = "https://hooks.zapier.com/hooks/catch/some/webhook/id"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    return open_server(Settings(tmp_path_factory.mktemp("api") / "home", outgoing=Outgoing()))


@pytest.fixture(scope="module")
def client(server: Server) -> Generator[TestClient[Any]]:
    with make_client(server) as client:
        yield client


@pytest.fixture
def scene(server: Server) -> Generator[Scene]:
    """An account of its own for each test."""
    yield fill(server, f"{uuid.uuid4()}@example.com")
    server.settings = replace(server.settings, outgoing=Outgoing())


@pytest.fixture
def caller(scene: Scene, client: TestClient[Any]) -> Caller:
    return make_caller(scene.server, scene.account_id, client)


@pytest.fixture
def stranger(scene: Scene, client: TestClient[Any]) -> Caller:
    with scene.server.write() as db:
        other = accounts.insert(db, {**accounts.FIRST, "email": f"{uuid.uuid4()}@example.com"}, scene.moment)
    return make_caller(scene.server, other, client)


def _allow(scene: Scene, outgoing: Outgoing) -> None:
    scene.server.settings = replace(scene.server.settings, outgoing=outgoing)


# --- custom e-mails ---------------------------------------------------------------------------------------------------


def test_an_address_is_made_listed_disabled_enabled_and_deleted(scene: Scene, caller: Caller):
    made = caller.call("POST", "/custom-emails", {"email_address": "stitch-custom-notification@yourdomain.com"})
    assert made == {
        "id": made["id"],
        "client_id": scene.account_id,
        "email_address": "stitch-custom-notification@yourdomain.com",
        "created_at": made["created_at"],
        "disabled_at": None,
    }
    assert isinstance(made["id"], int)
    assert len(made["created_at"]) == len("2019-07-16T19:49:51Z")
    path, moment = f"/custom-emails/{made['id']}", "2019-06-01T00:00:00Z"
    assert caller.call("PUT", path, {"disabled_at": moment}) == {"disabled_at": moment}
    assert caller.call("GET", "/custom-emails") == [{**made, "disabled_at": moment}]
    assert caller.call("PUT", path, {"disabled_at": None}) == {"disabled_at": None}
    assert caller.call("GET", "/custom-emails") == [made]
    assert caller.call("DELETE", path) == [1]
    assert caller.call("DELETE", path) == [0]
    assert caller.call("GET", "/custom-emails") == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        b"no json",
        {"email_address": None},
        {"email_address": 5},
        {"email_address": ""},
        {"email_address": "nobody"},
        {"email_address": "a@b"},
        {"email_address": "a@b.c\r\nBcc: d@e.f"},
        {"email_address": "a@b.c, d@e.f"},
        {"email_address": f"{'a' * 250}@b.example"},
    ],
)
def test_a_bad_address_is_refused(caller: Caller, body: Any):
    assert caller.call("POST", "/custom-emails", body, status=400) == BAD_ADDRESS
    assert caller.call("GET", "/custom-emails") == []


def test_ten_addresses_are_the_limit_and_may_be_the_same(caller: Caller):
    made = [caller.call("POST", "/custom-emails", {"email_address": "a@b.example"}) for _ in range(10)]
    assert len({one["id"] for one in made}) == 10
    text = "Account not authorized to create additional custom notification email addresses."
    refused = caller.call("POST", "/custom-emails", {"email_address": "a@b.example"}, status=400)
    assert refused == {"error": {"message": text}}
    caller.call("DELETE", f"/custom-emails/{made[0]['id']}")
    caller.call("POST", "/custom-emails", {"email_address": "a@b.example"})


def test_an_operator_can_switch_custom_addresses_off(scene: Scene, caller: Caller):
    _allow(scene, Outgoing(custom_emails=False))
    refused = caller.call("POST", "/custom-emails", {"email_address": "a@b.example"}, status=400)
    assert refused == {"error": {"message": "Account not authorized to create custom notification email addresses."}}


@pytest.mark.parametrize("value", ["<INVALID_VALUE>", "", 5, True, ["2019-06-01T00:00:00Z"]])
def test_a_bad_moment_is_echoed(caller: Caller, value: Any):
    made = caller.call("POST", "/custom-emails", {"email_address": "a@b.example"})
    refused = caller.call("PUT", f"/custom-emails/{made['id']}", {"disabled_at": value}, status=400)
    assert refused == {"disabled_at": value}
    assert caller.call("GET", "/custom-emails") == [made]


def test_an_address_that_is_unknown_or_a_strangers_is_not_found(caller: Caller, stranger: Caller):
    made = caller.call("POST", "/custom-emails", {"email_address": "a@b.example"})
    for who, number in ((caller, made["id"] + 1), (stranger, made["id"])):
        refused = who.call("PUT", f"/custom-emails/{number}", {"disabled_at": None}, status=404)
        assert refused == {"status": "NOT FOUND"}
    assert stranger.call("DELETE", f"/custom-emails/{made['id']}") == [0]
    assert stranger.call("GET", "/custom-emails") == []
    assert caller.call("GET", "/custom-emails") == [made]


# --- hooks ------------------------------------------------------------------------------------------------------------


def _body(scene: Scene, **changes: Any) -> dict[str, Any]:
    return {"type": "post_load", "destination_id": scene.destination_id, "config": {"url": URL}} | changes


def test_a_hook_is_made_listed_disabled_enabled_and_deleted(scene: Scene, caller: Caller):
    made = caller.call("POST", "/hooks", _body(scene))
    assert made == {
        "id": made["id"],
        "client_id": scene.account_id,
        "type": "post_load",
        "version": 1,
        "destination_id": scene.destination_id,
        "config": {"url": URL},
        "created_at": made["created_at"],
        "modified_at": made["created_at"],
        "disabled_at": None,
    }
    path = f"/hooks/{made['id']}"
    disabled = caller.call("PUT", path, {"enable": False})
    assert disabled["disabled_at"] == disabled["modified_at"] >= made["modified_at"]
    assert {**disabled, "disabled_at": None, "modified_at": made["modified_at"]} == made
    assert caller.call("GET", "/hooks") == {"post_load": [disabled]}
    enabled = caller.call("PUT", path, {"enable": True})
    assert enabled["disabled_at"] is None
    assert caller.call("GET", "/hooks") == {"post_load": [enabled]}
    assert caller.call("DELETE", path) is None
    assert caller.call("GET", "/hooks") == {"post_load": []}
    assert caller.call("DELETE", path, status=400) == {"error": "NotFound"}
    assert caller.call("PUT", path, {"enable": True}, status=400) == {"error": "NotFound"}


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "pre_load"},
        {"type": None},
        {"version": 1},
        {"config": None},
        {"config": {}},
        {"config": {"url": URL, "headers": {}}},
        {"config": {"url": 5}},
        {"config": {"url": "http://example.com/"}},
        {"config": {"url": "ftp://example.com/"}},
        {"config": {"url": "https://"}},
        {"config": {"url": "https://example.com:port/"}},
        {"config": {"url": "nothing"}},
        {"config": {"url": f"https://example.com/{'a' * 2000}"}},
        {"destination_id": "1"},
        {"destination_id": None},
        {"destination_id": True},
        {"destination_id": 999999},
        {"destination_id": 10**30},
    ],
)
def test_a_bad_hook_is_refused(scene: Scene, caller: Caller, changes: dict[str, Any]):
    assert caller.call("POST", "/hooks", _body(scene, **changes), status=400) == BAD_BODY
    assert caller.call("GET", "/hooks") == {"post_load": []}


@pytest.mark.parametrize("body", [b"no json", [], {}, {"type": "post_load"}, {"config": {"url": URL}}])
def test_a_body_that_is_no_hook_is_refused(caller: Caller, body: Any):
    assert caller.call("POST", "/hooks", body, status=400) == BAD_BODY


def test_a_source_is_no_destination(scene: Scene, caller: Caller):
    assert caller.call("POST", "/hooks", _body(scene, destination_id=scene.source_id), status=400) == BAD_BODY


def test_without_a_destination_the_only_one_is_meant(scene: Scene, caller: Caller, stranger: Caller):
    body = {"type": "post_load", "config": {"url": URL}}
    assert caller.call("POST", "/hooks", body)["destination_id"] == scene.destination_id
    assert stranger.call("POST", "/hooks", body, status=400) == BAD_BODY
    assert stranger.call("POST", "/hooks", _body(scene), status=400) == BAD_BODY


def test_ten_hooks_are_the_limit(scene: Scene, caller: Caller):
    for _ in range(10):
        caller.call("POST", "/hooks", _body(scene))
    refused = caller.call("POST", "/hooks", _body(scene), status=400)
    assert refused == {"error": {"message": "You have exceeded the limit of 10 hooks."}}


def test_an_operator_can_switch_hooks_off_or_allow_plain_ones(scene: Scene, caller: Caller):
    _allow(scene, Outgoing(hooks=False))
    refused = caller.call("POST", "/hooks", _body(scene), status=400)
    assert refused == {"error": {"message": "Client does not have access to hooks."}}
    _allow(scene, Outgoing(plain_hooks=True))
    plain = "http://10.0.0.5/hook"
    assert caller.call("POST", "/hooks", _body(scene, config={"url": plain}))["config"] == {"url": plain}


@pytest.mark.parametrize(
    "body", [b"no json", {}, {"enable": "true"}, {"enable": 1}, {"enable": True, "url": URL}, None]
)
def test_a_change_is_enable_alone(scene: Scene, caller: Caller, body: Any):
    made = caller.call("POST", "/hooks", _body(scene))
    assert caller.call("PUT", f"/hooks/{made['id']}", body, status=400) == BAD_PUT


def test_a_strangers_hook_is_not_found(scene: Scene, caller: Caller, stranger: Caller):
    made = caller.call("POST", "/hooks", _body(scene))
    assert stranger.call("PUT", f"/hooks/{made['id']}", {"enable": False}, status=400) == {"error": "NotFound"}
    assert stranger.call("DELETE", f"/hooks/{made['id']}", status=400) == {"error": "NotFound"}
    assert stranger.call("GET", "/hooks") == {"post_load": []}
    assert caller.call("GET", "/hooks") == {"post_load": [made]}
    with scene.server.read() as db:
        assert hooks.secret_of(db, scene.server.keyring, made["client_id"] + 1, made["id"]) is None


def test_nothing_is_told_without_a_token(caller: Caller):
    for method, path in (("GET", "/hooks"), ("POST", "/hooks"), ("GET", "/custom-emails"), ("DELETE", "/hooks/1")):
        refused = Caller(caller.client, "wrong").call(method, path, status=401)
        assert refused["error"] == "Unauthorized"


@pytest.mark.parametrize("number", [0, 2**63 - 1, 2**63, 10**40])
def test_ids_that_no_database_has_are_unknown(caller: Caller, number: int):
    assert caller.call("DELETE", f"/custom-emails/{number}") == [0]
    refused = caller.call("PUT", f"/custom-emails/{number}", {"disabled_at": None}, status=404)
    assert refused == {"status": "NOT FOUND"}
    assert caller.call("PUT", f"/hooks/{number}", {"enable": True}, status=400) == {"error": "NotFound"}
    assert caller.call("DELETE", f"/hooks/{number}", status=400) == {"error": "NotFound"}
