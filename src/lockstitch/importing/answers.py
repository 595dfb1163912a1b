"""What the Import API answers, word by word (`spec/connect-api.md` sections 17.1 to 17.5)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lockstitch.toolkit.inbox.records import Records

_JSON = "application/json"
_TEXT = "text/plain"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    body: bytes
    content_type: str = _JSON


@dataclass(frozen=True, slots=True)
class Accepted:
    """A body that is as it should be, and its records, table by table."""

    records: tuple[Records, ...]


class Refused(Exception):
    """A body that is not as it should be; `answer` says so to the client."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body.decode())
        self.answer = answer


def _json(status: int, body: Any) -> Answer:
    return Answer(status, json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode())


STATUS = _json(
    200,
    {
        "name": "pipeline.gate",
        "version": "0.3.3-SNAPSHOT",
        "revision": "a154360ad8c43182965049dbf6239aa7c1f3c84d",
        "status": "OK",
        "reason": None,
    },
)
VALID = _json(200, {"status": "OK", "message": "Batch is valid!"})
STORED = _json(201, {"status": "OK", "message": "Batch Accepted!"})
QUEUED = _json(202, {"status": "Accepted", "message": "The batch is queued to be processed."})

NOT_AUTHORIZED = _json(401, {"message": "Not Authorized"})  # batch
NOT_AUTHENTICATED = _json(401, {"status": "ERROR", "error": "Not Authenticated.", "errors": None})  # push
INVALID_REGION = _json(401, {"message": "Invalid region."})
INACTIVE = _json(401, {"error": "Forbidden", "errors": {"error": "Connection is not active."}})
OTHER_CLIENT = _json(
    403,
    {
        "status": "ERROR",
        "error": "Forbidden",
        "errors": {"error": "Access token is not associated with this client."},
    },
)
METHOD_NOT_ALLOWED = Answer(405, b"Method not allowed.", _TEXT)
BATCH_CONTENT_TYPE = Answer(415, b"Content-Type must be application/json", _TEXT)
#: Nothing of the request was kept. Why is the operator's to know, and in the server's log.
UNAVAILABLE = _json(
    503, {"status": "ERROR", "message": "The queue takes nothing right now; send the request again later."}
)
NO_ARRAY = _json(400, {"status": "ERROR", "message": "An array of records is expected"})


def push_content_type(given: str) -> Answer:
    """415 of push and validate; `given` is the media type that came."""
    allowed = "Please send application/json or application/transit+json"
    return _json(415, {"status": "ERROR", "message": f"Unsupported content-type {given}. {allowed}"})


def content_encoding(given: str) -> Answer:
    """415 for a body that is packed in a way we do not know."""
    return _json(415, {"status": "ERROR", "message": f"Unsupported content-encoding {given}. Please send gzip or none"})


def too_large(size: int) -> Answer:
    """413; `size` is in bytes. The letter behind it is in the documented text."""
    return _json(
        413, {"status": "ERROR", "message": f"Request rejected: request size ({size}s bytes) exceeds the maximum"}
    )


def malformed(kind: str, error: str) -> Answer:
    """400 for a body that is no JSON or Transit at all."""
    return _json(400, {"status": "ERROR", "message": f"Malformed {kind} in the body!", "error": error, "input": None})


def push_refused(message: str) -> Answer:
    """400 of push and validate where the documentation gives no text."""
    return _json(400, {"status": "ERROR", "message": message})


def push_errors(errors: Sequence[Any]) -> Answer:
    """422: one entry a bad record."""
    return _json(422, {"status": "ERROR", "error": "Request cannot be processed; see errors.", "errors": list(errors)})


def batch_refused(text: str) -> Answer:
    """400 of batch."""
    return _json(400, {"error": text})


def failed_validation(text: str) -> Answer:
    """400 of batch for a body that is not of the documented shape."""
    return batch_refused(f"Request failed validation:{text}")
