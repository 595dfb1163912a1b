"""What is asked of Close for each stream, from a position on (`spec/source-closeio.md` section 3).

Every function yields records page by page, or where a list is in order, with the position after the page.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from lockstitch.core.errors import SourceDataError
from lockstitch.sources.closeio.api import CloseApi, MaxSkip, Page, Stamp, stamp_of, walk
from lockstitch.sources.closeio.cursor import Position, moment_of
from lockstitch.sources.closeio.shapes import STREAMS
from lockstitch.toolkit.http.client import Params

_log = logging.getLogger(__name__)

Records = list[tuple[Stamp, msgspec.Raw]]

#: The largest pages that Close gives.
LEADS, ACTIVITIES, OTHERS, EVENTS = 200, 100, 1000, 50
#: Days of activities, where so many are in a window that Close would not list them all.
_WINDOWS = (1.0, 0.5, 0.25, 0.125)


@dataclass(frozen=True, slots=True)
class Found:
    """Some records, and how far the stream has come with them; None where that is known only at the stream's end."""

    records: Records
    position: Position | None = None


class Positions:
    """Moves a stream's position with what is read. What claims to be of the future does not move it."""

    def __init__(self, position: Position, limit: datetime) -> None:
        self.position = position
        self._limit = limit
        self._ids = set(position.ids)

    def is_new(self, stamp: Stamp, at: datetime | None) -> bool:
        """Tell whether a record is at or after the position, and was not delivered there."""
        begun = self.position
        return at is None or at > begun.at or (at == begun.at and stamp.id not in self._ids)

    def take(self, records: Records, dated: Callable[[Stamp], datetime | None]) -> Found:
        """Move on by records that come in order, and return those that are new."""
        moments = [(stamp, dated(stamp)) for stamp, _ in records]
        fresh = [one for one, (stamp, at) in zip(records, moments, strict=True) if self.is_new(stamp, at)]
        self.position = self.after(moments)
        self._ids = set(self.position.ids)
        return Found(fresh, self.position)

    def after(self, moments: Sequence[tuple[Stamp, datetime | None]]) -> Position:
        """Return the position after these records, which may be in any order."""
        known = [(stamp, at) for stamp, at in moments if at is not None and at <= self._limit]
        last = max((at for _, at in known), default=self.position.at)
        if last < self.position.at:
            return self.position
        ids = {stamp.id for stamp, at in known if at == last}
        if last == self.position.at:
            ids |= set(self.position.ids)
        return Position(last, sorted(ids))


def updated(stamp: Stamp) -> datetime | None:
    return None if stamp.date_updated is None else moment_of(stamp.date_updated)


def read_list(api: CloseApi, path: str, begun: Position, limit: datetime, *, filters: bool = False) -> Iterator[Found]:
    """Read a list that is always given as a whole, and keep what is new.

    With `filters`, Close is asked for what was updated since; where it does not know that, it gives everything.
    """
    positions = Positions(begun, limit)
    since: Params = {"date_updated__gte": _second(begun.at)} if filters else {}
    moments: list[tuple[Stamp, datetime | None]] = []
    for page in walk(lambda skip: api.page(path, {**since, "_limit": OTHERS, "_skip": skip})):
        dated = [(stamp, updated(stamp)) for stamp, _ in page]
        moments += dated
        yield Found([one for one, (stamp, at) in zip(page, dated, strict=True) if positions.is_new(stamp, at)])
    yield Found([], positions.after(moments))


def read_leads(api: CloseApi, begun: Position, limit: datetime) -> Iterator[Found]:
    """Read leads in the order of their updates, by a query or, where Close ignores that, by its newer search."""
    positions = Positions(begun, limit)
    try:
        yield from _queried(api, positions)
    except _Ignored:
        _log.info("Close ignores the query for leads: searching for them instead")
        yield from _searched(api, positions)


class _Ignored(Exception):
    """The answer is not what the query asks for."""


def _queried(api: CloseApi, positions: Positions) -> Iterator[Found]:
    """Ask for leads by words.

    Each page is asked from the minute that the last one ended in, so that leads which are updated meanwhile, and move
    to the end, leave no gap; within a minute pages overlap (`walk`).
    """
    minute, seen, goes_on = _minute(positions.position.at), set[Stamp](), True
    while goes_on:
        goes_on = False
        for page in walk(lambda skip, since=minute: _query(api, since, skip)):
            dated = [(stamp, updated(stamp)) for stamp, _ in page]
            if not _in_order(dated, minute):
                raise _Ignored
            yield positions.take([one for one in page if one[0] not in seen], updated)
            last = _minute(max((at for _, at in dated if at is not None), default=minute))
            at_last = {stamp for stamp, at in dated if at is not None and at >= last}
            seen = at_last if last > minute else seen | at_last
            if last > minute:
                minute, goes_on = last, True
                break


