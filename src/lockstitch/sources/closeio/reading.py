"""What is asked of Close for each stream, from a position on (`spec/source-closeio.md` section 3).

Every function yields records page by page, or where a list is in order, with the position after the page.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from lockstitch.core.errors import SourceDataError
from lockstitch.sources.closeio.api import CloseApi, MaxSkip, NotTaken, Page, Stamp, Stamped, stamp_of
from lockstitch.sources.closeio.cursor import Position
from lockstitch.sources.closeio.shapes import STREAMS
from lockstitch.toolkit.http.paging import by_offset, by_token
from lockstitch.toolkit.moments import moment_or_none

_log = logging.getLogger(__name__)

Records = list[Stamped]
#: A page's records, and whether more pages come.
_Part = tuple[Sequence[msgspec.Raw], bool]
#: Tells when a record was made or updated; None where it does not say.
Dated = Callable[[Stamp], datetime | None]

#: The largest pages that Close gives.
LEADS, ACTIVITIES, OTHERS = 200, 100, 1000
#: Days of smaller windows of activities, for where Close does not list all of a larger one.
_SMALLER = (1.0, 0.5, 0.25, 0.125)
#: So long Close goes on changing an event, instead of logging another one.
EVENTS_CHANGE = timedelta(minutes=5)
#: Most ids that a position holds.
_MOST_IDS = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """Some records, and how far the stream has come with them; None where that is known only at the stream's end."""

    records: Records
    position: Position | None = None


class Positions:
    """Moves a stream's position with what is read. What claims to be of the future does not move it."""

    def __init__(self, begun: Position, limit: datetime) -> None:
        self.position = begun
        self._begun = begun
        self._begun_ids = frozenset(begun.ids)
        self.limit = limit

    def new(self, records: Records, dated: Dated) -> Records:
        """Return the records at or after the position where reading began, without those delivered there."""
        return [one for one in records if self._is_new(one[0], dated(one[0]))]

    def _is_new(self, stamp: Stamp, at: datetime | None) -> bool:
        begun = self._begun
        return at is None or at > begun.at or (at == begun.at and stamp.id not in self._begun_ids)

    def take(self, records: Records, dated: Dated) -> Found:
        """Move on by records that come in order, and return those that are new."""
        self.position = self.after([stamp for stamp, _ in records], dated)
        return Found(self.new(records, dated), self.position)

    def after(self, stamps: Sequence[Stamp], dated: Dated) -> Position:
        """Return the position after these records, which may be in any order."""
        known = [(stamp, at) for stamp in stamps if (at := dated(stamp)) is not None and at <= self.limit]
        last = max((at for _, at in known), default=self.position.at)
        if last < self.position.at:
            return self.position
        ids = {stamp.id for stamp, at in known if at == last}
        if last == self.position.at:
            ids |= set(self.position.ids)
        # Many at one moment, as after an import, are read again rather than kept.
        return Position(last, sorted(ids) if len(ids) <= _MOST_IDS else [])


def updated(stamp: Stamp) -> datetime | None:
    return moment_or_none(stamp.date_updated)


def created(stamp: Stamp) -> datetime | None:
    return moment_or_none(stamp.date_created)


# --- lists that are given as a whole ----------------------------------------------------------------------------------


def read_list(api: CloseApi, path: str, begun: Position, limit: datetime) -> Iterator[Found]:
    """Read a list that is always given as a whole, and keep what is new."""
    try:
        pages = by_offset(lambda skip: _listed(api, path, {}, skip), stamp_of)
        yield from _kept(begun, limit, (page for page, _ in pages))
    except MaxSkip as error:
        raise _too_long(path, error) from error


def read_tasks(api: CloseApi, begun: Position, limit: datetime, *, all_types: bool) -> Iterator[Found]:
    """Read tasks and keep what is new.

    Close is asked for what was updated since; where it does not know that, it gives everything, or is asked for it.
    Without `all_types` it decides itself which types of tasks it lists (`lead` only, says its documentation).
    """
    asked: dict[str, str] = {"_order_by": "date_created", **({"_type": "all"} if all_types else {})}
    try:
        yield from _kept(begun, limit, _tasks(api, {**asked, "date_updated__gte": _second(begun.at)}))
    except NotTaken as error:
        _log.info("tasks cannot be asked for by update (%s): all are read", error)
        yield from _kept(begun, limit, _tasks(api, asked))


