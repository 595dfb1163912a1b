"""For those who watch the server: is it there, can it work, and how does it stand."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from litestar import Request, Response, get

from lockstitch.api.answers import Now, Serving, threaded
from lockstitch.control import metrics
from lockstitch.control.refusals import unknown_address


@get("/health", sync_to_thread=False)
def health() -> dict[str, Any]:
    return {"status": "OK"}


@get("/ready")
@threaded
def ready(server: Serving) -> dict[str, Any]:
    """Answer once the store does."""
    with server.read() as db:
        db.execute(sa.text("SELECT 1"))
    return {"status": "OK"}


@get("/metrics")
@threaded
def read_metrics(server: Serving, now: Now, request: Request[Any, Any, Any]) -> Response[bytes]:
    """Answer whoever the operator lets, without a token; to all others there is no such address."""
    if not metrics.is_allowed(server.settings.metrics_from, request.client.host if request.client else None):
        raise unknown_address()
    text = metrics.exposition(server.store, server.settings.home, now)
    return Response(text, media_type=metrics.CONTENT_TYPE_LATEST)


ROUTES = [health, ready, read_metrics]