def _query(api: CloseApi, since: datetime, skip: int) -> Page:
    query = f'date_updated>="{since:%Y-%m-%dT%H:%M}" sort:date_updated'
    return api.page("/lead/", {"query": query, "_limit": LEADS, "_skip": skip})


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _in_order(dated: Sequence[tuple[Stamp, datetime | None]], since: datetime) -> bool:
    """Tell whether records are what the query asks for: by update, none from before."""
    moments = [at for _, at in dated if at is not None]
    return all(at >= since for at in moments) and moments == sorted(moments)


def _searched(api: CloseApi, positions: Positions) -> Iterator[Found]:
    """Search for leads, page by page by a cursor; one search may end early, so the last finds nothing new."""
    goes_on = True
    while goes_on:
        goes_on, cursor = False, None
        body = _search(positions.position.at)
        while True:
            page = api.page("/data/search/", body={**body, "cursor": cursor})
            found = positions.take([(stamp_of(raw), raw) for raw in page.data], updated)
            goes_on = goes_on or bool(found.records)
            yield found
            cursor = page.cursor
            if not cursor or not page.data:
                break


def _search(since: datetime) -> dict[str, Any]:
    updated_field = {"type": "regular_field", "object_type": "lead", "field_name": "date_updated"}
    since_then = {"type": "moment_range", "on_or_after": {"type": "fixed_utc", "value": since.isoformat()}}
    leads = {"type": "object_type", "object_type": "lead"}
    return {
        "query": {
            "type": "and",
            "queries": [leads, {"type": "field_condition", "field": updated_field, "condition": since_then}],
        },
        "sort": [{"direction": "asc", "field": updated_field}],
        "_fields": {"lead": [*(name for name in STREAMS["leads"] if name != "custom_fields"), "custom"]},
        "_limit": LEADS,
    }


def read_activities(
    api: CloseApi, begun: Position, limit: datetime, *, window: timedelta, overlap: timedelta
) -> Iterator[Found]:
    """Read activities by the day they were made, window by window; a window that holds too many is cut smaller."""
    start, position = begun.at - overlap, begun
    while start <= limit:
        size = window if limit - start > 2 * window else limit - start + window
        for attempt in (size, *(timedelta(days=days) for days in _WINDOWS if timedelta(days=days) < size)):
            try:
                moments: list[tuple[Stamp, datetime | None]] = []
                for page in walk(lambda skip, start=start, end=start + attempt: _window(api, start, end, skip)):
                    moments += [(stamp, created(stamp)) for stamp, _ in page]
                    yield Found(page)
                break
            except MaxSkip as error:
                _log.info("from %s on there are too many activities for %s: %s", start, attempt, error)
        else:
            raise SourceDataError(
                f"more activities were made in the {_WINDOWS[-1] * 24:g} hours after {_second(start)} than Close lists",
                hint="ask Close to raise the largest _skip of activities for your organisation",
            )
        position = Position(max(position.at, Positions(Position(start), limit).after(moments).at))
        yield Found([], position)
        start += attempt


def created(stamp: Stamp) -> datetime | None:
    return None if stamp.date_created is None else moment_of(stamp.date_created)


def _window(api: CloseApi, start: datetime, end: datetime, skip: int) -> Page:
    between = {"date_created__gte": _second(start), "date_created__lt": _second(end)}
    return api.page("/activity/", {**between, "_limit": ACTIVITIES, "_skip": skip})


def read_events(api: CloseApi, begun: Position, limit: datetime, first: Page | None) -> Iterator[Found]:
    """Read the event log, newest first. `first` is its newest page, where that is known already.

    The position moves at the end only, and never beyond five minutes ago: Close goes on changing young events.
    """
    since = {"date_updated__gte": _second(begun.at)}
    page = first if first is not None and first.cursor_next is None else api.page("/event/", since)
    latest = begun.at
    while page.data:
        records = [(stamp_of(raw), raw) for raw in page.data]
        moments = [at for stamp, _ in records if (at := updated(stamp)) is not None]
        latest = max(latest, *moments)
        yield Found([one for one in records if (updated(one[0]) or latest) >= begun.at.replace(microsecond=0)])
        if not page.cursor_next:
            break
        page = api.page("/event/", {**since, "_cursor": page.cursor_next})
    yield Found([], Position(max(begun.at, min(latest, limit - timedelta(minutes=5)))))


def _second(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}"
