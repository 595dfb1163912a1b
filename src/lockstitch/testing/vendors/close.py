"""A fake of Close's API (developer.close.com), as its documentation and `spec/source-closeio.md` describe it."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Any, Literal

from lockstitch.testing.vendors.close_data import CloseData
from lockstitch.testing.vendors.close_events import events_page
from lockstitch.testing.vendors.close_lists import (
    Refused,
    as_cursor,
    chosen_fields,
    in_ranges,
    order_of,
    ranges_of,
    whole,
)
from lockstitch.testing.vendors.close_search import BadQueryError, find_by_filter, find_by_words, in_order
from lockstitch.testing.vendors.messages import Record, Reply, Request, json_reply
from lockstitch.testing.vendors.server import LimitForm, VendorServer

#: The largest `_limit` of each resource.
MAX_LIMIT: Mapping[str, int] = {"lead": 200, "activity": 100, "task": 1000, "user": 1000, "custom_field": 1000}

#: Filters of activities that Close refuses unless one lead is named.
_OF_ONE_LEAD = ("user_id", "user_id__in", "contact_id", "contact_id__in", "_type", "_type__in")


def _new_headers(limit: int, left: int, reset: float) -> dict[str, str]:
    return {"RateLimit": f"limit={limit}, remaining={left}, reset={reset:g}"}


def _old_headers(limit: int, left: int, reset: float) -> dict[str, str]:
    return {
        "X-Rate-Limit-Limit": str(limit),
        "X-Rate-Limit-Remaining": str(left),
        "X-Rate-Limit-Reset": f"{reset:g}",
    }


_TOO_MANY = {"error": "API call count exceeded for this period"}


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
    sorts_tasks         False: `_order_by` of /task/ is ignored, and tasks come by their last update
    ignored             parameters that came and mean nothing to Close, which says nothing about them
    refused             parameters that Close answers with 400
    """

    limit_forms: Mapping[str, LimitForm] = {
        "RateLimit": lambda reset, _: json_reply(_TOO_MANY, 429, _new_headers(100, 0, reset)),
        "X-Rate-Limit": lambda reset, _: json_reply(_TOO_MANY, 429, _old_headers(100, 0, reset)),
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
        self.sorts_tasks = True
        self.ignored: set[str] = set()
        self.refused: set[str] = set()
        self._windows: dict[str, tuple[float, int]] = {}
        self._searches: dict[str, list[str]] = {}

    def answer(self, request: Request) -> Reply:
        left, reset = self._count_in_window(request)
        try:
            if left < 0:
                raise Refused(429, _TOO_MANY["error"])
            reply = json_reply(self._route(request))
        except Refused as refused:
            reply = self.failure(refused.status, refused.message)
        if self.rate_headers != "none":
            headers = _new_headers if self.rate_headers == "new" else _old_headers
            reply.headers.update(headers(self.rate_limit, max(left, 0), reset))
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
        for name, _ in request.query:
            if name in self.refused:
                raise Refused(400, f"{name} is not a parameter of this resource.")
        return handle(request)

    def _authorized(self, request: Request) -> bool:
        expected = base64.b64encode(f"{self.key}:".encode()).decode()
        return request.headers.get("authorization") == f"Basic {expected}"

    def _count_in_window(self, request: Request) -> tuple[int, float]:
        """Return how many requests of its group may follow this one, negative for one too many, and until when."""
        group = f"{request.method} {request.path}"
        now = time.monotonic()
        begun, count = self._windows.get(group, (now, 0))
        if now - begun >= self.rate_window:
            begun, count = now, 0
        self._windows[group] = (begun, count + 1)
        return self.rate_limit - count - 1, round(self.rate_window - (now - begun), 3)

    # --- lists by offset ----------------------------------------------------------------------------------------------

    def _page(self, request: Request, resource: str, records: list[Record], *, total: bool = False) -> Record:
        """Return one page of a list by `_limit` and `_skip`, with the `_fields` asked for."""
        limit = whole(request, "_limit", 100)
        skip = whole(request, "_skip", 0)
        if limit > MAX_LIMIT[resource]:
            message = "The limit you set is larger than the maximum limit for this resource (max_limit = {})."
            raise Refused(400, message.format(MAX_LIMIT[resource]))
        if skip > self.max_skip[resource]:
            message = "The skip you set is larger than the maximum skip for this resource (max_skip = {})."
            raise Refused(400, message.format(self.max_skip[resource]))
        shown = [chosen_fields(record, request.get("_fields")) for record in records[skip : skip + limit]]
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
        ranges = ranges_of(request, ("date_created", "activity_at"))
        self._note_unknown(request, {*ranges, "lead_id", "_order_by", *_OF_ONE_LEAD})
        of_one_lead = request.get("lead_id") is not None
        refused = [name for name, _ in request.query if name in _OF_ONE_LEAD]
        if refused and not of_one_lead:
            raise Refused(400, f"{', '.join(refused)} can only be used together with lead_id.")
        order = order_of(request, ("date_created", "activity_at")[: 1 + of_one_lead], "-date_created")
        found = [one for one in self.data.activities.values() if in_ranges(one, ranges)]
        for name in ("lead_id", "user_id", "contact_id", "_type"):
            wanted = (request.get(name) or request.get(f"{name}__in") or "").split(",")
            found = [one for one in found if wanted == [""] or one.get(name) in wanted]
        return self._page(request, "activity", in_order(found, order))

    def _tasks(self, request: Request) -> Record:
        ranges = ranges_of(request, ("date_created", "date_updated")[: 1 + self.tasks_by_update])
        self._note_unknown(request, {*ranges, "_type", *(["_order_by"] if self.sorts_tasks else [])})
        kind = request.get("_type") or self.untyped_tasks
        found = [
            task for task in self.data.tasks.values() if kind in {"all", task["_type"]} and in_ranges(task, ranges)
        ]
        asked = order_of(request, ("date_created", "date_updated"), "date_created")
        return self._page(request, "task", in_order(found, asked if self.sorts_tasks else "date_updated"))

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
        ids = self._searches.get(body["cursor"]) if body.get("cursor") else [str(lead["id"]) for lead in found]
        if ids is None:
            raise Refused(400, "The cursor is not valid, or has expired.")
        limit = min(int(body.get("_limit", 100)), MAX_LIMIT["lead"])
        ids, later = ids[: body.get("results_limit")][:limit], ids[: body.get("results_limit")][limit:]
        cursor = as_cursor({"search": len(self.requests)}) if later else None
        if cursor is not None:
            self._searches[cursor] = later
        names = ",".join(["id", *body.get("_fields", {}).get("lead", [])])
        leads = [self.data.leads[one] for one in ids if one in self.data.leads]
        shown = [{"__object_type": "lead", **chosen_fields(lead, names)} for lead in leads]
        return {"data": shown, "cursor": cursor}

    def _events(self, request: Request) -> Record:
        return events_page(self.data, request, admin=self.admin)
