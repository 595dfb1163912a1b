"""A fake of Close's API (developer.close.com), as its documentation and `spec/source-closeio.md` describe it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from lockstitch.testing.vendors.close_data import CloseData, parse_time
from lockstitch.testing.vendors.close_search import BadQueryError, find_by_filter, find_by_words, in_order
from lockstitch.testing.vendors.messages import Record, Reply, Request, json_reply
from lockstitch.testing.vendors.server import LimitForm, VendorServer

#: The largest `_limit` of each resource.
MAX_LIMIT: Mapping[str, int] = {"lead": 200, "activity": 100, "task": 1000, "user": 1000, "custom_field": 1000}

#: Comparisons that filters of lists are suffixed by.
_RANGES = ("gt", "gte", "lt", "lte")

#: Filters of activities that Close refuses unless one lead is named.
_OF_ONE_LEAD = ("user_id", "user_id__in", "contact_id", "contact_id__in", "_type", "_type__in")

#: The filters of events, beside that of `date_updated`, that may be used together.
_EVENT_FILTERS = {
    frozenset(names.split())
    for names in (
        "",
        "object_type object_id",
        "object_type action",
        "object_id action",
        "lead_id object_type",
        "lead_id object_type action",
        "lead_id user_id object_type",
        "lead_id user_id object_type action",
        "lead_id user_id",
        "user_id object_id",
        "user_id object_id action",
        "user_id object_type",
        "user_id object_type action",
        "lead_id",
        "user_id",
        "request_id",
        # Not in Close's list, yet used in its own examples of the single parameters.
        "object_type",
        "object_id",
        "action",
    )
}


class Refused(Exception):
    """A request that Close answers with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def _limit_headers(reset: float, now: datetime) -> Reply:
    del now
    return json_reply({"error": "too many requests"}, 429, {"RateLimit": f"limit=100, remaining=0, reset={reset:g}"})


def _old_limit_headers(reset: float, now: datetime) -> Reply:
    del now
    headers = {"X-Rate-Limit-Limit": "100", "X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": f"{reset:g}"}
    return json_reply({"error": "too many requests"}, 429, headers)


def _limit_body(reset: float) -> Record:
    return {
        "message": "API call count exceeded for this period",
        "rate_reset": reset,
        "rate_limit": 40,
        "rate_window": 1,
        "rate_limit_type": "key",
    }


