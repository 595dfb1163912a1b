"""How requests are read and answers written: the same for all resources."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import anyio.to_thread
import msgspec
from litestar import MediaType, Response

from lockstitch.control.refusals import Refusal
from lockstitch.control.selection import JsonText

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


def parsed(body: bytes) -> Any:
    """Return a body's JSON, or UNREADABLE."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return UNREADABLE


def refused(refusal: Refusal) -> Response[Any]:
    """Return a refusal as an answer: text goes out bare, all else as JSON."""
    if isinstance(refusal.body, str) and not isinstance(refusal.body, JsonText):
        return Response(refusal.body, status_code=refusal.status, media_type=MediaType.TEXT)
    body = msgspec.json.encode(str(refusal.body) if isinstance(refusal.body, JsonText) else refusal.body)
    return Response(body, status_code=refusal.status, media_type=MediaType.JSON)
