"""The description of the API and the API agree: no other route, status or body than what is described."""

from __future__ import annotations

import random
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from tests.api.calling import HEAP, POSTGRES, Account, Served

from lockstitch.api.openapi.document import OPERATIONS, document

#: Pages for people, which the web app has, are no part of the API.
PAGES = ("/app", "/assets", "/oauth/authorization", "/v2/js-client")


def test_every_route_is_described_and_there_is_no_other(served: Served):
    routes = {
        (method, path_of(route.path))
        for route in served.client.app.routes
        if not route.path.startswith(PAGES)
        for handler in getattr(route, "route_handlers", ())
        for method in getattr(handler, "http_methods", ())
        if method != "OPTIONS"
    }
    assert {(one.method, one.path) for one in OPERATIONS} == routes
    assert len(OPERATIONS) == len(routes)


def path_of(template: str) -> str:
    """Return a route's address as OpenAPI writes it."""
    return template.replace(":int}", "}").replace(":str}", "}")


def test_the_description_is_served_to_everybody(served: Served):
    answer = served.client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == document()
    assert answer.json()["openapi"] == "3.1.0"


CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    not_a_server_error,
]


@pytest.fixture
def things(served: Served) -> tuple[Account, dict[str, list[Any]]]:
    return things_of(served)


def things_of(served: Served) -> tuple[Account, dict[str, list[Any]]]:
    """Make an account with something under most addresses; return it and the ids."""
    account = served.account()
    destination = account.destination()
    source, pushed = account.ready_source(), account.import_source()
    account.source("Incomplete", properties={})
    token = account.call("POST", f"/v4/sources/{pushed['id']}/tokens")
    streams = account.call("GET", f"/v4/sources/{source['id']}/streams")
    job = account.call("POST", f"/v4/sources/{source['id']}/sync")
    return account, {
        "import token": [token["access_token"]],
        "source_id": [source["id"], pushed["id"]],
        "destination_id": [destination["id"]],
        "token_id": [token["id"]],
        "stream_id": [one["stream_id"] for one in streams],
        "client_id": [account.id],
        "job_name": [job["job_name"]],
        "name": ["import_api", "platform.heap", "postgres"],
    }


#: Members of bodies that chance alone would hardly draw.
KNOWN: dict[str, list[Any]] = {
    "type": ["platform.heap", "import_api", "postgres", "duckdb", "post_load"],
    "properties": [HEAP, POSTGRES, {**HEAP, "cron_expression": "0 0 12 ? * *"}, {"cron_expression": "x"}],
    "connection": [POSTGRES],
    "paused_at": ["2019-06-01T00:00:00Z", None],
    "config": [{"url": "https://hooks.example.com/"}],
    "streams": [[{"tap_stream_id": "users", "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}]}]],
    "name": ["a_name", None],
    "grant_type": ["authorization_code"],
}

#: By method and path.
DESCRIBED = [f"{one.method} {one.path}" for one in OPERATIONS]
#: The others can only be called in one way.
VARIED = [one for one in OPERATIONS if one.needs_token or one.bodies or one.query]


@pytest.mark.parametrize("operation", DESCRIBED)
def test_drawn_requests_are_answered_as_described(served: Served, things: Any, operation: str):
    draw(served, things, operation, examples=-(-300 // len(VARIED)))


@pytest.mark.long
@pytest.mark.parametrize("operation", DESCRIBED)
def test_ten_thousand_drawn_requests_are_answered_as_described(served: Served, things: Any, operation: str):
    draw(served, things, operation, examples=-(-10_000 // len(VARIED)))


def draw(served: Served, things: tuple[Account, dict[str, list[Any]]], operation: str, *, examples: int) -> None:
    """Send requests as described and others; half of them with ids and values that there are."""
    account, known = things
    method, path = operation.split()
    schema = schemathesis.openapi.from_dict(document())
    described = schema[path][method]
    strategies = [described.as_strategy(generation_mode=mode) for mode in GenerationMode]
    choices = random.Random(operation)

    @seed(1)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=False,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(case=strategies[0] | strategies[1])
    def send(case: Any) -> None:
        if choices.random() < 0.5:
            for name in case.path_parameters or {}:
                case.path_parameters[name] = choices.choice(known.get(name, [1]))
        if isinstance(case.body, dict) and choices.random() < 0.5:
            case.body.update({name: choices.choice(KNOWN[name]) for name in case.body if name in KNOWN})
        token = known["import token"][0] if path.startswith("/v2/import") else account.token
        headers = {"Authorization": f"Bearer {token}"} if choices.random() < 0.9 else {}
        wanted = case.as_transport_kwargs(base_url="http://testserver", headers=headers)
        sent = requests.Request(**wanted).prepare()
        sent_headers = {name: str(value) for name, value in sent.headers.items()}
        body = sent.body.encode() if isinstance(sent.body, str) else sent.body
        more: dict[str, Any] = {"headers": sent_headers, "content": body, "follow_redirects": False}
        response = served.client.request(str(sent.method), str(sent.url), **more)
        case.validate_response(response, checks=CHECKS)

    send()
