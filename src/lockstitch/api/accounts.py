"""Accounts, sessions and the exchange of a partner's code (`spec/connect-api.md` sections 2.3 and 3)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from litestar import Response, post
from litestar.params import RawBody

from lockstitch.api.answers import AccountId, Now, Serving, parsed, threaded
from lockstitch.control import accounts, tokens
from lockstitch.control.refusals import Refusal


@post("/v3/accounts", status_code=200)
@threaded
def create_account(server: Serving, now: Now, body: RawBody) -> dict[str, Any]:
    with server.write() as db:
        account_id, token = accounts.create(db, parsed(body), now)
    return {"access_token": token, "stitch_account_id": account_id}


@post("/v3/sessions/ephemeral", status_code=200)
@threaded
def create_session(server: Serving, account_id: AccountId, now: Now) -> dict[str, Any]:
    with server.write() as db:
        return {"ephemeral_token": tokens.make(db, account_id, "ephemeral", now).text}


@post("/oauth/token", status_code=200)
@threaded
def exchange_code(server: Serving, now: Now, body: RawBody) -> Response[Any]:
    """Exchange a code for a permanent token; errors are RFC 6749's."""
    form = _form(body)
    if form.get("grant_type") != "authorization_code":
        raise Refusal(400, {"error": "unsupported_grant_type"})
    with server.write() as db:
        partner = accounts.partner_of_secret(db, form.get("client_secret", ""))
        if partner is None or form.get("client_id", partner) != partner:
            raise Refusal(401, {"error": "invalid_client"})
        granted = accounts.exchange(db, partner, form.get("code", ""), form.get("code_verifier", ""), now)
        if granted is None:
            raise Refusal(400, {"error": "invalid_grant"})
    account_id, token = granted
    answer = {"token_type": "bearer", "access_token": token, "stitch_account_id": account_id}
    return Response(answer, headers={"Cache-Control": "no-store"})


def _form(body: bytes) -> dict[str, str]:
    """Read a form, or JSON that says the same."""
    given = parsed(body)
    if isinstance(given, dict):
        return {name: value for name, value in given.items() if isinstance(value, str)}
    return dict(parse_qsl(body.decode("utf-8", "replace")))


ROUTES = [create_account, create_session, exchange_code]
