"""Close's API: its pages, its limits and its answers (`spec/source-closeio.md` section 2)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from lockstitch.core.errors import AccessError, SourceDataError
from lockstitch.toolkit.http.client import Answer, Api, Params, Patience
from lockstitch.toolkit.http.quota import Quota, Rate
from lockstitch.toolkit.meanings import Meaning

#: Requests that one key may send: 20 in any second. Close counts by group of endpoints, which is never less.
RATE = Rate(15, 1.0, burst=5)
PATIENCE = Patience()


class NotTaken(SourceDataError):
    """Close does not take a request: 400."""


_HINT = "this is no request that Close takes today"
_NOT_TAKEN = Meaning(NotTaken, "400 Response: {detail} ({place})", _HINT)
_NOT_TAKEN_WITHOUT_A_WORD = Meaning(NotTaken, "400 Response. Unable to determine cause. ({place})", _HINT)

_PLAN = Meaning(
    AccessError,
    "{place} is not open to this key ({status}): {detail}",
    "Close's plan, or the role of the key's user, does not include it: have that changed, or deselect the stream",
)
MEANINGS: Mapping[int, Meaning] = {
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
    """One page of a list. Records stay bytes until they become Arrow. An answer without `data` is none."""

    data: list[msgspec.Raw]
    has_more: bool | None = None
    cursor_next: str | None = None
    cursor: str | None = None


_PAGE = msgspec.json.Decoder(Page)


class CloseApi:
    """The requests of one connection, with its key."""

    def __init__(self, api_key: str, base_url: str, *, user_agent: str, home: Path) -> None:
        basic = base64.b64encode(f"{api_key}:".encode()).decode()
        self._api = Api(
            base_url.rstrip("/"),
            authorize=lambda _: {"Authorization": f"Basic {basic}"},
            quota=Quota(home, "close", api_key, RATE),
            patience=PATIENCE,
            meanings=MEANINGS,
            asked_to_wait=_reset_in_body,
            user_agent=user_agent,
        )

    def page(self, path: str, params: Params | None = None, body: Mapping[str, Any] | None = None) -> Page:
        """Return one page; `body` makes it a search.

        Raises MaxSkip where the list goes on beyond what can be read, and NotTaken.
        """
        answer, page = self._asked("GET" if body is None else "POST", path, params, body)
        if page is not None:
            return page
        if b"max_skip = " in answer.body:
            raise MaxSkip(answer.detail())
        says_why = answer.body.strip() not in (b"", b"{}")
        raise answer.meant(_NOT_TAKEN if says_why else _NOT_TAKEN_WITHOUT_A_WORD)

    def newest_events(self) -> Page | None:
        """Return the newest page of the event log, or None where the organisation's plan has none (400)."""
        return self._asked("GET", "/event/")[1]

    def _asked(
        self, method: str, path: str, params: Params | None = None, body: Mapping[str, Any] | None = None
    ) -> tuple[Answer, Page | None]:
        """Return the answer with its page; None for the page where Close answers 400."""
        pages: list[Page] = []

        def read(answer: Answer) -> None:
            if answer.status != 400:
                pages.append(_PAGE.decode(answer.body))

        answer = self._api.request(method, path, params, body=body, accept=frozenset({400}), read=read)
        return answer, pages[-1] if pages else None

    def now(self) -> datetime:
        """Return the time by Close's clock, as its last answer told it: never later than it is."""
        return self._api.told or datetime.now(UTC)

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
    """What tells a record from others, and from its own other states, and whose it is."""

    id: str
    date_updated: str | None = None
    date_created: str | None = None
    organization_id: str | None = None


class _Id(msgspec.Struct):
    id: str


_STAMP = msgspec.json.Decoder(Stamp)
_ID = msgspec.json.Decoder(_Id)


def stamp_of(record: msgspec.Raw) -> Stamp:
    """Return a record's stamp; dates that are no text count as none. Raises SourceDataError without an id."""
    try:
        return _STAMP.decode(record)
    except msgspec.ValidationError:
        pass
    try:
        return Stamp(_ID.decode(record).id)
    except msgspec.ValidationError as error:
        raise SourceDataError(
            f"Close sends a record that has no id ({error}); it begins with {bytes(record)[:200]!r}",
            hint="look at what the API answers; nothing of this page was loaded",
        ) from error


Stamped = tuple[Stamp, msgspec.Raw]
