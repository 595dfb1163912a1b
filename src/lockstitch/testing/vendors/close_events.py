"""Close's event log: pages of events, newest update first, by a cursor."""

from __future__ import annotations

from datetime import datetime, timedelta

from lockstitch.testing.vendors.close_data import CloseData, parse_time
from lockstitch.testing.vendors.close_lists import Refused, as_cursor, in_ranges, place_of, ranges_of, whole
from lockstitch.testing.vendors.messages import Record, Request

#: Most events of one page; more cannot be asked for.
PAGE = 50

#: After this time only admins see the data of an event.
PRIVATE_AFTER = timedelta(hours=1)

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


def events_page(data: CloseData, request: Request, *, admin: bool) -> Record:
    """Return the page of the log that is asked for. A cursor keeps the range of times, but no other filter."""
    if request.get("_skip") is not None:
        raise Refused(400, "_skip is not supported here; use _cursor.")
    limit = min(whole(request, "_limit", PAGE), PAGE)
    place = place_of(request.get("_cursor") or "")
    asked = ranges_of(request, ["date_updated"])
    ranges = place.get("ranges", asked)
    filters = {name: value for name, value in request.query if not name.startswith("_") and name not in asked}
    if frozenset(filters) not in _EVENT_FILTERS:
        raise Refused(400, f"This combination of filters is not supported: {', '.join(sorted(filters))}.")
    found = [
        event
        for event in data.recent_events(request.at)
        if all(event.get(name) == value for name, value in filters.items()) and in_ranges(event, ranges)
    ]
    found.sort(key=_place, reverse=True)
    if "before" in place:
        newer = [event for event in found if _place(event) > tuple(place["before"])]
        page, more = newer[-limit:], True
    else:
        older = [event for event in found if "after" not in place or _place(event) < tuple(place["after"])]
        page, more = older[:limit], len(older) > limit
    return {
        "data": [_visible(event, request.at, admin=admin) for event in page],
        "cursor_next": as_cursor({"after": _place(page[-1]), "ranges": ranges}) if page and more else None,
        "cursor_previous": as_cursor({"before": _place(page[0]), "ranges": ranges}) if page else None,
    }


def _visible(event: Record, now: datetime, *, admin: bool) -> Record:
    """Return an event without its data if it is too old for who asks."""
    if admin or now - parse_time(event["date_updated"]) < PRIVATE_AFTER:
        return event
    return {name: value for name, value in event.items() if name not in {"data", "previous_data"}}


def _place(event: Record) -> tuple[str, str]:
    return parse_time(event["date_updated"]).isoformat(timespec="microseconds"), str(event["id"])
