"""The Import API (`spec/connect-api.md` section 17): who may push where; bodies are `importing`'s."""

from __future__ import annotations

import logging
from typing import Any

from litestar import Request, Response, get, post
from litestar.params import RawBody
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from lockstitch.api.answers import Now, Serving, threaded
from lockstitch.control import connections, tokens
from lockstitch.control.refusals import Refusal
from lockstitch.core.errors import TransientError
from lockstitch.importing import answers
from lockstitch.importing.answers import Accepted, Answer
from lockstitch.importing.batch import receive_batch
from lockstitch.importing.push import receive_push
from lockstitch.toolkit.inbox.records import entries_of

log = logging.getLogger(__name__)

#: Bytes of a body as it comes: what is larger, also compressed, is refused unread.
LARGEST_BODY = 20_000_000
PREFIX = "/v2/import/"


@get("/v2/import/status", sync_to_thread=False)
def status() -> Response[bytes]:
    return _told(answers.STATUS)


@post("/v2/import/batch", request_max_body_size=LARGEST_BODY)
@threaded
def batch(server: Serving, now: Now, request: Request[Any, Any, Any], body: RawBody) -> Response[bytes]:
    source = _source(server, request, now, answers.NOT_AUTHORIZED)
    if isinstance(source, Answer):
        return _told(source)
    return _kept(server, source, receive_batch(body, *_headers(request)))


@post("/v2/import/push", request_max_body_size=LARGEST_BODY)
@threaded
def push(server: Serving, now: Now, request: Request[Any, Any, Any], body: RawBody) -> Response[bytes]:
    source = _source(server, request, now, answers.NOT_AUTHENTICATED)
    if isinstance(source, Answer):
        return _told(source)
    return _kept(server, source, receive_push(body, *_headers(request), source.account_id))


@post("/v2/import/validate", request_max_body_size=LARGEST_BODY)
@threaded
def validate(server: Serving, now: Now, request: Request[Any, Any, Any], body: RawBody) -> Response[bytes]:
    """Do what push does, and keep nothing."""
    source = _source(server, request, now, answers.NOT_AUTHENTICATED)
    if isinstance(source, Answer):
        return _told(source)
    found = receive_push(body, *_headers(request), source.account_id)
    return _told(answers.VALID if isinstance(found, Accepted) else found)


def _source(server: Serving, request: Request[Any, Any, Any], now: Now, refused: Answer) -> connections.Row | Answer:
    """Return the source that the token belongs to, or what to answer instead."""
    try:
        with server.read() as db:
            bearer = tokens.bearer(db, request.headers.get("authorization"), "import", now)
            row = connections.one(db, bearer.account_id, "source", bearer.source_id or 0)
    except Refusal:
        return refused
    except (InterfaceError, OperationalError, NoConnection) as error:
        log.warning("the control store does not answer, so nothing can be pushed: %s", getattr(error, "orig", error))
        return answers.UNAVAILABLE
    return answers.INACTIVE if row is None or connections.is_inactive(row) else row


def _headers(request: Request[Any, Any, Any]) -> tuple[str | None, str | None]:
    return request.headers.get("content-type"), request.headers.get("content-encoding")


def _kept(server: Serving, source: connections.Row, found: Accepted | Answer) -> Response[bytes]:
    """Accept records: they are durable before the answer goes out."""
    if isinstance(found, Answer):
        return _told(found)
    try:
        is_news = server.inboxes.append(source.id, entries_of(found.records))
    except TransientError as error:
        log.warning("a push to source %s was refused: %s", source.id, error)
        return _told(answers.UNAVAILABLE)
    if is_news and server.dispatcher is not None:
        server.dispatcher.wake()
    return _told(answers.STORED)


def refused_request(status_code: int, size: str | None) -> Response[bytes]:
    """Answer what never reached a handler: another method, or a body that is too large."""
    if status_code == 405:
        return _told(answers.METHOD_NOT_ALLOWED)
    return _told(answers.too_large(int(size) if size is not None and size.isdecimal() else LARGEST_BODY + 1))


def _told(answer: Answer) -> Response[bytes]:
    return Response(answer.body, status_code=answer.status, media_type=answer.content_type)


ROUTES = [status, batch, push, validate]
