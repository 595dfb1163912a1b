"""Each account sees itself alone: every route is called with the ids of another one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from tests.api.calling import HEAP, POSTGRES, Account, Served

from lockstitch.control.store.tables import metadata

#: Routes that tell or change nothing of an account: everybody may call them.
OPEN = {
    "/health",
    "/ready",
    "/metrics",
    "/openapi.json",
    "/v3/accounts",
    "/v3/sessions",
    "/oauth/token",
    "/v2/import/status",
    "/logs/{job_name:str}",
}
#: Those whose own tests show the same.
ELSEWHERE = ("/v2/import/", "/notifications/", "/app", "/oauth/authorization", "/v2/js-client")


@dataclass(frozen=True)
class Owned:
    """All that an account can have, by the names that addresses give it."""

    account: Account
    parameters: dict[str, Any]


@pytest.fixture
def owned(account: Account) -> Owned:
    destination = account.destination()
    source, pushed = account.ready_source(), account.import_source()
    token = account.call("POST", f"/v4/sources/{pushed['id']}/tokens")
    stream = account.call("GET", f"/v4/sources/{source['id']}/streams")[0]
    job = account.call("POST", f"/v4/sources/{source['id']}/sync")["job_name"]
    parameters = {
        "destination_id": destination["id"],
        "source_id": source["id"],
        "pushed_id": pushed["id"],
        "token_id": token["id"],
        "stream_id": stream["stream_id"],
        "client_id": account.id,
        "job_name": job,
        "name": "import_api",
    }
    return Owned(account, parameters)


def routes(served: Served) -> Iterator[tuple[str, str]]:
    """Return method and path of every route."""
    for route in served.client.app.routes:
        for handler in getattr(route, "route_handlers", ()):
            for method in getattr(handler, "http_methods", ()):
                if method != "OPTIONS" and not route.path.startswith(ELSEWHERE):
                    yield method, route.path


def addresses(served: Served, owned: Owned) -> list[tuple[str, str]]:
    """Return every route with the ids of the owner."""
    found: list[tuple[str, str]] = []
    for method, path in routes(served):
        if path in OPEN:
            continue
        parameters = dict(owned.parameters)
        if "/tokens" in path:
            parameters["source_id"] = parameters["pushed_id"]
        if "destination-types" in path:
            parameters["name"] = "postgres"
        for name, value in parameters.items():
            for kind in ("int", "str"):
                path = path.replace(f"{{{name}:{kind}}}", str(value))
        assert "{" not in path, f"this test does not know the parameters of {path}"
        found.append((method, path))
    assert len(found) > 25
    return found


#: Bodies that would be accepted from the owner.
BODIES: dict[str, Any] = {
    "/v4/destinations": {"properties": {"host": "stolen.example.com"}},
    "/v3/destinations": {"type": "postgres", "connection": {"host": "stolen.example.com"}},
    "/v4/sources": {"properties": {"bucket": "stolen"}},
}


def body_for(method: str, path: str) -> Any:
    if path.endswith("/streams/metadata"):
        entry = {"breadcrumb": [], "metadata": {"selected": False}}
        return {"streams": [{"tap_stream_id": "users", "metadata": [entry]}]}
    if method != "PUT":
        return None
    return next(body for start, body in BODIES.items() if path.startswith(start))


def everything(served: Served) -> dict[str, list[Any]]:
    """Return all rows of the store, but how often tokens were used would not matter."""
    with served.server.read() as db:
        return {name: sorted(map(repr, db.execute(sa.select(table)))) for name, table in metadata.tables.items()}


def test_ids_of_another_account_tell_and_change_nothing(served: Served, owned: Owned, other: Account):
    before = everything(served)
    lists = ("/v4/sources", "/v4/destinations", "/v3/destinations")
    for method, path in addresses(served, owned):
        foreign = any(str(value) in path.split("/") for name, value in owned.parameters.items() if name != "name")
        if not foreign:
            if method == "GET" and path in lists:
                assert other.call("GET", path) == []
            continue
        answer = other.ask(method, path, body_for(method, path))
        assert answer.status_code in (400, 401, 404), (method, path, answer.text)
        unknown = _unknown(owned, path)
        assert path != unknown
        same = other.ask(method, unknown, body_for(method, path))
        # Not even whether there is such an id can be told from the answer.
        assert (same.status_code, _plain(same.text)) == (answer.status_code, _plain(answer.text)), path
        for hidden in (HEAP["bucket"], str(POSTGRES["host"]), "users"):
            assert hidden not in answer.text
    assert everything(served) == before


def _unknown(owned: Owned, path: str) -> str:
    """Return the address with ids that nobody has."""
    parts = path.split("/")
    known = {str(value) for name, value in owned.parameters.items() if name != "name"}
    return "/".join(str(10**9 + index) if part in known else part for index, part in enumerate(parts))


def _plain(text: str) -> str:
    """Return an answer without the ids in it."""
    return re.sub(r"[0-9a-f.-]", "", text)


def test_nothing_of_another_account_can_be_named_in_a_body(owned: Owned, other: Account):
    mine = other.import_source()
    foreign = {"destination_id": owned.parameters["destination_id"]}
    assert other.text("PUT", f"/v4/sources/{mine['id']}", foreign) == "invalid connection id"
    body = {"type": "import_api", "display_name": "x", **foreign}
    assert other.text("POST", "/v4/sources", body) == "invalid connection id"
    assert other.call("GET", f"/v4/destinations?source_id={owned.parameters['source_id']}") == []
    assert other.call("GET", f"/v4/destinations?destination_id={owned.parameters['destination_id']}") == []


def test_a_new_destination_takes_no_sources_of_others(owned: Owned, other: Account):
    owned.account.call("DELETE", f"/v4/destinations/{owned.parameters['destination_id']}")
    made = other.destination()
    assert owned.account.row(owned.parameters["source_id"]).destination_id is None
    assert other.call("GET", f"/v4/destinations?source_id={owned.parameters['source_id']}") == []
    other.call("DELETE", f"/v4/destinations/{made['id']}")


def test_a_token_of_an_own_source_is_not_deleted_through_another_source(owned: Owned, other: Account):
    mine = other.import_source()
    path = f"/v4/sources/{mine['id']}/tokens/{owned.parameters['token_id']}"
    assert other.call("DELETE", path, status=400)["error"] == "InvalidId"
    listed = owned.account.call("GET", f"/v4/sources/{owned.parameters['pushed_id']}/tokens")
    assert [one["token_id"] for one in listed] == [owned.parameters["token_id"]]


def test_every_route_needs_a_token(served: Served, owned: Owned):
    before = everything(served)
    for method, path in addresses(served, owned):
        for headers in ({}, {"Authorization": "Bearer ac_wrong"}, {"Authorization": "Bearer"}):
            answer = served.client.request(method, path, headers=headers, follow_redirects=False)
            assert answer.status_code == 401, (method, path, answer.text)
    assert everything(served) == before


def test_the_owner_reaches_all_of_it(served: Served, owned: Owned):
    """The other tests would prove nothing with addresses that nobody can use."""
    for method, path in addresses(served, owned):
        if method == "GET":
            answer = owned.account.ask("GET", path)
            assert answer.status_code in (200, 302), (path, answer.text)