class CloseServer(VendorServer):
    """Close's API at `url` + `/api/v1`, over one organisation's data.

    What an account or Close itself decides can be set at any time:

    key, admin          the API key, and whether its user is an admin (others miss the data of events an hour old)
    max_skip            by resource, the largest `_skip`
    rate_limit          requests of one endpoint group in `rate_window` seconds; more get a 429
    rate_headers        in which form each answer tells the limit: Close's of 2023, the older, or none
    query_works         False: `query` of GET /lead/ is ignored, as it is deprecated
    old_custom_fields   whether /custom_fields/lead/ still answers, beside /custom_field/lead/
    untyped_tasks       what /task/ without `_type` lists
    tasks_by_update     whether /task/ knows `date_updated__gte` and its like
    ignored             parameters that came and mean nothing to Close, which says nothing about them
    """

    limit_forms: Mapping[str, LimitForm] = {
        "RateLimit": _limit_headers,
        "X-Rate-Limit": _old_limit_headers,
        "body": lambda reset, _: json_reply({"error": _limit_body(reset)}, 429),
        "old body": lambda reset, _: json_reply(_limit_body(reset), 429),
    }

    def __init__(self, data: CloseData, *, key: str = "api_test.key", admin: bool = True) -> None:
        super().__init__(data.clock)
        self.data = data
        self.key = key
        self.admin = admin
        self.max_skip = dict.fromkeys(MAX_LIMIT, 250_000)
        self.rate_limit = 1_000_000
        self.rate_window = 1.0
        self.rate_headers: Literal["new", "old", "none"] = "new"
        self.query_works = True
        self.old_custom_fields = True
        self.untyped_tasks: Literal["all", "lead"] = "all"
        self.tasks_by_update = False
        self.ignored: set[str] = set()
        self._windows: dict[str, tuple[float, int]] = {}
        self._searches: dict[str, list[str]] = {}

    def answer(self, request: Request) -> Reply:
        limits = self._count_in_window(request)
        try:
            if limits is None:
                return self.limited("RateLimit", self.rate_window, request.at)
            reply = json_reply(self._route(request))
        except Refused as refused:
            reply = self.failure(refused.status, refused.message)
        reply.headers.update(limits or {})
        return reply

    def _route(self, request: Request) -> Any:
        if not self._authorized(request):
            raise Refused(401, "The API key is missing, unknown, or has been deleted.")
        path = request.path.removeprefix("/api/v1")
        routes = {
            "/me/": ("GET", self._me),
            "/lead/": ("GET", self._leads),
            "/data/search/": ("POST", self._search),
            "/activity/": ("GET", self._activities),
            "/task/": ("GET", self._tasks),
            "/user/": ("GET", self._users),
            "/custom_field/lead/": ("GET", self._custom_fields),
            "/event/": ("GET", self._events),
        }
        if self.old_custom_fields:
            routes["/custom_fields/lead/"] = ("GET", self._custom_fields)
        if path not in routes or not request.path.startswith("/api/v1/"):
            raise Refused(404, "Not found.")
        method, handle = routes[path]
        if method != request.method:
            raise Refused(405, "Method not allowed.")
        return handle(request)

    def _authorized(self, request: Request) -> bool:
        expected = base64.b64encode(f"{self.key}:".encode()).decode()
        return request.headers.get("authorization") == f"Basic {expected}"

    def _count_in_window(self, request: Request) -> dict[str, str] | None:
        """Return the headers that tell the limit of the request's group; None when it is exceeded."""
        group = f"{request.method} {request.path}"
        now = time.monotonic()
        begun, count = self._windows.get(group, (now, 0))
        if now - begun >= self.rate_window:
            begun, count = now, 0
        self._windows[group] = (begun, count + 1)
        left, reset = self.rate_limit - count - 1, self.rate_window - (now - begun)
        if left < 0:
            return None
        return {
            "new": {"RateLimit": f"limit={self.rate_limit}, remaining={left}, reset={reset:.3f}"},
            "old": {
                "X-Rate-Limit-Limit": str(self.rate_limit),
                "X-Rate-Limit-Remaining": str(left),
                "X-Rate-Limit-Reset": f"{reset:.3f}",
            },
            "none": cast("dict[str, str]", {}),
        }[self.rate_headers]

    # --- lists by offset ----------------------------------------------------------------------------------------------

    def _page(self, request: Request, resource: str, records: list[Record], *, total: bool = False) -> Record:
        """Return one page of a list by `_limit` and `_skip`, with the `_fields` asked for."""
        limit = _whole(request, "_limit", 100)
        skip = _whole(request, "_skip", 0)
        if limit > MAX_LIMIT[resource]:
            message = "The limit you set is larger than the maximum limit for this resource (max_limit = {})."
            raise Refused(400, message.format(MAX_LIMIT[resource]))
        if skip > self.max_skip[resource]:
            message = "The skip you set is larger than the maximum skip for this resource (max_skip = {})."
            raise Refused(400, message.format(self.max_skip[resource]))
        shown = [_fields(record, request.get("_fields")) for record in records[skip : skip + limit]]
        page: Record = {"data": shown, "has_more": skip + limit < len(records)}
        return {**page, "total_results": len(records)} if total else page

    def _leads(self, request: Request) -> Record:
        self._note_unknown(request, {"query"})
        query = request.get("query") or ""
        try:
            found = find_by_words(self.data.leads.values(), query if self.query_works else "")
        except BadQueryError as error:
            raise Refused(400, str(error)) from error
        return self._page(request, "lead", found, total=True)

    def _activities(self, request: Request) -> Record:
        times = [f"{name}__{how}" for name in ("date_created", "activity_at") for how in _RANGES]
        self._note_unknown(request, {*times, "lead_id", "_order_by", *_OF_ONE_LEAD})
        refused = [name for name, _ in request.query if name in _OF_ONE_LEAD]
        if refused and not request.get("lead_id"):
            raise Refused(400, f"{', '.join(refused)} can only be used together with lead_id.")
        found = _in_ranges(request, self.data.activities.values(), ("date_created", "activity_at"))
        for name in ("lead_id", "user_id", "contact_id", "_type"):
            wanted = (request.get(name) or request.get(f"{name}__in") or "").split(",")
            found = [one for one in found if wanted == [""] or one.get(name) in wanted]
        return self._page(request, "activity", in_order(found, request.get("_order_by") or "-date_created"))

    def _tasks(self, request: Request) -> Record:
        ranges = ("date_created", "date_updated") if self.tasks_by_update else ("date_created",)
        self._note_unknown(request, {"_type", "_order_by", *(f"{name}__{how}" for name in ranges for how in _RANGES)})
        kind = request.get("_type") or self.untyped_tasks
        found = _in_ranges(request, self.data.tasks.values(), ranges)
        found = [task for task in found if kind in {"all", task["_type"]}]
        return self._page(request, "task", in_order(found, request.get("_order_by") or "date_created"))

    def _users(self, request: Request) -> Record:
        self._note_unknown(request, set())
        return self._page(request, "user", list(self.data.users.values()))

    def _custom_fields(self, request: Request) -> Record:
        self._note_unknown(request, set())
        return self._page(request, "custom_field", list(self.data.custom_fields.values()))

    def _me(self, _: Request) -> Record:
        user = next(iter(self.data.users.values()))
        return {**user, "organizations": [{"id": self.data.organization_id, "name": "Lockstitch Test"}]}

    def _note_unknown(self, request: Request, known: set[str]) -> None:
        self.ignored |= {name for name, _ in request.query} - known - {"_limit", "_skip", "_fields"}

    # --- lists by cursor ----------------------------------------------------------------------------------------------

    def _search(self, request: Request) -> Record:
        """Return one page of leads; their fields, beside the id, only where `_fields` names them."""
        try:
            body = request.json()
            found = find_by_filter(self.data.leads.values(), body)
        except (ValueError, KeyError, TypeError, BadQueryError) as error:
            raise Refused(400, f"The query is not valid: {error!r}") from error
        # A cursor keeps what was found when the search began, so that leads which change meanwhile are not missed.
        ids = self._searches.pop(body["cursor"], None) if body.get("cursor") else [str(lead["id"]) for lead in found]
        if ids is None:
            raise Refused(400, "The cursor is not valid, or has expired.")
        limit = min(int(body.get("_limit", 100)), MAX_LIMIT["lead"])
        ids, later = ids[: body.get("results_limit")][:limit], ids[: body.get("results_limit")][limit:]
        cursor = _as_cursor({"search": len(self.requests)}) if later else None
        if cursor is not None:
            self._searches[cursor] = later
        names = ",".join(["id", *body.get("_fields", {}).get("lead", [])])
        leads = [self.data.leads[one] for one in ids if one in self.data.leads]
        shown = [{"__object_type": "lead", **_fields(lead, names)} for lead in leads]
        return {"data": shown, "cursor": cursor}

    def _events(self, request: Request) -> Record:
        """Return a page of the log, newest update first. Its cursor keeps the range of times, but no other filter."""
        if request.get("_skip") is not None:
            raise Refused(400, "_skip is not supported here; use _cursor.")
        limit = min(_whole(request, "_limit", 50), 50)
        place = _cursor(request.get("_cursor") or "")
        asked = {name: value for name, value in request.query if name.startswith("date_updated__")}
        ranges = place.get("ranges", asked)
        filters = {name: value for name, value in request.query if not name.startswith("_") and name not in asked}
        if frozenset(filters) not in _EVENT_FILTERS:
            raise Refused(400, f"This combination of filters is not supported: {', '.join(sorted(filters))}.")
        found = [
            event
            for event in self.data.recent_events(request.at)
            if all(event.get(name) == value for name, value in filters.items()) and _in_all(event, ranges)
        ]
        found.sort(key=_event_place, reverse=True)
        newer = [event for event in found if "before" in place and _event_place(event) > tuple(place["before"])]
        if newer:
            found = newer[-limit:]
        elif "after" in place:
            found = [event for event in found if _event_place(event) < tuple(place["after"])]
        page = found[:limit]
        older = len(found) > limit or bool(newer)
        return {
            "data": [self._visible(event, request.at) for event in page],
            "cursor_next": _as_cursor({"after": _event_place(page[-1]), "ranges": ranges}) if older else None,
            "cursor_previous": _as_cursor({"before": _event_place(page[0]), "ranges": ranges}) if page else None,
        }

    def _visible(self, event: Record, now: datetime) -> Record:
        """Return an event without its data if it is too old for who asks."""
        if self.admin or now - parse_time(event["date_updated"]) < timedelta(hours=1):
            return event
        return {name: value for name, value in event.items() if name not in {"data", "previous_data"}}


