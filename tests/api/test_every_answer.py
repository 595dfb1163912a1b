"""What every answer carries, and what no request may be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from lockstitch.api.app import LARGEST_BODY, make_app
from lockstitch.control import accounts, tokens
from lockstitch.control.server import Settings, open_server


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient[Litestar]]:
    """An account's client."""
    server = open_server(Settings(tmp_path))
    now = datetime.now(UTC)
    with server.write() as db:
        account_id = accounts.insert(db, accounts.FIRST, now)
        token = tokens.make_api_token(db, account_id, "", now).text
    with TestClient(make_app(server)) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        yield client
    server.store.close()


@pytest.mark.parametrize(
    ("path", "status"),
    [("/health", 200), ("/v4/sources", 200), ("/nothing/here", 404), ("/logs/x", 401), ("/v4/sources/x", 404)],
)
def test_every_answer_is_private(client: TestClient[Litestar], path: str, status: int):
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers.get_list("cache-control") == ["no-store"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_a_new_token_is_kept_by_nobody_on_the_way(client: TestClient[Litestar]):
    answer = client.post("/v3/sessions/ephemeral")
    assert answer.status_code == 200
    assert answer.headers.get_list("cache-control") == ["no-store"]


def test_a_body_that_is_too_large_is_refused(client: TestClient[Litestar]):
    def send(size: int) -> int:
        frame = '{"type": "import_api", "display_name": "x", "properties": {"a": "%s"}}'
        return client.post("/v4/sources", content=frame % ("x" * (size - len(frame) + 2))).status_code

    assert send(LARGEST_BODY) == 400  # read, and refused for what it says
    assert send(LARGEST_BODY + 1) == 413


@pytest.mark.parametrize("depth", [31, 33, 500, 200_000])
def test_a_body_that_is_nested_too_deep_is_refused(client: TestClient[Litestar], depth: int):
    body = '{"type": "import_api", "display_name": "x", "properties": ' + '{"a":' * depth + "1" + "}" * depth + "}"
    answer = client.post("/v4/sources", content=body)
    assert answer.status_code == 400, answer.text
    assert ("InvalidProperties" in answer.text) is (depth < 32)


@pytest.mark.parametrize("value", ["a\\u0000b", "\\ud800"])
def test_text_that_no_store_can_keep_is_refused(client: TestClient[Litestar], value: str):
    answer = client.post("/v4/sources", content=f'{{"type": "import_api", "display_name": "{value}"}}')
    assert answer.status_code == 400, answer.text
    sources: Any = client.get("/v4/sources").json()
    assert sources == []
