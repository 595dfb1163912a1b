"""How requests are read and answers written: the same for all resources."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import anyio.to_thread
import msgspec
from litestar import MediaType, Response
from litestar.di import NamedDependency

from lockstitch.control.refusals import Refusal
from lockstitch.control.selection import JsonText
from lockstitch.control.server import Server

#: What a handler is given by name: `server`, the `account_id` of the token that was shown, and `now`.
Serving = NamedDependency[Server]
AccountId = NamedDependency[int]
Now = NamedDependency[datetime]

Given = ParamSpec("Given")
Told = TypeVar("Told")


def threaded(handler: Callable[Given, Told]) -> Callable[Given, Awaitable[Told]]:
    """Let a handler run in a thread, as everything below the API is synchronous.

    Not by Litestar's `sync_to_thread`: it wraps handlers that share an address twice, and answers with a coroutine.
    """

    @wraps(handler)
    async def handle(*args: Given.args, **kwargs: Given.kwargs) -> Told:
        return await anyio.to_thread.run_sync(partial(handler, *args, **kwargs))

    return handle


#: A body that is no JSON: each endpoint refuses it with its own text for a wrong body.
UNREADABLE = object()


#: How deep a body may be nested: twice what any connection's properties need.
DEEPEST = 32


def parsed(body: bytes) -> Any:
    """Return a body's JSON, or UNREADABLE, as is what no store could keep."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return UNREADABLE
    return value if _is_storable(value, DEEPEST) else UNREADABLE


def _is_storable(value: Any, levels: int) -> bool:
    """Tell whether a value is nested at most so deep and has no text with U+0000, which PostgreSQL cannot keep."""
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, list):
        return levels > 0 and all(_is_storable(one, levels - 1) for one in value)
    if isinstance(value, dict):
        return levels > 0 and all("\0" not in name and _is_storable(one, levels - 1) for name, one in value.items())
    return True


def refused(refusal: Refusal) -> Response[Any]:
    """Return a refusal as an answer: text goes out bare, all else as JSON."""
    if isinstance(refusal.body, str) and not isinstance(refusal.body, JsonText):
        return Response(refusal.body, status_code=refusal.status, media_type=MediaType.TEXT, headers=refusal.headers)
    body = msgspec.json.encode(str(refusal.body) if isinstance(refusal.body, JsonText) else refusal.body)
    return Response(body, status_code=refusal.status, media_type=MediaType.JSON, headers=refusal.headers)
