"""What all of Connect has in common: `spec/connect-api.md` section 1, and who may call (2.1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from litestar.testing import TestClient
from tests.api.calling import Account, Served, now, serving

from lockstitch.api.app import make_app
from lockstitch.api.limits import RateLimit
from lockstitch.control import tokens
from lockstitch.control.refusals import Refusal
from lockstitch.control.store.tables import tokens as token_table

UNAUTHORIZED = {"error": "Unauthorized", "data": {"message": "invalid access token"}}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v5/sources"),
        ("GET", "/v3/sources"),
        ("GET", "/nothing"),
        ("PATCH", "/v4/sources"),
        ("DELETE", "/v4/sources"),
        ("GET", "/v3/accounts"),
        ("GET", "/v3/accounts/1"),
        ("DELETE", "/v3/destinations/1"),
        ("DELETE", "/v4/destinations"),
        ("DELETE", "/v4/destinations/abc"),
        ("GET", "/v4/sources/abc"),
        ("POST", "/v4/sources/1/last-connection-check"),
    ],
)
def test_an_unknown_address_or_method_is_not_found(account: Account, method: str, path: str):
    assert account.call(method, path, status=404) == {"error": "NotFound"}


@pytest.mark.parametrize(
    "header",
    [
        "Bearer {}",
        "bearer {}",
        "BEARER   {}",
        "Bearer: {}",
    ],
)
def test_the_scheme_may_be_spelled_in_many_ways(served: Served, account: Account, header: str):
    headers = {"Authorization": header.format(account.token)}
    assert served.client.get("/v4/sources", headers=headers).json() == []


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic {}", "Token {}", "Bearer {}x", "{}"])
def test_without_a_valid_token_nothing_is_answered(served: Served, account: Account, header: str):
    answer = served.client.get("/v4/sources", headers={"Authorization": header.format(account.token)})
    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)


def test_a_disabled_token_works_again_once_it_is_enabled_and_a_deleted_one_never(served: Served, account: Account):
    own = token_table.c.account_id == account.id
    with served.server.write() as db:
        db.execute(sa.update(token_table).where(own).values(disabled_at=now()))
    assert account.call("GET", "/v4/sources", status=401) == UNAUTHORIZED
    with served.server.write() as db:
        db.execute(sa.update(token_table).where(own).values(disabled_at=None))
    assert account.call("GET", "/v4/sources") == []
    with served.server.write() as db:
        db.execute(sa.delete(token_table).where(own))
    assert account.call("GET", "/v4/sources", status=401) == UNAUTHORIZED


@pytest.mark.parametrize("kind", ["import", "ephemeral", "session", "code"])
def test_a_token_of_another_kind_is_none_for_connect(served: Served, account: Account, kind: Any):
    with served.server.write() as db:
        text = tokens.make(db, account.id, kind, now()).text
    assert Account(served, account.id, text).call("GET", "/v4/sources", status=401) == UNAUTHORIZED


def test_a_token_is_stored_as_a_hash_and_ten_are_the_most(served: Served, account: Account):
    with served.server.write() as db:
        made, *_ = [tokens.make_api_token(db, account.id, "one more", now()) for _ in range(9)]
        stored = db.execute(sa.select(token_table).where(token_table.c.id == made.id)).one()
        db.execute(sa.update(token_table).where(token_table.c.id == made.id).values(disabled_at=now()))
        assert made.text.startswith("ac_")
        assert made.text not in str(stored)
        assert stored.last_four == made.text[-4:]
        with pytest.raises(Refusal) as refused:
            tokens.make_api_token(db, account.id, "too many, also counting disabled ones", now())
        tokens.make(db, account.id, "api", now(), partner_id="oc_partner")
    assert refused.value.body["error"] == "TokenLimitExceeded"


@pytest.mark.parametrize("told", [True, False])
def test_a_body_that_is_too_large_is_refused_unread(account: Account, told: bool):
    content = b" " * 5_000_001
    given = content if told else (content[start : start + 65536] for start in range(0, len(content), 65536))
    answer = account.ask("POST", "/v4/sources", content=given)
    assert (answer.status_code, answer.json()["error"]) == (413, "RequestTooLarge")


def test_a_large_body_that_is_allowed_is_read(account: Account):
    answer = account.ask("POST", "/v4/sources", content=b" " * 4_000_000 + b'{"type":"import_api","display_name":"x"}')
    assert answer.status_code == 200


# --- other sites (1.3) ------------------------------------------------------------------------------------------------

DOCUMENTED = {
    "access-control-allow-credentials": "true",
    "access-control-allow-headers": "Authorization, X-Requested-With, Content-Type, Accept, X-Stitch-Csrf-Token",
    "access-control-allow-methods": "GET, POST, PUT, DELETE",
    "access-control-max-age": "604800",
}


@pytest.mark.parametrize(("method", "path"), [("GET", "/v4/sources"), ("GET", "/nothing"), ("OPTIONS", "/v4/sources")])
def test_every_answer_has_the_headers_for_other_sites_and_lets_none_in(account: Account, method: str, path: str):
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    answer = account.ask(method, path, headers=headers)
    assert DOCUMENTED.items() <= dict(answer.headers).items()
    assert "access-control-allow-origin" not in answer.headers
    assert answer.status_code in (200, 204, 404)


def test_only_an_allowed_site_may_read_answers(served: Served):
    with TestClient(make_app(served.server, ["https://app.example"])) as client:
        told = {
            origin: client.options("/v4/sources", headers={"Origin": origin, "Access-Control-Request-Method": "GET"})
            for origin in ("https://app.example", "https://app.example.evil", "null")
        }
    allowed = {origin: answer.headers.get("access-control-allow-origin") for origin, answer in told.items()}
    assert allowed == {"https://app.example": "https://app.example", "https://app.example.evil": None, "null": None}
    assert {answer.headers["vary"] for answer in told.values()} == {"Origin"}


# --- limits of requests (1.5) -----------------------------------------------------------------------------------------


def test_nothing_is_limited_unless_the_operator_wants_it(account: Account):
    for _ in range(31):
        account.call("GET", f"/v4/{account.id}/loads")


def test_thirty_requests_about_jobs_are_the_most_where_it_is_switched_on(tmp_path: Path):
    with serving(tmp_path / "home", rate_limited=True) as served:
        account, other = served.account(), served.account()
        for _ in range(10):
            account.call("GET", f"/v4/{account.id}/extractions")
            account.call("GET", f"/v4/{account.id}/loads")
            account.call("GET", f"/v4/{account.id}/extractions/unknown", status=404)
        answer = account.ask("GET", f"/v4/{account.id}/loads")
        assert answer.status_code == 429
        assert 590 <= int(answer.headers["retry-after"]) <= 600
        assert answer.json()["error"] == "RateLimitExceeded"
        assert answer.json()["data"]["message"]
        other.call("GET", f"/v4/{account.id}/loads", status=401)
        other.call("GET", f"/v4/{other.id}/loads")
        account.call("GET", "/v4/sources")


def test_requests_of_others_with_a_foreign_id_do_not_count(tmp_path: Path):
    with serving(tmp_path / "home", rate_limited=True) as served:
        account, other = served.account(), served.account()
        for _ in range(31):
            other.call("GET", f"/v4/{account.id}/loads", status=401)
        account.call("GET", f"/v4/{account.id}/loads")


def test_the_window_slides():
    limit, start = RateLimit(most=2, window=timedelta(seconds=10)), datetime(2026, 1, 1, tzinfo=UTC)
    limit.admit(1, start)
    limit.admit(1, start + timedelta(seconds=4))
    with pytest.raises(Refusal) as refused:
        limit.admit(1, start + timedelta(seconds=9.5))
    assert refused.value.headers == {"Retry-After": "1"}
    limit.admit(1, start + timedelta(seconds=10))
    with pytest.raises(Refusal):
        limit.admit(1, start + timedelta(seconds=13))
