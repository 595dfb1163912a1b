"""What browsers are told about requests from other sites (`spec/connect-api.md` section 1.3)."""

from __future__ import annotations

from collections.abc import Sequence

from litestar.types import BeforeMessageSendHookHandler, Message, Scope

#: On every answer, as documented. Without an allowed origin beside them, browsers keep answers from other sites.
_HEADERS = (
    (b"access-control-allow-credentials", b"true"),
    (b"access-control-allow-headers", b"Authorization, X-Requested-With, Content-Type, Accept, X-Stitch-Csrf-Token"),
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE"),
    (b"access-control-max-age", b"604800"),
)


def cross_origin(origins: Sequence[str]) -> BeforeMessageSendHookHandler:
    """Return what adds the headers to an answer; only the sites of these origins may read it with a user's cookies."""
    allowed = frozenset(origin.encode() for origin in origins)

    async def add(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        more = [*_HEADERS]
        if allowed:
            more.append((b"vary", b"Origin"))
            origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
            if origin in allowed:
                more.append((b"access-control-allow-origin", origin))
        message["headers"] = [*message["headers"], *more]

    return add
