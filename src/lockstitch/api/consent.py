"""Sign-in of a browser, and the page on which a user lets a partner in (`spec/connect-api.md` sections 2.3 and 2.4).

The pages work without scripts, and no other site may show or submit them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import timedelta
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.params import RawBody

from lockstitch.api.answers import Now, Serving, parsed, threaded
from lockstitch.control import accounts, sessions
from lockstitch.control.refusals import coded, unauthorized
from lockstitch.control.server import Server
from lockstitch.control.tokens import SESSION_LIFE

COOKIE = "lockstitch_session"
Asked = Request[Any, Any, Any]


# --- sessions ---------------------------------------------------------------------------------------------------------


@post("/v3/sessions", status_code=200)
@threaded
def sign_in(request: Asked, server: Serving, now: Now, body: RawBody) -> Response[Any]:
    """Exchange an ephemeral token for a session, which the browser keeps as a cookie."""
    given = parsed(body)
    text = given.get("ephemeral_token") if isinstance(given, dict) else None
    if not isinstance(text, str):
        raise coded("BadRequest", "the body must be an object with ephemeral_token")
    with server.write() as db:
        begun = sessions.begin_by_ephemeral_token(db, text, now)
    if begun is None:
        raise unauthorized()
    return Response({"stitch_account_id": begun[0]}, cookies=[_cookie(request, begun[1])])


def _cookie(request: Asked, token: str, life: timedelta = SESSION_LIFE) -> Cookie:
    # Lax: a partner's link may lead here signed in, but no other site can act for the user.
    return Cookie(
        key=COOKIE,
        value=token,
        path="/",
        max_age=int(life.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


# --- the consent page -------------------------------------------------------------------------------------------------


@get("/oauth/authorization", status_code=200)
@threaded
def show_consent(request: Asked, server: Serving, now: Now) -> Response[Any]:
    query = _pairs(request.url.query)
    with server.read() as db:
        callback = accounts.callback_of(db, query.get("client_id", ""), query.get("redirect_uri"))
        if callback is None:
            return _unknown_partner()
        partner = accounts.name_of_partner(db, query["client_id"])
        account_id = sessions.account_of(db, request.cookies.get(COOKIE, ""), now)
        account = accounts.label(db, account_id) if account_id is not None else None
    if account is None:
        return _page(f"Sign in to connect {partner}", _SIGN_IN, callback)
    return _page(f"Connect {partner}", _CONSENT.format(partner=escape(partner), account=escape(account)), callback)


@post("/oauth/authorization", status_code=200)
@threaded
def decide(request: Asked, server: Serving, now: Now, body: RawBody) -> Response[Any]:
    """Take the answer of the page: signing in or out, or what the user decides about the partner."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise coded("Forbidden", "another site may not send this form", status=403)
    query, form = _pairs(request.url.query), _pairs(body.decode("utf-8", "replace"))
    with server.read() as db:
        callback = accounts.callback_of(db, query.get("client_id", ""), query.get("redirect_uri"))
    if callback is None:
        return _unknown_partner()
    method = query.get("code_challenge_method", "plain")
    if method not in accounts.CHALLENGE_METHODS:
        allowed = " or ".join(accounts.CHALLENGE_METHODS)
        refused = {"error": "invalid_request", "error_description": f"code_challenge_method must be {allowed}"}
        return _back(callback, query, refused)
    action, here = form.get("action"), f"/oauth/authorization?{request.url.query}"
    session = request.cookies.get(COOKIE, "")
    if action == "sign-in":
        return _signed_in(request, server, now, form.get("token", "").strip(), here, callback)
    if action == "sign-out":
        with server.write() as db:
            sessions.end(db, session, now)
        return Response(None, status_code=303, headers={"Location": here}, cookies=[_cookie(request, "", timedelta())])
    if action == "reject":
        return _back(callback, query, {"error": "access_denied"})
    with server.write() as db:
        account_id = sessions.account_of(db, session, now)
        if action != "accept" or account_id is None:
            return Response(None, status_code=303, headers={"Location": here})
        code = accounts.authorize(db, query["client_id"], account_id, now, query.get("code_challenge"), method)
    return _back(callback, query, {"code": code})


def _signed_in(request: Asked, server: Server, now: Any, token: str, here: str, callback: str) -> Response[Any]:
    with server.write() as db:
        begun = sessions.begin_by_api_token(db, token, now)
    if begun is None:
        return _page("Sign in", "<p role='alert'>This is no API token of this server.</p>" + _SIGN_IN, callback, 401)
    return Response(None, status_code=303, headers={"Location": here}, cookies=[_cookie(request, begun[1])])


def _pairs(text: str) -> dict[str, str]:
    """Read a query or a form; what no store could keep is no part of it."""
    return {name: value for name, value in parse_qsl(text) if "\0" not in value}


def _back(callback: str, query: Mapping[str, str], answer: dict[str, str]) -> Response[Any]:
    """Send the user back to the partner, whose `state` is passed through untouched."""
    told = urlencode({**answer, **({"state": query["state"]} if "state" in query else {})})
    address = f"{callback}{'&' if urlsplit(callback).query else '?'}{told}"
    return Response(None, status_code=303, headers={"Location": address})


def _unknown_partner() -> Response[Any]:
    """Where the partner or its address is not registered, nobody is sent anywhere."""
    text = "<p>The application that sent you here, or the address it wants you back at, is not registered.</p>"
    return _page("Unknown application", text, None, 400)


_STYLE = "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem}input{width:100%}"
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_SIGN_IN = """\
<form method="post">
<label>API token <input name="token" type="password" autocomplete="off" required autofocus></label>
<p>The operator of this server makes one with <code>lockstitch tokens create</code>.</p>
<button name="action" value="sign-in">Sign in</button>
</form>
<form method="post"><button name="action" value="reject">Cancel</button></form>"""

_CONSENT = """\
<p><strong>{partner}</strong> asks for access to the account {account}: it could create, change, run and delete
your sources and destinations, until you revoke its token.</p>
<form method="post">
<button name="action" value="accept">Accept</button>
<button name="action" value="reject">Reject</button>
<button name="action" value="sign-out">Use another account</button>
</form>"""


def _page(title: str, content: str, callback: str | None, status: int = 200) -> Response[Any]:
    # Browsers hold the redirect after a form to the policy as well.
    after = f" {_origin(callback)}" if callback is not None else ""
    policy = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'{after}; frame-ancestors 'none'"
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><h1>{escape(title)}</h1>{content}'
    )
    return Response(text, status_code=status, media_type=MediaType.HTML, headers={"Content-Security-Policy": policy})


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


ROUTES = [sign_in, show_consent, decide]