def _whole(request: Request, name: str, default: int) -> int:
    text = request.get(name)
    if text is None:
        return default
    if not text.isdecimal():
        raise Refused(400, f"{name} must be an integer of 0 or more, not {text!r}.")
    return int(text)


def _fields(record: Record, names: str | None) -> Record:
    """Return the fields named, all when none are; `custom` stands for all custom fields."""
    if not names or "_all" in names.split(","):
        return record
    wanted = set(names.split(","))
    return {
        name: value
        for name, value in record.items()
        if name in wanted or ("custom" in wanted and name.startswith("custom."))
    }


def _in_ranges(request: Request, records: Iterable[Record], names: tuple[str, ...]) -> list[Record]:
    ranges = {name: value for name, value in request.query if name.rpartition("__")[0] in names}
    try:
        return [record for record in records if _in_all(record, ranges)]
    except ValueError as error:
        raise Refused(400, f"This is not a time: {error}.") from error


def _in_all(record: Record, ranges: Mapping[str, str]) -> bool:
    """Tell whether a record's times lie in ranges such as `{"date_created__gte": "2026-01-01T00:00:00"}`."""
    for key, text in ranges.items():
        name, _, how = key.rpartition("__")
        at, limit = parse_time(record[name]), parse_time(text)
        if not {"gt": at > limit, "gte": at >= limit, "lt": at < limit, "lte": at <= limit}[how]:
            return False
    return True


def _event_place(event: Record) -> tuple[str, str]:
    return parse_time(event["date_updated"]).isoformat(timespec="microseconds"), str(event["id"])


def _as_cursor(place: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _cursor(text: str) -> Record:
    """Return what a cursor says; nothing for an empty one."""
    try:
        return json.loads(base64.urlsafe_b64decode(text)) if text else {}
    except ValueError as error:
        raise Refused(400, "The cursor is not valid.") from error
