"""What lists of Close's API have in common: paging parameters, chosen fields, ranges of times, cursors, refusals."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from lockstitch.testing.vendors.close_data import parse_time
from lockstitch.testing.vendors.messages import Record, Request

#: Comparisons that filters of lists are suffixed by.
RANGES = ("gt", "gte", "lt", "lte")


class Refused(Exception):
    """A request that Close answers with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def whole(request: Request, name: str, default: int) -> int:
    """Return a parameter that is an integer of 0 or more."""
    text = request.get(name)
    if text is None:
        return default
    if not text.isdecimal():
        raise Refused(400, f"{name} must be an integer of 0 or more, not {text!r}.")
    return int(text)


def chosen_fields(record: Record, names: str | None) -> Record:
    """Return the fields named, all when none are; `custom` stands for all custom fields."""
    if not names or "_all" in names.split(","):
        return record
    wanted = set(names.split(","))
    return {
        name: value
        for name, value in record.items()
        if name in wanted or ("custom" in wanted and name.startswith("custom."))
    }


def ranges_of(request: Request, names: Iterable[str]) -> dict[str, str]:
    """Return the request's filters of these times, such as `{"date_created__gte": "2026-01-01T00:00:00"}`."""
    known = {f"{name}__{how}" for name in names for how in RANGES}
    return {name: value for name, value in request.query if name in known}


def in_ranges(record: Record, ranges: Mapping[str, str]) -> bool:
    """Tell whether a record's times lie in such ranges."""
    for key, text in ranges.items():
        name, _, how = key.rpartition("__")
        at, limit = parse_time(record[name]), _asked_time(text)
        if not {"gt": at > limit, "gte": at >= limit, "lt": at < limit, "lte": at <= limit}[how]:
            return False
    return True


def order_of(request: Request, known: Iterable[str], default: str) -> str:
    """Return the `_order_by` of a request, if a list can be sorted by it."""
    order = request.get("_order_by") or default
    if order.removeprefix("-") not in known:
        raise Refused(400, f"_order_by cannot be {order!r}.")
    return order


def as_cursor(place: Any) -> str:
    """Return a cursor that says where a list goes on."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def place_of(cursor: str) -> Record:
    """Return what a cursor says; nothing for an empty one."""
    try:
        return json.loads(base64.urlsafe_b64decode(cursor)) if cursor else {}
    except ValueError as error:
        raise Refused(400, "The cursor is not valid.") from error


def _asked_time(text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError as error:
        raise Refused(400, f"This is not a time: {text!r}.") from error
