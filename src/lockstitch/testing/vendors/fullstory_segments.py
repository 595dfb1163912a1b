"""FullStory's Segment Export: exports that are asked for, polled, and fetched from a signed URL."""

from __future__ import annotations

import csv
import fnmatch
import gzip
import io
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from lockstitch.testing.vendors.fullstory_data import FullStoryData, as_json, parse_time, stamp
from lockstitch.testing.vendors.messages import Record, Reply, Request

#: Where the fields' names differ from those of the Data Export.
_NAMES = {"PageAgent": "PageUserAgent"}

#: How far back a segment's own time range reaches, which cuts the data unless a `segmentTimeRange` is given.
SEGMENT_RANGE = timedelta(days=30)

#: Where signed URLs lie, on this server.
SIGNED = "/signed/"


class InvalidExport(Exception):
    """An export that cannot be asked for so."""


@dataclass(slots=True)
class _Operation:
    id: str
    request: Record
    created: datetime
    fails: bool
    polls: int = 0


class SegmentExports:
    """The exports of one account. Tests set:

    polls           how many looks at an operation find it under way before it is done
    failing         how many of the next operations end as FAILED
    url_lifetime    how long a signed URL holds, by the server's clock
    """

    def __init__(self, data: FullStoryData) -> None:
        self.data = data
        self.polls = 3
        self.failing = 0
        self.url_lifetime = timedelta(hours=1)
        self._operations: dict[str, _Operation] = {}
        self._signed: dict[str, tuple[_Operation, datetime]] = {}

    def expire_urls(self) -> None:
        """Let all signed URLs given so far expire now."""
        self._signed = {
            name: (operation, datetime.min.replace(tzinfo=ends.tzinfo))
            for name, (operation, ends) in self._signed.items()
        }

    def create(self, body: Any, now: datetime) -> Record:
        """Take an order; InvalidExport says what is wrong with it."""
        order = _checked(body)
        if order["segmentId"] not in self.data.segments:
            raise InvalidExport(f"no segment {order['segmentId']!r}")
        operation = _Operation(f"op-{len(self._operations) + 1}", order, now, fails=self.failing > 0)
        self.failing = max(0, self.failing - 1)
        self._operations[operation.id] = operation
        return {"operationId": operation.id}

    def look(self, operation_id: str, now: datetime) -> Record | None:
        """Return an operation's state; each look brings it on. None: there is none of this id."""
        operation = self._operations.get(operation_id)
        if operation is None:
            return None
        operation.polls += 1
        done = operation.polls > self.polls
        state: Record = {
            "id": operation.id,
            "type": "SEARCH_EXPORT",
            "state": "PENDING" if operation.polls == 1 and not done else "RUNNING",
            "estimatePctComplete": 100 if done else 100 * operation.polls // (self.polls + 1),
            "errorDetails": "",
            "createdAt": stamp(operation.created),
        }
        if not done:
            return state
        state["finishedAt"] = stamp(now)
        if operation.fails:
            return {**state, "state": "FAILED", "errorDetails": "the search ran out of time"}
        results = {"searchExportId": f"export-{operation.id}", "expires": stamp(now + timedelta(days=1))}
        return {**state, "state": "COMPLETED", "results": results}

    def locate(self, export_id: str, base_url: str, now: datetime) -> Record | None:
        """Return a signed URL of a finished export."""
        operation = self._operations.get(export_id.removeprefix("export-"))
        if operation is None or operation.fails or operation.polls <= self.polls:
            return None
        name, ends = f"{len(self._signed) + 1}.json.gz", now + self.url_lifetime
        self._signed[name] = (operation, ends)
        return {"location": f"{base_url}{SIGNED}{name}?X-Signature=abc", "expires": stamp(ends)}

    def download(self, request: Request) -> Reply:
        """Answer at a signed URL, which is the storage's, not FullStory's: in XML, and without our credentials."""
        operation, ends = self._signed.get(request.path.removeprefix(SIGNED), (None, request.at))
        if operation is None or request.get("X-Signature") != "abc":
            return _storage_error(403, "SignatureDoesNotMatch")
        if "authorization" in request.headers:
            return _storage_error(400, "InvalidArgument")
        if request.at >= ends:
            return _storage_error(400, "ExpiredToken")
        body = gzip.compress(_written(operation.request, self._rows(operation)), mtime=0)
        return Reply(200, body, {"Content-Type": "application/gzip"})

    def _rows(self, operation: _Operation) -> list[Record]:
        """Return what an export holds, by what FullStory had got when it was asked for."""
        order, now = operation.request, operation.created
        if order["type"] == "TYPE_INDIVIDUAL":
            return [{"IndvId": int(user["id"]), "UserEmail": user["email"]} for user in self.data.users.values()]
        start, end = (_bound(order["timeRange"][name]) for name in ("start", "end"))
        segment = order.get("segmentTimeRange")
        if segment is None:
            start = max(start, now - SEGMENT_RANGE) if start else now - SEGMENT_RANGE
        return [_chosen(row, order.get("fields")) for row in self.data.between(start, end, now)]


