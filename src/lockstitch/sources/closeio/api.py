"""Close's API: its pages, its limits and its answers (`spec/source-closeio.md` section 2)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from lockstitch.core.errors import AccessError, SourceDataError
from lockstitch.toolkit.http.client import Answer, Api, Meaning, Params
from lockstitch.toolkit.http.quota import Quota, Rate

#: Requests that one key may send; Close counts by group of endpoints, which is never less.
RATE = Rate(20, 1.0, burst=20)

_PLAN = Meaning(
    AccessError,
    "{place} is not open to this key ({status}): {detail}",
    "Close's plan, or the role of the key's user, does not include it: have that changed, or deselect the stream",
)
MEANINGS: Mapping[int, Meaning] = {
    400: Meaning(SourceDataError, "400 Response: {detail} ({place})", "this is no request that Close takes today"),
    401: Meaning(
        AccessError,
        "Close refuses the API key: {detail}",
        "it is wrong or was revoked; make a new one under Settings, Developer, API Keys",
    ),
    402: _PLAN,
    403: _PLAN,
}


class MaxSkip(Exception):
    """A list goes on beyond the largest `_skip` that Close takes."""


class Page(msgspec.Struct):
    """One page of a list. Records stay bytes until they become Arrow."""

    data: list[msgspec.Raw] = []
    has_more: bool | None = None
    cursor_next: str | None = None
    cursor: str | None = None


_PAGE = msgspec.json.Decoder(Page)


class CloseApi:
    """The requests of one connection, with its key."""

    def __init__(self, api_key: str, base_url: str, *, user_agent: str, home: Path | None) -> None:
        basic = base64.b64encode(f"{api_key}:".encode()).decode()
        self._api = Api(
            base_url.rstrip("/"),
            authorize=lambda _: {"Authorization": f"Basic {basic}"},
            quota=None if home is None else Quota(home, "close", api_key, RATE),
            meanings=MEANINGS,
            asked_to_wait=_reset_in_body,
            user_agent=user_agent,
        )

    def page(self, path: str, params: Params | None = None, body: Mapping[str, Any] | None = None) -> Page:
        """Return one page; `body` makes it a search. Raises MaxSkip where the list goes on beyond what can be read."""
        pages: list[Page] = []

        def read(answer: Answer) -> None:
            if answer.status == 200:
                pages.append(_PAGE.decode(answer.body))

        method = "GET" if body is None else "POST"
        answer = self._api.request(method, path, params, body=body, accept=frozenset({400}), read=read)
        if answer.status == 400:
            if b"max_skip = " in answer.body:
                raise MaxSkip(answer.detail())
            meaning = MEANINGS[400]
            text = meaning.message.format(detail=answer.detail(), place=answer.place)
            raise meaning.error(text, hint=meaning.hint)
        return pages[-1]

    def newest_events(self) -> Page | None:
        """Return the newest page of the event log, or None where the organisation's plan has none."""
        try:
            return self.page("/event/")
        except SourceDataError:
            return None

    def now(self) -> datetime:
        """Return the time by Close's clock, as its last answer told it."""
        return datetime.now(UTC) + timedelta(seconds=self._api.ahead)

    def close(self) -> None:
        self._api.close()


def _reset_in_body(answer: Answer) -> float | None:
    """Return `rate_reset` in seconds, as older answers say it, at the top or within `error`."""
    try:
        body = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return None
    for place in (body, body.get("error") if isinstance(body, dict) else None):
        reset = place.get("rate_reset") if isinstance(place, dict) else None
        if isinstance(reset, int | float) and reset >= 0:
            return float(reset)
    return None


class Stamp(msgspec.Struct, frozen=True):
    """What tells a record from others, and from its own other states."""

    id: str
    date_updated: str | None = None
    date_created: str | None = None


stamp_of = msgspec.json.Decoder(Stamp).decode


def walk(ask: Callable[[int], Page]) -> Iterator[list[tuple[Stamp, msgspec.Raw]]]:
    """Yield the records of a list page by page, each state of a record once, however the list moves meanwhile.

    `ask` returns the page from a place on. When records before it are deleted, or move to the end because they are
    updated, all others move up, and the next page would begin too late. So pages overlap by a record, and where what
    comes is unknown altogether, reading goes back until it meets what it knows.
    """
    seen: set[Stamp] = set()
    skip, back = 0, 1
    while True:
        page = ask(skip)
        records = [(stamp_of(raw), raw) for raw in page.data]
        fresh = [one for one in records if one[0] not in seen]
        if skip and len(fresh) == len(records):
            skip, back = max(skip - back, 0), back * 2
            continue
        back = 1
        seen.update(stamp for stamp, _ in fresh)
        if fresh:
            yield fresh
        if not page.has_more or not records:
            return
        skip += max(len(records) - 1, 1)
