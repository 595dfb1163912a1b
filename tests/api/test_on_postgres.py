"""The API over PostgreSQL, which refuses more than SQLite does and lets many write at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.api.calling import POSTGRES, Account, Served, serving
from tests.api.test_openapi import DESCRIBED, draw, things_of

from lockstitch.testing.postgres_server import PostgresServer

AT_ONCE = 8


@pytest.fixture(scope="module")
def shared(postgres_18: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    database = postgres_18.create_database()
    home: Path = tmp_path_factory.mktemp("shared") / "home"
    with serving(home, database_url=database.uri) as served:
        yield served
    postgres_18.drop_database(database)


@pytest.fixture
def owner(shared: Served) -> Account:
    return shared.account()


def test_texts_and_numbers_that_it_cannot_hold_are_refused(owner: Account):
    source = owner.ready_source()
    nul, deep = "a\0b", b"[" * 5000 + b"]" * 5000
    huge = 10**40
    calls: list[tuple[str, str, Any]] = [
        ("POST", "/v4/sources", {"type": "import_api", "display_name": nul}),
        ("POST", "/v4/sources", {"type": nul, "display_name": "x"}),
        ("POST", "/v4/sources", {"type": "import_api", "display_name": "x", "destination_id": huge}),
        ("PUT", f"/v4/sources/{source['id']}", {"properties": {"bucket": nul}}),
        ("PUT", f"/v4/sources/{source['id']}", {"properties": {nul: "x"}}),
        ("PUT", f"/v4/sources/{source['id']}/streams/metadata", {"streams": [{"tap_stream_id": nul, "metadata": []}]}),
        ("POST", "/v4/destinations", {"type": "postgres", "properties": {**POSTGRES, "host": nul}}),
        ("POST", "/v4/destinations", {"type": "postgres", "properties": POSTGRES, "description": nul}),
        ("POST", "/v3/accounts", {"partner_id": nul, "partner_secret": nul, "email": nul}),
        ("POST", "/oauth/token", {"grant_type": "authorization_code", "client_secret": nul, "code": nul}),
        ("GET", f"/v4/sources/{huge}", None),
        ("DELETE", f"/v4/sources/{source['id']}/tokens/{huge}", None),
        ("GET", f"/v4/sources/{source['id']}/streams/{2**63}", None),
        ("GET", f"/v4/destinations/{2**63}", None),
        ("GET", f"/v4/{owner.id}/extractions/%00", None),
        ("GET", f"/v4/{owner.id}/extractions/%ED%A0%80", None),
        ("GET", "/v4/source-types/%00", None),
        ("GET", "/logs/%00?expires=1&signature=%00", None),
    ]
    for method, path, body in calls:
        answer = owner.ask(method, path, body)
        assert 400 <= answer.status_code < 500, (method, path, answer.status_code, answer.text)
    for content in (deep, b'"\\ud800"', b'{"display_name":"\\udfff"}', b"1" * 5000, b"\xff\xfe", b"1e400"):
        for method, path in (("POST", "/v4/sources"), ("PUT", f"/v4/sources/{source['id']}"), ("POST", "/oauth/token")):
            answer = owner.ask(method, path, content=content)
            assert answer.status_code == 400, (method, path, content[:20], answer.text)
    assert owner.call("GET", f"/v4/sources/{source['id']}") == source


def test_of_many_at_once_one_gets_the_name_and_no_limit_is_passed(owner: Account):
    made = at_once(lambda: owner.ask("POST", "/v4/sources", {"type": "import_api", "display_name": "Same"}))
    assert sorted(one.status_code for one in made) == [200] + [400] * (AT_ONCE - 1)
    (source,) = owner.call("GET", "/v4/sources")
    path = f"/v4/sources/{source['id']}/tokens"
    assert sorted(one.status_code for one in at_once(lambda: owner.ask("POST", path))).count(200) == 2
    for _ in range(8):
        owner.destination()
    body = {"type": "postgres", "properties": POSTGRES}
    answers = at_once(lambda: owner.ask("POST", "/v4/destinations", body))
    assert [one.status_code for one in answers].count(200) == 2
    assert {one.text for one in answers if one.status_code == 400} == {"you are at your destination limit"}


def test_of_many_starts_at_once_one_starts_a_job(owner: Account):
    owner.destination()
    source = owner.ready_source()
    answers = at_once(lambda: owner.call("POST", f"/v4/sources/{source['id']}/sync"))
    assert sorted("job_name" in one for one in answers) == [False] * (AT_ONCE - 1) + [True]


def at_once(ask: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [asked.result() for asked in [pool.submit(ask) for _ in range(AT_ONCE)]]


@pytest.mark.long
@pytest.mark.parametrize("operation", DESCRIBED)
def test_drawn_requests_are_answered_as_described(shared: Served, operation: str):
    draw(shared, things_of(shared), operation, examples=50)
