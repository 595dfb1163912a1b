"""What the Connect API answers instead of doing something: the shapes of `spec/connect-api.md` section 1.4, as data.

The sources name four error shapes without a rule which endpoint has which, so each refusal is made where its text is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refusal(Exception):
    """An answer with its status. A `body` that is text goes out as plain text, all else as JSON."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def coded(error: str, message: str, *, status: int = 400, **more: Any) -> Refusal:
    """Shape 3: `{"error": code, "data": {"message": ...}}`."""
    return Refusal(status, {"error": error, "data": {"message": message, **more}})


def typed(kind: str, message: str) -> Refusal:
    """Shape 4, of replication jobs."""
    return Refusal(400, {"error": {"type": kind, "message": message}})


def flat(code: str, message: str, errors: Mapping[str, str] | None = None) -> Refusal:
    """Shape 2, of accounts."""
    body: dict[str, Any] = {"code": code, "message": message}
    return Refusal(400, body if errors is None else {**body, "errors": dict(errors)})


def not_found(message: str = "there is no such thing here") -> Refusal:
    return coded("NotFound", message, status=404)


def unknown_address() -> Refusal:
    """An address or method that Connect does not have (1.1, 1.4): there is no 405, and nothing to say about it."""
    return Refusal(404, {"error": "NotFound"})


def too_many(seconds: int) -> Refusal:
    """A limit of requests is reached (1.5), for so many seconds."""
    message = f"too many requests; try again in {seconds} seconds"
    body = {"error": "RateLimitExceeded", "data": {"message": message}}
    return Refusal(429, body, {"Retry-After": str(seconds)})


def unauthorized() -> Refusal:
    return coded("Unauthorized", "invalid access token", status=401)
