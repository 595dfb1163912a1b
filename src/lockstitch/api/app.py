"""The application: all routes, who may call them, and what an error looks like."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from lockstitch.api import (
    accounts,
    consent,
    destinations,
    health,
    imports,
    jobs,
    notifications,
    reports,
    sources,
    streams,
    types,
)
from lockstitch.api.answers import Now, Serving, refused
from lockstitch.api.cross_origin import cross_origin
from lockstitch.api.every_answer import protect_and_count
from lockstitch.api.limits import RateLimit
from lockstitch.api.openapi import document
from lockstitch.control import tokens
from lockstitch.control.refusals import Refusal, coded, unknown_address
from lockstitch.control.server import Server

log = logging.getLogger(__name__)

#: The largest body of the Connect API; the Import API has its own.
LARGEST_BODY = 5_000_000

_ROUTES: list[ControllerRouterHandler] = [
    *accounts.ROUTES,
    *consent.ROUTES,
    *destinations.ROUTES,
    *health.ROUTES,
    *imports.ROUTES,
    *jobs.ROUTES,
    *notifications.ROUTES,
    *reports.ROUTES,
    *sources.ROUTES,
    *streams.ROUTES,
    *types.ROUTES,
    *document.ROUTES,
]


def make_app(server: Server, origins: Sequence[str] = ()) -> Litestar:
    """Return the ASGI application that answers for a server; `origins` are other sites whose pages may call it."""
    return Litestar(
        _ROUTES,
        state=State({"server": server, "jobs_limit": RateLimit() if server.settings.rate_limited else None}),
        dependencies={
            "server": Provide(_server, sync_to_thread=False),
            "account_id": Provide(_account_id, sync_to_thread=True),
            "now": Provide(_now, sync_to_thread=False),
        },
        exception_handlers={Refusal: _refusal, HTTPException: _http_error, Exception: _bug},
        request_max_body_size=LARGEST_BODY,
        before_send=[cross_origin(origins), protect_and_count],
        openapi_config=None,
        logging_config=None,
    )


def _server(state: State) -> Server:
    return state.server


def _now() -> datetime:
    return datetime.now(UTC)


def _account_id(request: Request[Any, Any, Any], server: Serving, now: Now) -> int:
    """Return the account whose token was shown; each call sees that account alone."""
    with server.read() as db:
        return tokens.bearer(db, request.headers.get("authorization"), "api", now).account_id


def _refusal(_request: Request[Any, Any, Any], refusal: Refusal) -> Response[Any]:
    return refused(refusal)


def _http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    if request.url.path.startswith(imports.PREFIX) and error.status_code in (405, 413):
        return imports.refused_request(error.status_code, request.headers.get("content-length"))
    # There is no 405 in Connect: an unknown method is an unknown address (section 1.4).
    if error.status_code in (400, 404, 405):
        return refused(unknown_address())
    name = "RequestTooLarge" if error.status_code == 413 else "BadRequest"
    return refused(coded(name, error.detail, status=error.status_code))


def _bug(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refused(coded("InternalServerError", "the server failed; its log tells more", status=500))
