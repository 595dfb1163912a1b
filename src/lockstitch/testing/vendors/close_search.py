"""How Close finds leads: the `query` words of `GET /lead/`, and the queries of `POST /data/search/`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from lockstitch.testing.vendors.close_data import parse_time
from lockstitch.testing.vendors.messages import Record

Test = Callable[[Record], bool]

_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_WORD = re.compile(r'(?P<field>\w+)\s*(?P<how>>=|<=|>|<)\s*"?(?P<value>[0-9T:.+Z-]+)"?|sort:(?P<sort>-?\w+)')


class BadQueryError(Exception):
    """A query that this fake does not understand; it would be wrong to guess what Close finds."""


def find_by_words(leads: Iterable[Record], query: str) -> list[Record]:
    """Return the leads that match words such as `date_updated>="2018-01-10T00:00" sort:date_updated`.

    Without a sort they come newest update first.
    """
    found = list(leads)
    order = "-date_updated"
    rest = _WORD.sub("", query).strip()
    if rest:
        raise BadQueryError(f"not understood: {rest!r}")
    for word in _WORD.finditer(query):
        if word["sort"]:
            _time_field(word["sort"].removeprefix("-"))
            order = word["sort"]
            continue
        name, compare, limit = _time_field(word["field"]), _COMPARE[word["how"]], _time(word["value"])
        found = [lead for lead in found if compare(parse_time(lead[name]), limit)]
    return in_order(found, order)


def find_by_filter(leads: Iterable[Record], body: Record) -> list[Record]:
    """Return the leads that match the body of `POST /data/search/`, in its order; by default newest update first."""
    test = _test(body["query"])
    orders = [
        ("-" if one.get("direction") == "desc" else "") + _time_field(one["field"]["field_name"])
        for one in body.get("sort", [])
    ]
    found = [lead for lead in leads if test(lead)]
    for order in reversed(orders or ["-date_updated"]):
        found = in_order(found, order)
    return found


def in_order(records: Sequence[Record], order: str) -> list[Record]:
    """Sort by a time, descending after a minus; what is equal is sorted by id."""
    name = order.removeprefix("-")
    by_id = sorted(records, key=lambda record: str(record["id"]))
    return sorted(by_id, key=lambda record: parse_time(record[name]), reverse=order.startswith("-"))


def _test(query: Record) -> Test:
    kind = query.get("type")
    negate = bool(query.get("negate"))
    if kind in {"and", "or"}:
        tests = [_test(one) for one in query["queries"]]
        join = all if kind == "and" else any
        return lambda lead: join(test(lead) for test in tests) != negate
    if kind == "match_all" or (kind == "object_type" and query["object_type"] == "lead"):
        return lambda _: not negate
    if kind == "field_condition":
        field, condition = query["field"], query["condition"]
        if field.get("type") != "regular_field" or field.get("object_type") != "lead":
            raise BadQueryError(f"not a regular field of leads: {field}")
        if condition.get("type") != "moment_range":
            raise BadQueryError(f"not a moment_range: {condition}")
        name = _time_field(str(field["field_name"]))
        first, end = _moment(condition.get("on_or_after")), _moment(condition.get("before"))
        return lambda lead: _within(parse_time(lead[name]), first, end) != negate
    raise BadQueryError(f"not understood: {query}")


def _time_field(name: str) -> str:
    if name not in {"date_created", "date_updated"}:
        raise BadQueryError(f"not a time of leads: {name!r}")
    return name


def _time(text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError as error:
        raise BadQueryError(f"not a time: {text!r}") from error


def _within(at: datetime, first: datetime | None, end: datetime | None) -> bool:
    return (first is None or at >= first) and (end is None or at < end)


def _moment(value: Any) -> datetime | None:
    """Return the moment of one end of a moment_range."""
    if value is None:
        return None
    if value.get("type") == "fixed_utc":
        return _time(value["value"])
    if value.get("type") == "fixed_local_date":
        day = datetime.fromisoformat(value["value"]).replace(tzinfo=UTC)
        return day + timedelta(days=value.get("which") == "end")
    raise BadQueryError(f"not a fixed_utc or fixed_local_date: {value}")
