"""For those who watch the server: is it there, and can it work."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from litestar import get

from lockstitch.api.answers import Serving, threaded


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


ROUTES = [health, ready]
