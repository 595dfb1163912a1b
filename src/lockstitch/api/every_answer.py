"""What every answer gets, also one to an unknown address: headers that keep it private, and being counted."""

from __future__ import annotations

from litestar.types import Message, Scope

from lockstitch.control import metrics

#: A header stays as it is where the answer has it already.
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    # Answers hold tokens, logs and settings: nobody between us and the client may keep them.
    (b"cache-control", b"no-store"),
    # The address of a log works without a token.
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
#: A client may invent others; each would be a value of its own for ever.
_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"})


async def protect_and_count(message: Message, scope: Scope) -> None:
    """Look at an answer on its way out."""
    if message["type"] != "http.response.start" or scope["type"] != "http":
        return
    has = {name.lower() for name, _ in message["headers"]}
    message["headers"] = [*message["headers"], *(one for one in _HEADERS if one[0] not in has)]
    method = scope["method"] if scope["method"] in _METHODS else "other"
    route = scope.get("path_template") or "unknown"
    metrics.requests.labels(method, route, message["status"]).inc()