def _checked(body: Any) -> Record:
    """Return an order that has all it needs."""
    if not isinstance(body, dict):
        raise InvalidExport("the body is not an object")
    order = cast("Record", body)
    allowed = {
        "type": {"TYPE_EVENT", "TYPE_INDIVIDUAL"},
        "format": {"FORMAT_JSON", "FORMAT_NDJSON", "FORMAT_CSV"},
        "scope": {None, "SCOPE_EVENT", "SCOPE_PAGES", "SCOPE_SESSIONS", "SCOPE_INDIVIDUAL"},
    }
    for name, values in allowed.items():
        if order.get(name) not in values:
            raise InvalidExport(f"{name} is {order.get(name)!r}")
    if not isinstance(order.get("segmentId"), str) or "timeRange" not in order:
        raise InvalidExport("segmentId and timeRange are required")
    known = {"segmentId", "timeRange", "segmentTimeRange", "fields", "timezone", *allowed}
    if set(order) - known:
        raise InvalidExport(f"unknown: {sorted(set(order) - known)}")
    for name in ("timeRange", "segmentTimeRange"):
        given = order.get(name, {"start": "", "end": ""})
        if not isinstance(given, dict) or set(cast("Record", given)) != {"start", "end"}:
            raise InvalidExport(f"{name} needs start and end")
        for bound in cast("Record", given).values():
            _bound(bound)
    return order


def _bound(text: Any) -> datetime | None:
    """Return one end of a time range; an empty one is open."""
    try:
        return None if text == "" else parse_time(text)
    except (ValueError, AttributeError) as error:
        raise InvalidExport(f"not a time: {text!r}") from error


def _chosen(row: Record, fields: list[str] | None) -> Record:
    """Return a row by this API's names, with the fields asked for; `user_*` and its like stand for all such."""
    named = {_NAMES.get(name, name): value for name, value in row.items()}
    if fields is None:
        return named
    found = {name: named.get(name) for name in fields if "*" not in name}
    for pattern in (name for name in fields if "*" in name):
        found |= {name: value for name, value in named.items() if fnmatch.fnmatchcase(name, pattern)}
    return found


def _written(order: Record, rows: list[Record]) -> bytes:
    form: Literal["FORMAT_JSON", "FORMAT_NDJSON", "FORMAT_CSV"] = order["format"]
    if form == "FORMAT_JSON":
        return as_json(rows)
    if form == "FORMAT_NDJSON":
        return b"".join(as_json(row) + b"\n" for row in rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="")
    writer.writeheader()
    writer.writerows(
        {name: json.dumps(value) if isinstance(value, list | dict) else value for name, value in row.items()}
        for row in rows
    )
    return text.getvalue().encode()


def _storage_error(status: int, code: str) -> Reply:
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code></Error>".encode()
    return Reply(status, body, {"Content-Type": "application/xml; charset=UTF-8"})
