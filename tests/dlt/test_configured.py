"""An HTTP API by dlt's configuration dictionary, in pipelines of ours."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from requests import HTTPError

import lockstitch
from lockstitch.core.errors import AccessError, SettingsError, TransientError


class Issues(BaseHTTPRequestHandler):
    """Issues by page, two a page, from a moment on; and the comments of each.

    In HTTP/1.0: dlt never closes its sessions, and a connection kept alive would be told as a leak of a later test.
    """

    rows: ClassVar[list[dict[str, Any]]] = []
    asked: ClassVar[list[str]] = []
    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.asked.append(self.path)
        rows: list[Any] = [row for row in self.rows if row["updatedAt"] >= query.get("since", "")]
        if url.path.endswith("/comments"):
            rows = [{"id": 10, "text": f"on {url.path.split('/')[2]}"}]
        page = int(query.get("page", 1))
        body = json.dumps({"items": rows[2 * page - 2 : 2 * page], "pages": -(-len(rows) // 2)}).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Issues, "rows", [{"id": n, "updatedAt": f"2024-01-0{n}"} for n in (1, 2, 3)])
    monkeypatch.setattr(Issues, "asked", [])
    monkeypatch.setattr(Issues, "status", 200)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Issues)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def config(url: str) -> dict[str, Any]:
    pages = {"type": "page_number", "base_page": 1, "total_path": "pages"}
    since = {"type": "incremental", "cursor_path": "updatedAt", "initial_value": "2024-01-01"}
    issues = {
        "name": "issues",
        "primary_key": "id",
        "write_disposition": "merge",
        "endpoint": {"path": "issues", "data_selector": "items", "params": {"since": since}},
    }
    comments = {
        "name": "comments",
        "write_disposition": "replace",
        "include_from_parent": ["id"],
        "endpoint": {"path": "issues/{resources.issues.id}/comments", "data_selector": "items"},
    }
    return {"client": {"base_url": url, "paginator": pages}, "resources": [issues, comments]}


def test_an_api_is_read_from_where_the_mark_stands(url: str) -> None:
    pipeline = lockstitch.pipeline("tracker", source=lockstitch.dlt.rest_api(config(url), name="tracker"))
    run = pipeline.run()
    assert [row["id"] for row in run.dataset().issues.arrow().sort_by("id").to_pylist()] == [1, 2, 3]
    assert sorted(run.dataset().comments.df()["text"]) == ["on 1", "on 2", "on 3"]
    Issues.rows.append({"id": 4, "updatedAt": "2024-01-04"})
    Issues.asked.clear()
    assert pipeline.run().tables["issues"]["read"] == 1
    assert all("since=2024-01-03" in asked for asked in Issues.asked if not asked.split("?")[0].endswith("comments"))


def test_a_refused_key_is_an_access_error(url: str) -> None:
    Issues.status = 401
    with pytest.raises(AccessError, match="401") as refused:
        lockstitch.pipeline("tracker", source=lockstitch.dlt.rest_api(config(url))).run()
    error: BaseException | None = refused.value
    while error is not None:
        # dlt leaves a refused answer unread, and its socket open until somebody collects it.
        if isinstance(error, HTTPError) and error.response is not None:
            error.response.close()
        error = error.__cause__


def test_a_wrong_dictionary_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match="rest_api") as refused:
        lockstitch.dlt.rest_api({"client": {"base_url": "http://127.0.0.1:1/"}, "resources": ["a", "a"]})
    assert refused.value.hint


@pytest.mark.parametrize("auth", [{"type": "bearer", "tokn": "se-cret"}, {"type": "bearrer", "token": "se-cret"}])
def test_a_wrong_dictionary_is_told_without_its_secrets(auth: dict[str, str]) -> None:
    client = {"base_url": "http://127.0.0.1:1/", "auth": auth}
    with pytest.raises(SettingsError, match="auth") as refused:
        lockstitch.dlt.rest_api({"client": client, "resources": ["a"]})
    told = "".join(traceback.format_exception(refused.value))
    assert "se-cret" not in told
    assert auth["type"] in told


def test_an_api_that_is_away_is_told_without_the_key_in_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "1")
    key = {"type": "api_key", "name": "key", "api_key": "se-cret", "location": "query"}
    api = lockstitch.dlt.rest_api({"client": {"base_url": "http://127.0.0.1:1/", "auth": key}, "resources": ["a"]})
    with pytest.raises(TransientError, match=r"resource a: .*/a\?key=") as failed:
        lockstitch.pipeline("away", source=api).run()
    assert "se-cret" not in str(failed.value)
