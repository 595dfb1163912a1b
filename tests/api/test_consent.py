"""Sign-in of browsers and a partner's consent page: `spec/connect-api.md` sections 2.3 and 2.4."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from litestar.testing import TestClient
from tests.api.calling import Account, Served, now

from lockstitch.api.app import make_app
from lockstitch.control import accounts, sessions

CALLBACKS = ["https://partner.example/callback", "https://partner.example/second?a=b"]
PAGE = "/oauth/authorization"


@pytest.fixture
def partner(served: Served) -> tuple[str, str]:
    with served.server.write() as db:
        return accounts.make_partner(db, "Part & <b>ner</b>", CALLBACKS, now())


@pytest.fixture
def browser(served: Served) -> Iterator[TestClient[Any]]:
    """A client that keeps cookies, unlike the others."""
    with TestClient(make_app(served.server), base_url="https://testserver.local") as client:
        client.follow_redirects = False
        yield client


def address(partner: tuple[str, str], **more: str) -> str:
    return f"{PAGE}?{urlencode({'client_id': partner[0], **more})}"


def sign_in(browser: TestClient[Any], account: Account) -> None:
    token = account.call("POST", "/v3/sessions/ephemeral")["ephemeral_token"]
    answer = browser.post("/v3/sessions", json={"ephemeral_token": token})
    assert answer.json() == {"stitch_account_id": account.id}


def answered(browser: TestClient[Any], where: str, **form: str) -> tuple[str, dict[str, list[str]]]:
    """Send the form; return where the answer leads, and with what."""
    answer = browser.post(where, data=form)
    assert answer.status_code == 303, answer.text
    address, _, query = answer.headers["location"].partition("?")
    return address, parse_qs(query)


def exchanged(browser: TestClient[Any], partner: tuple[str, str], code: str, **more: str) -> Any:
    form = {"client_secret": partner[1], "code": code, "grant_type": "authorization_code", **more}
    return browser.post("/oauth/token", data=form).json()


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_an_ephemeral_token_begins_one_session(browser: TestClient[Any], account: Account):
    token = account.call("POST", "/v3/sessions/ephemeral")["ephemeral_token"]
    answer = browser.post("/v3/sessions", json={"ephemeral_token": token})
    assert (answer.status_code, answer.json()) == (200, {"stitch_account_id": account.id})
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax", "Max-Age=43200"} <= set(cookie.split("; "))
    assert browser.post("/v3/sessions", json={"ephemeral_token": token}).status_code == 401


@pytest.mark.parametrize("body", [None, {}, [], {"ephemeral_token": 1}])
def test_a_session_needs_a_token(browser: TestClient[Any], body: Any):
    answer = browser.post("/v3/sessions", json=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "BadRequest")


def test_a_session_is_over_after_twelve_hours(served: Served, account: Account):
    with served.server.write() as db:
        begun = sessions.begin_by_api_token(db, account.token, now())
        assert begun is not None
        assert begun[0] == account.id
        assert sessions.account_of(db, begun[1], now() + timedelta(hours=11, minutes=59)) == account.id
        assert sessions.account_of(db, begun[1], now() + timedelta(hours=12, minutes=1)) is None


def test_a_session_is_no_api_token(served: Served, account: Account):
    with served.server.write() as db:
        begun = sessions.begin_by_api_token(db, account.token, now())
    assert begun is not None
    assert Account(served, account.id, begun[1]).ask("GET", "/v4/sources").status_code == 401


# --- the page ---------------------------------------------------------------------------------------------------------


def test_a_user_signs_in_accepts_and_the_partner_gets_a_token(
    browser: TestClient[Any], partner: tuple[str, str], account: Account
):
    where = address(partner, state="s t&te", response_type="code", scope="all")
    page = browser.get(where)
    assert page.headers["content-type"].startswith("text/html")
    assert "Sign in" in page.text
    assert answered(browser, where, action="sign-in", token=f" {account.token} ")[0] == PAGE

    page = browser.get(where).text
    assert "Part &amp; &lt;b&gt;ner&lt;/b&gt;" in page
    assert "<b>ner" not in page
    back, told = answered(browser, where, action="accept")
    assert back == CALLBACKS[0]
    assert told["state"] == ["s t&te"]
    granted = exchanged(browser, partner, told["code"][0])
    assert granted["stitch_account_id"] == account.id
    assert Account(account.served, account.id, granted["access_token"]).ask("GET", "/v4/sources").status_code == 200
    assert exchanged(browser, partner, told["code"][0]) == {"error": "invalid_grant"}


def test_a_user_may_reject(browser: TestClient[Any], partner: tuple[str, str], account: Account):
    sign_in(browser, account)
    back, told = answered(browser, address(partner, state="x"), action="reject")
    assert (back, told) == (CALLBACKS[0], {"error": ["access_denied"], "state": ["x"]})


def test_the_answer_goes_to_a_registered_address_with_its_own_query(
    browser: TestClient[Any], partner: tuple[str, str], account: Account
):
    sign_in(browser, account)
    back, told = answered(browser, address(partner, redirect_uri=CALLBACKS[1]), action="accept")
    assert back == urlsplit(CALLBACKS[1])._replace(query="").geturl()
    assert told.keys() == {"a", "code"}


@pytest.mark.parametrize("given", [{"redirect_uri": "https://evil.example/"}, {"client_id": "oc_unknown"}])
def test_nobody_is_sent_to_an_address_that_is_not_registered(
    browser: TestClient[Any], partner: tuple[str, str], account: Account, given: dict[str, str]
):
    sign_in(browser, account)
    where = f"{PAGE}?{urlencode({'client_id': partner[0], **given})}"
    for answer in (browser.get(where), *(browser.post(where, data={"action": one}) for one in ("accept", "reject"))):
        assert answer.status_code == 400
        assert "location" not in answer.headers
        assert "not registered" in answer.text


def test_pkce_counts_where_a_challenge_was_sent(browser: TestClient[Any], partner: tuple[str, str], account: Account):
    sign_in(browser, account)
    verifier = secrets.token_urlsafe(32)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    where = address(partner, code_challenge=challenge, code_challenge_method="S256")
    first, second = (answered(browser, where, action="accept")[1]["code"][0] for _ in range(2))
    assert exchanged(browser, partner, first) == {"error": "invalid_grant"}
    assert exchanged(browser, partner, second, code_verifier=verifier)["stitch_account_id"] == account.id


def test_a_challenge_of_an_unknown_method_is_refused(
    browser: TestClient[Any], partner: tuple[str, str], account: Account
):
    sign_in(browser, account)
    where = address(partner, code_challenge="x", code_challenge_method="S512", state="y")
    back, told = answered(browser, where, action="accept")
    assert (back, told["error"], told["state"]) == (CALLBACKS[0], ["invalid_request"], ["y"])


def test_without_a_session_nothing_is_granted(browser: TestClient[Any], partner: tuple[str, str]):
    assert answered(browser, address(partner), action="accept")[0] == PAGE
    wrong = browser.post(address(partner), data={"action": "sign-in", "token": "ac_wrong"})
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers


def test_another_account_can_be_chosen(browser: TestClient[Any], partner: tuple[str, str], account: Account):
    sign_in(browser, account)
    before = browser.cookies["lockstitch_session"]
    answered(browser, address(partner), action="sign-out")
    assert "Sign in" in browser.get(address(partner)).text
    browser.cookies.set("lockstitch_session", before)  # taken away from the server, not only from the browser
    assert "Sign in" in browser.get(address(partner)).text


def test_no_other_site_may_send_or_frame_the_form(browser: TestClient[Any], partner: tuple[str, str], account: Account):
    sign_in(browser, account)
    forged = browser.post(address(partner), data={"action": "accept"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert forged.status_code == 403
    policy = browser.get(address(partner)).headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://partner.example" in policy
    assert "script" not in policy
