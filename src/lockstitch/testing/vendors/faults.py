"""The fault dial of vendors' fake servers: what can go wrong with an HTTP API, each kind a small dataclass.

server.faults.add(Burst429(times=3, retry_after=0.05, on="/lead/"), SlowBody(piece=100, pause=0.01, times=None))

A fault meets the requests whose path contains `on`, after letting `after` of them pass, `times` times (None: always).
Faults that meet the same request are nested in the order in which they were added; the first is the outermost.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal, Protocol, cast

from lockstitch.testing.vendors.messages import Delivery, Record, Reply, Request

#: Answers a request, with the faults that are further in.
Answer = Callable[[Request], Reply]


class Vendor(Protocol):
    """How a vendor words what goes wrong."""

    def failure(self, status: int, message: str) -> Reply:
        """Return an error in the vendor's form."""
        ...

    def limited(self, form: str, seconds: float, now: datetime) -> Reply:
        """Return a 429 that names the seconds to wait in the given form."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Which requests are met, and how often."""

    on: str = ""
    times: int | None = 1
    after: int = 0

    def meet(self, request: Request, answer: Answer, vendor: Vendor) -> Reply:
        """Answer in the vendor's place, or spoil what it answers."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst429(Fault):
    """Too many requests. `form` is `seconds` or `date` (of Retry-After), `none`, or one of the vendor's own."""

    times: int | None = 3
    retry_after: float = 0.05
    form: str = "seconds"

    def meet(self, request: Request, answer: Answer, vendor: Vendor) -> Reply:
        return vendor.limited(self.form, self.retry_after, request.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure(Fault):
    """An error status, worded by the vendor as JSON, by a gateway as HTML, or with an empty body."""

    status: int = 500
    body: Literal["vendor", "html", "empty"] = "vendor"

    def meet(self, request: Request, answer: Answer, vendor: Vendor) -> Reply:
        if self.body == "vendor":
            return vendor.failure(self.status, "this is a test of faults")
        return _html(self.status) if self.body == "html" else Reply(self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredToken(Fault):
    """401 although the credentials are right: `after` says at which request, `times` until when."""

    def meet(self, request: Request, answer: Answer, vendor: Vendor) -> Reply:
        return vendor.failure(401, "the token has expired")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer(Fault):
    """The connection ends in the place of an answer. `done` says whether the request had its effect before."""

    end: Literal["close", "reset"] = "reset"
    done: bool = False

    def meet(self, request: Request, answer: Answer, vendor: Vendor) -> Reply:
        if self.done:
            answer(request)
        return Reply(delivery=Delivery(answered=False, end=self.end))


@dataclass(frozen=True, slots=True, kw_only=True)
class LateAnswer(Fault):
    """Nothing comes for some seconds, then the answer."""

    seconds: float = 0.2

    def meet(self, request: Request, answer: Answer, vendor: Vendor) -> Reply:
        reply = answer(request)
        reply.delivery = replace(reply.delivery, delay=self.seconds)
        return reply


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowBody(Fault):
    """The answer trickles: a pause of some seconds after each so many bytes."""

    piece: int = 16_384
    pause: float = 0.01

    def meet(self, request: Request, answer: Answer, vendor: Vendor) -> Reply:
        reply = answer(request)
        reply.delivery = replace(reply.delivery, piece=self.piece, pause=self.pause)
        return reply


@dataclass(frozen=True, slots=True, kw_only=True)
class CutBody(Fault):
    """The connection ends within the body: after `share` of it, and at least one byte before its end.

    length    a Content-Length announced more
    chunked   the closing chunk is missing
    """

    share: float = 0.5
    how: Literal["length", "chunked"] = "length"
    end: Literal["close", "reset"] = "close"

    def meet(self, request: Request, answer: Answer, vendor: Vendor) -> Reply:
        reply = answer(request)
        cut = min(int(len(reply.body) * self.share), len(reply.body) - 1)
        reply.delivery = replace(reply.delivery, cut=max(cut, 0), end=self.end, chunked=self.how == "chunked")
        return reply


@dataclass(frozen=True, slots=True, kw_only=True)
class CutGzip(Fault):
    """A gzip stream without its end in an HTTP message that is whole: only who checks the stream's end notices."""

    share: float = 0.5

    def meet(self, request: Request, answer: Answer, vendor: Vendor) -> Reply:
        reply = answer(request)
        if not is_gzip(reply.body):
            if "gzip" not in request.headers.get("accept-encoding", ""):
                raise ValueError("CutGzip met an answer that is not gzip, and a client that accepts none")
            reply.body = gzip.compress(reply.body)
            reply.headers["Content-Encoding"] = "gzip"
        reply.body = reply.body[: max(1, min(int(len(reply.body) * self.share), len(reply.body) - 1))]
        return reply


@dataclass(frozen=True, slots=True, kw_only=True)
class NotJson(Fault):
    """A page for people in the place of data, as a proxy or a maintenance window gives it, with any status."""

    status: int = 200

    def meet(self, request: Request, answer: Answer, vendor: Vendor) -> Reply:
        return _html(self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSkew(Fault):
    """The vendor's clock is ahead (or behind, when negative): in the Date and in all that it decides by now."""

    times: int | None = None
    by: timedelta = timedelta(minutes=10)

    def meet(self, request: Request, answer: Answer, vendor: Vendor) -> Reply:
        skewed = request.at + self.by
        reply = answer(replace(request, at=skewed))
        reply.headers.setdefault("Date", http_date(skewed))
        return reply


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedSchema(Fault):
    """Records come in another form than documented; `changed` is public, so that tests change the truth alike.

    added     new fields, one of them nested
    retyped   the value of `field` becomes another type: a text becomes an object, all else a text
    as text   the value of `field`, if it is nested, comes as its JSON
    missing   `field` is left out
    """

    times: int | None = None
    change: Literal["added", "retyped", "as text", "missing"] = "added"
    field: str = ""

    def meet(self, request: Request, answer: Answer, vendor: Vendor) -> Reply:
        reply = answer(request)
        if reply.status == 200:
            reply.body = _with_records(reply.body, self.changed)
        return reply

    def changed(self, record: Record) -> Record:
        """Return a record as the changed schema has it."""
        if self.change == "added":
            return {**record, "brand_new": 7, "brand_new_nested": {"list": [{"a": 1}, {"a": "x"}]}}
        if self.field not in record:
            return record
        value = record[self.field]
        if self.change == "missing":
            return {key: each for key, each in record.items() if key != self.field}
        if self.change == "as text":
            return {**record, self.field: json.dumps(value) if isinstance(value, (dict, list)) else value}
        return {**record, self.field: {"text": value} if isinstance(value, str) else json.dumps(value)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Meanwhile(Fault):
    """Calls a hook after each answer: for records that change while they are paged."""

    times: int | None = None
    call: Callable[[Request], None]

    def meet(self, request: Request, answer: Answer, vendor: Vendor) -> Reply:
        reply = answer(request)
        self.call(request)
        return reply


@dataclass(slots=True)
class _Dialled:
    fault: Fault
    seen: int = 0
    met: int = 0

    def due(self, request: Request) -> bool:
        """Count a request that the fault concerns; tell whether it is met."""
        if self.fault.on not in request.path:
            return False
        self.seen += 1
        if self.seen <= self.fault.after or (self.fault.times is not None and self.met >= self.fault.times):
            return False
        self.met += 1
        return True


class FaultDial:
    """The faults that a server meets its requests with; none at first. A test can turn it at any time."""

    def __init__(self) -> None:
        self._dialled: list[_Dialled] = []

    def add(self, *faults: Fault) -> None:
        """Add faults, which count requests from now on."""
        self._dialled += [_Dialled(fault) for fault in faults]

    def clear(self) -> None:
        """Let all go well from now on; forget what was met."""
        self._dialled.clear()

    @property
    def met(self) -> int:
        """How many requests have met a fault, so that a test of a fault can tell that there was one."""
        return sum(each.met for each in self._dialled)

    @property
    def unmet(self) -> list[Fault]:
        """Return the faults that no request has met: with several of them, `met` does not tell."""
        return [each.fault for each in self._dialled if not each.met]

    def answer(self, request: Request, answer: Answer, vendor: Vendor) -> Reply:
        """Answer through all faults that are due."""
        return self._through(0, request, answer, vendor)

    def _through(self, place: int, request: Request, answer: Answer, vendor: Vendor) -> Reply:
        if place >= len(self._dialled):
            return answer(request)
        each = self._dialled[place]
        if not each.due(request):
            return self._through(place + 1, request, answer, vendor)
        return each.fault.meet(request, lambda inner: self._through(place + 1, inner, answer, vendor), vendor)


#: After these a connector goes on by itself and has all rows.
TRANSIENT: Mapping[str, Fault] = {
    "429, Retry-After in seconds": Burst429(after=1),
    "429, Retry-After as a date": Burst429(after=1, times=1, form="date", retry_after=1),
    "429 without a hint": Burst429(after=1, times=1, form="none"),
    "500": Failure(status=500, after=1),
    "502 in HTML": Failure(status=502, body="html", times=2, after=1),
    "503": Failure(status=503, times=3, after=1),
    "504 without a body": Failure(status=504, body="empty", after=1),
    "500 at the first request": Failure(status=500),
    "reset before the answer": NoAnswer(after=1),
    "closed before the answer": NoAnswer(end="close", after=1),
    "reset after the work is done": NoAnswer(done=True, after=1),
    "late answer": LateAnswer(after=1),
    "slow body": SlowBody(times=3),
    "body shorter than its length": CutBody(after=1),
    "body reset": CutBody(end="reset", after=1),
    "no byte of the body": CutBody(share=0.0, after=1),
    "last byte missing": CutBody(share=1.0, after=1),
    "chunks without an end": CutBody(how="chunked", after=1),
    "gzip without its end": CutGzip(after=1),
    "HTML with 200, once": NotJson(after=1),
    "clock ahead": ClockSkew(),
    "clock behind": ClockSkew(by=-timedelta(minutes=10)),
    "new fields": ChangedSchema(),
}

#: After these a connector stops, names the reason, and keeps what it has; once mended it goes on and has all rows.
LASTING: Mapping[str, Fault] = {
    "token expired": ExpiredToken(times=None, after=1),
    "forbidden": Failure(status=403, times=None, after=1),
    "429 always": Burst429(times=None, after=1),
    "500 always": Failure(status=500, times=None, after=1),
    "HTML with 200 always": NotJson(times=None, after=1),
    "cut always": CutBody(times=None, after=1),
    "no answer ever": NoAnswer(times=None, after=1),
}

#: What tests are parametrized by: "at every fault".
ALL_FAULTS: Mapping[str, Fault] = {**TRANSIENT, **LASTING}


def http_date(at: datetime) -> str:
    return format_datetime(at.replace(microsecond=0), usegmt=True)


def is_gzip(body: bytes) -> bool:
    return body[:2] == b"\x1f\x8b"


def _html(status: int) -> Reply:
    page = b"<html><head><title>Be right back</title></head><body><h1>Be right back</h1></body></html>"
    return Reply(status, page, {"Content-Type": "text/html; charset=utf-8"})


def _with_records(body: bytes, change: Callable[[Record], Record]) -> bytes:
    """Change the records of a JSON body, gzipped or not: those of its list, or else the body itself."""
    packed = is_gzip(body)
    value = json.loads(gzip.decompress(body) if packed else body)
    if isinstance(value, list):
        value = [change(one) for one in cast("list[Any]", value)]
    else:
        lists = [
            key
            for key, each in cast("Record", value).items()
            if isinstance(each, list) and each and all(isinstance(one, dict) for one in cast("list[Any]", each))
        ]
        value = {**value, lists[0]: [change(one) for one in value[lists[0]]]} if lists else change(value)
    text = json.dumps(value, ensure_ascii=False).encode()
    return gzip.compress(text) if packed else text
