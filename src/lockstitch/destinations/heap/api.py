"""Heap's write API (`spec/source-heap.md` sections 13 and 14): what is sent, how fast, and what an answer means."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from lockstitch.core.errors import AccessError, SettingsError
from lockstitch.destinations.heap.objects import Object
from lockstitch.destinations.heap.pace import Pace
from lockstitch.destinations.heap.sends import Call
from lockstitch.toolkit.http.client import Answer, Api, Patience
from lockstitch.toolkit.http.quota import Quota, Rate
from lockstitch.toolkit.meanings import Meaning

#: Events that Heap takes of one environment: 15,000 a minute. At once go those of one request, the rest evenly. No such
#: limit is known of its other calls.
RATE = Rate(14_000, 60.0, burst=1_000)

#: Most objects of one request.
BULK = 1_000

PATIENCE = Patience(tries=8, unsaid=1.0)


@dataclass(frozen=True, slots=True)
class Door:
    """Where a call goes: `plural` is the name of its list in a bulk request, None where there is none."""

    path: str
    plural: str | None


#: The paths that Heap documents, with an app_id in the body; and those of the variant behind a token.
BY_APP_ID: Mapping[Call, Door] = {
    "identify": Door("/api/v1/identify", None),
    "add_user_properties": Door("/api/add_user_properties", "users"),
    "track": Door("/api/track", "events"),
}
BY_TOKEN: Mapping[Call, Door] = {
    "identify": Door("/identify", None),
    "add_user_properties": Door("/add_user_properties", "users"),
    "track": Door("/track", "events"),
}

#: Statuses that speak of the objects sent: not as Heap takes them, or too large together.
_OF_OBJECTS = frozenset({400, 413, 422})

#: Words of a 400 that speaks of the environment, unless the objects have them too: then it may speak of those.
_OF_APP = ("app_id", "app id", "environment")

_ABSENT = "correct base_url, region or auth: Heap's API at this address has no such call"
_MEANINGS: Mapping[int, Meaning] = {
    401: Meaning(AccessError, "Heap refuses the token: {detail} ({place})", "make a new one and set it"),
    403: Meaning(AccessError, "Heap forbids {place}: {detail}", "give the token or the environment the right to it"),
    404: Meaning(SettingsError, "{base_url} has no {place} (404): {detail}", _ABSENT),
    405: Meaning(SettingsError, "{base_url} takes no {place} (405): {detail}", _ABSENT),
}


@dataclass(frozen=True, slots=True)
class Sent:
    """What one answered request has done: Heap has taken the objects, or `refused` tells why not."""

    objects: Sequence[Object]
    refused: str | None = None


class HeapApi:
    """The calls of one environment. Within one process all loads keep the limits together, and by a quota all runs."""

    def __init__(
        self,
        base_url: str,
        app_id: str | None,
        *,
        authorize: Callable[[bool], Mapping[str, str]] | None = None,
        quota: Quota | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._doors = BY_APP_ID if authorize is None else BY_TOKEN
        self._common = {"app_id": app_id} if app_id is not None else {}
        self._app_id = app_id
        self._pace = pace or Pace()
        self.http = Api(
            base_url.rstrip("/"),
            authorize=authorize or (lambda _: {}),
            can_renew=authorize is not None,
            quota=quota,
            meanings=_MEANINGS,
            patience=PATIENCE,
        )

    def send(self, objects: Sequence[Object]) -> Iterator[Sent]:
        """Send objects of one call, and yield what became of them, request by request.

        What Heap refuses is sent again in halves, until the objects that it does not take are alone. Raises a user
        error where it is the settings that are refused.
        """
        call = objects[0].call
        size = BULK if self._doors[call].plural else 1
        for first in range(0, len(objects), size):
            yield from self._in_halves(call, objects[first : first + size])

    def _in_halves(self, call: Call, objects: Sequence[Object]) -> Iterator[Sent]:
        refused = self._post(call, objects)
        if refused is None or len(objects) == 1:
            yield Sent(objects, refused)
            return
        middle = len(objects) // 2
        yield from self._in_halves(call, objects[:middle])
        yield from self._in_halves(call, objects[middle:])

    def _post(self, call: Call, objects: Sequence[Object]) -> str | None:
        """Send one request; return why it was refused, or None."""
        door = self._doors[call]
        bodies = [dict(one.body) for one in objects]
        body = {**self._common, **({door.plural: bodies} if door.plural else bodies[0])}
        counts = Counter(one.whose for one in objects) if call == "track" else Counter[str]()
        self._pace.wait(counts)
        answer = self.http.request(
            "POST", door.path, body=body, accept=_OF_OBJECTS, read=_refuse_page, counts_as=counts.total()
        )
        self._pace.note(counts)
        if answer.status not in _OF_OBJECTS:
            return None
        if _is_of_app(answer, bodies):
            raise AccessError(
                f"Heap refuses app_id {self._app_id!r}: {answer.detail()} ({answer.place})",
                hint="copy the environment's id out of Heap's settings, and mind the region",
            )
        return f"Heap answers {answer.status}: {answer.detail()}"

    def check(self) -> None:
        """Ask for what authorises requests, and for nothing else: each call of the API would change something."""
        self.http.authorize(False)

    def close(self) -> None:
        self.http.close()


def _is_of_app(answer: Answer, bodies: Sequence[Mapping[str, Any]]) -> bool:
    said, sent = answer.detail().lower(), json.dumps(bodies).lower()
    return any(word in said and word not in sent for word in _OF_APP)


def _refuse_page(answer: Answer) -> None:
    """A page for people, with whatever status, comes from something before Heap."""
    if "html" in answer.headers.get("content-type", ""):
        raise msgspec.DecodeError("it is a page in HTML")