def _tasks(api: CloseApi, asked: Mapping[str, str]) -> Iterator[Records]:
    """Yield the pages of tasks in the order of their creation, so that a list too long can be asked for in pieces."""
    since: Mapping[str, str] = {}
    while True:
        made: list[datetime] = []
        try:
            for page, _ in by_offset(
                lambda skip, since=since: _listed(api, "/task/", {**asked, **since}, skip), stamp_of
            ):
                yield page
                made += [at for stamp, _ in page if (at := created(stamp)) is not None]
        except MaxSkip as error:
            # Of a list in another order, older tasks might not have been listed yet.
            later = {"date_created__gte": _second(made[-1])} if made and made == sorted(made) else since
            if later == since:
                raise _too_long("/task/", error) from error
            since = later
        else:
            return


def _listed(api: CloseApi, path: str, asked: Mapping[str, str], skip: int) -> _Part:
    return _part(api.page(path, {**asked, "_limit": OTHERS, "_skip": skip}))


def _part(page: Page) -> _Part:
    return page.data, bool(page.has_more)


def _kept(begun: Position, limit: datetime, pages: Iterator[Records]) -> Iterator[Found]:
    """Yield what is new of pages in any order; the position moves at their end."""
    positions = Positions(begun, limit)
    stamps: list[Stamp] = []
    for page in pages:
        stamps += [stamp for stamp, _ in page]
        yield Found(positions.new(page, updated))
    yield Found([], positions.after(stamps, updated))


def _too_long(place: str, error: MaxSkip) -> SourceDataError:
    return SourceDataError(
        f"{place} has more records than Close lists: {error}",
        hint="ask Close to raise the largest _skip for your organisation, or deselect the stream",
    )


# --- leads ------------------------------------------------------------------------------------------------------------


def read_leads(api: CloseApi, begun: Position, limit: datetime) -> Iterator[Found]:
    """Read leads in the order of their updates: by a query or, where Close does not know that, by its newer search.

    The search has no largest offset, so it also serves where more leads share one minute than the query lists.
    """
    positions = Positions(begun, limit)
    try:
        yield from _queried(api, positions)
    except (_IgnoredError, NotTaken, MaxSkip) as error:
        _log.info("leads cannot be read by the query (%s): searching for them instead", error)
        yield from _searched(api, positions)


class _IgnoredError(Exception):
    """The answer is not what the query asks for."""


def _queried(api: CloseApi, positions: Positions) -> Iterator[Found]:
    """Ask for leads by words.

    Each page is asked from the minute that the last one ended in, so that leads which are updated meanwhile, and move
    to the end, leave no gap; within a minute pages overlap (`by_offset`).
    """
    minute, seen, goes_on = _minute(positions.position.at), set[Stamp](), True
    while goes_on:
        goes_on = False
        for page, more in by_offset(lambda skip, since=minute: _query(api, since, skip), stamp_of):
            if not _in_order(page, minute):
                raise _IgnoredError("it is ignored")
            yield positions.take([one for one in page if one[0] not in seen], updated)
            last = _minute(max((at for stamp, _ in page if (at := updated(stamp)) is not None), default=minute))
            at_last = {stamp for stamp, _ in page if (at := updated(stamp)) is not None and at >= last}
            seen = at_last if last > minute else seen | at_last
            if more and last > minute:
                minute, goes_on = last, True
                break


def _query(api: CloseApi, since: datetime, skip: int) -> _Part:
    query = f'date_updated>="{since.isoformat()[:16]}" sort:date_updated'
    return _part(api.page("/lead/", {"query": query, "_limit": LEADS, "_skip": skip}))


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _in_order(leads: Records, since: datetime) -> bool:
    """Tell whether leads are what the query asks for: by update, none from before."""
    moments = [at for stamp, _ in leads if (at := updated(stamp)) is not None]
    return all(at >= since for at in moments) and moments == sorted(moments)


