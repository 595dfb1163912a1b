"""The description as it is served: at `/openapi.json`, to everybody."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec
from litestar import MediaType, Response, get

import lockstitch
from lockstitch.api.openapi import connect, others
from lockstitch.api.openapi.things import COMPONENTS
from lockstitch.api.openapi.words import ID, TEXT, Answer, Operation, Schema, coded, either, ref

OPERATIONS: tuple[Operation, ...] = (*connect.OPERATIONS, *others.OPERATIONS)

#: The parameters of addresses that are text; all others are ids.
_TEXTS = ("name", "job_name")

_DESCRIPTIONS = {
    200: "Done.",
    201: "Kept.",
    302: "It is elsewhere.",
    400: "The request cannot be carried out as it is.",
    401: "No valid access token was shown.",
    403: "The token is another account's.",
    404: "There is no such thing.",
    413: "The body is too large.",
    415: "The body is of a type that is not taken.",
    422: "Records are not as they should be.",
    429: "Too many requests; Retry-After says for how many seconds.",
    500: "The server failed; its log tells more.",
    503: "The server takes nothing right now.",
}


@cache
def document() -> dict[str, Any]:
    """Return the description; it is the same for all."""
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lockstitch",
            "version": lockstitch.__version__,
            "description": "Stitch's Connect API v4, Import API v2 and notifications API, as this server answers them.",
        },
        "paths": paths,
        "components": {
            "schemas": COMPONENTS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "summary": one.summary,
        "operationId": f"{one.method.lower()}{re.sub('[^a-z0-9]+', '_', one.path)}".rstrip("_"),
        "parameters": _parameters(one),
        "responses": _responses(one),
        "security": [{"token": []}] if one.needs_token else [],
    }
    if one.bodies:
        content = {media: {"schema": schema} for media, schema in one.bodies.items()}
        told["requestBody"] = {"required": True, "content": content}
    return told


def _parameters(one: Operation) -> list[dict[str, Any]]:
    inside = [(name, TEXT if name in _TEXTS else ID) for name in re.findall(r"{(\w+)}", one.path)]
    return [
        *({"name": name, "in": "path", "required": True, "schema": schema} for name, schema in inside),
        *({"name": name, "in": "query", "required": False, "schema": schema} for name, schema in one.query.items()),
    ]


def _responses(one: Operation) -> dict[str, Any]:
    answers = [*one.answers, *_everywhere(one)]
    return {str(status): _response(status, answers) for status in sorted({answer.status for answer in answers})}


def _everywhere(one: Operation) -> list[Answer]:
    """Return what is answered alike at all addresses of a kind."""
    common = [coded("InternalServerError", status=500)]
    if one.needs_token and 401 not in {answer.status for answer in one.answers}:
        common.append(coded("Unauthorized", status=401))
    if "{" in one.path:
        common.append(Answer(404, ref("NotFound")))  # a number that is none makes an unknown address
    if one.bodies and 413 not in {answer.status for answer in one.answers}:
        common.append(coded("RequestTooLarge", status=413))
    return common


def _response(status: int, answers: list[Answer]) -> dict[str, Any]:
    schemas: dict[str, list[Schema]] = {}
    headers: dict[str, Any] = {}
    for answer in answers:
        if answer.status != status:
            continue
        headers |= {name: {"schema": TEXT} for name in answer.headers}
        if answer.schema is not None:
            schemas.setdefault(answer.media, []).append(answer.schema)
    told: dict[str, Any] = {"description": _DESCRIPTIONS[status]}
    if headers:
        told["headers"] = headers
    if schemas:
        told["content"] = {media: {"schema": either(*found)} for media, found in schemas.items()}
    return told


@get("/openapi.json", sync_to_thread=False)
def read_document() -> Response[bytes]:
    return Response(_written(), media_type=MediaType.JSON)


@cache
def _written() -> bytes:
    return msgspec.json.encode(document())


ROUTES = [read_document]