def _searched(api: CloseApi, positions: Positions) -> Iterator[Found]:
    """Search for leads, page by page by a cursor.

    A search may end early, and its cursor be refused after a while; so it is repeated from where it came to, until it
    finds nothing new but what was updated since the job began.
    """
    seen: set[Stamp] = set()
    finds = True
    while finds:
        finds, cursor = False, None
        body = _search(positions.position.at)
        while True:
            try:
                page = api.page("/data/search/", body={**body, "cursor": cursor})
            except NotTaken:
                if not finds:
                    raise
                break
            stamped = [(stamp_of(raw), raw) for raw in page.data]
            fresh = [one for one in stamped if one[0] not in seen]
            seen.update(stamp for stamp, _ in fresh)
            finds = finds or any((updated(stamp) or positions.limit) <= positions.limit for stamp, _ in fresh)
            yield positions.take(fresh, updated)
            cursor = page.cursor
            if not cursor:
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


# --- activities -------------------------------------------------------------------------------------------------------


def read_activities(
    api: CloseApi, begun: Position, limit: datetime, *, window: timedelta, overlap: timedelta
) -> Iterator[Found]:
    """Read activities by the day they were made, window by window; the last one reaches into the future."""
    start = begun.at - overlap
    positions = Positions(begun, limit)
    while start <= limit:
        end = start + (window if limit - start > 2 * window else limit - start + window)
        yield from _windowed(api, positions, start, end)
        start = end


def _windowed(api: CloseApi, positions: Positions, start: datetime, end: datetime) -> Iterator[Found]:
    """Read one window; where it holds more than Close lists, in smaller ones."""
    stamps: list[Stamp] = []
    try:
        for page, _ in by_offset(lambda skip: _window(api, start, end, skip), stamp_of):
            stamps += [stamp for stamp, _ in page]
            yield Found(page)
    except MaxSkip as error:
        size = next((size for days in _SMALLER if (size := timedelta(days=days)) < end - start), None)
        if size is None:
            raise _too_long(f"/activity/ from {_second(start)} to {_second(end)}", error) from error
        _log.info("from %s to %s there are more activities than Close lists: asking for less", start, end)
        while start < end:
            yield from _windowed(api, positions, start, min(start + size, end))
            start += size
        return
    # Ids are of no use here, as all of the overlap is read again.
    positions.position = Position(max(positions.after(stamps, created).at, min(start, positions.limit)))
    yield Found([], positions.position)


def _window(api: CloseApi, start: datetime, end: datetime, skip: int) -> _Part:
    between = {"date_created__gte": _second(start), "date_created__lt": _second(end)}
    return _part(api.page("/activity/", {**between, "_limit": ACTIVITIES, "_skip": skip}))


# --- the event log ----------------------------------------------------------------------------------------------------


def read_events(api: CloseApi, begun: Position, limit: datetime, first: Page | None) -> Iterator[Found]:
    """Read the event log, newest first. `first` is its newest page, where that is known already.

    The position moves at the end only, and never beyond five minutes ago: Close goes on changing young events.
    """
    since = {"date_updated__gte": _second(begun.at)}
    newest = Page(first.data) if first is not None and _reaches(first, begun.at) else None

    def ask(cursor: str | None) -> tuple[Page, str | None]:
        page = newest or api.page("/event/", since if cursor is None else {**since, "_cursor": cursor})
        return page, page.cursor_next if page.data else None

    positions = Positions(begun, limit)
    for page, _ in by_token(ask):
        records = [(stamp_of(raw), raw) for raw in page.data]
        yield Found(positions.take(records, updated).records)
    settled = limit - EVENTS_CHANGE
    last = positions.position
    yield Found([], last if last.at <= settled else Position(max(begun.at, settled)))


def _reaches(newest: Page, since: datetime) -> bool:
    """Tell whether the newest page of the log has all events since a moment."""
    moments = [at for raw in newest.data if (at := updated(stamp_of(raw))) is not None]
    return newest.cursor_next is None or any(at < since for at in moments)


def _second(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")[:19]
