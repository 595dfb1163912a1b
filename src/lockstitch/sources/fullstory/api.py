"""FullStory's three APIs: how each is authorised, paced and asked again (`spec/source-fullstory.md`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from lockstitch.core.errors import SourceDataError, TransientError
from lockstitch.sources.fullstory import errors
from lockstitch.sources.fullstory.spec import Properties
from lockstitch.toolkit.http.client import Answer, Api, Patience
from lockstitch.toolkit.http.download import download
from lockstitch.toolkit.http.quota import Quota, Rate
from lockstitch.toolkit.meanings import Meaning

#: Most bundles of one list.
PAGE = 20
#: Most records of one list of the server API.
LIMIT = 100

#: FullStory lets an account download two bundles a minute. A second more, as it counts when a request arrives.
DOWNLOADS = Rate(2, 61.0)

_EXPORT_PATIENCE = Patience(tries=8, first=1.0, most=120.0, unsaid=30.0)
_POLLING_PATIENCE = Patience(tries=8, first=1.0, most=120.0, unsaid=10.0)
_SERVER_PATIENCE = Patience(tries=5, statuses=Patience().statuses | {422, 501})

_POLL_SECONDS = 5.0
#: An operation that has no end by then never has one.
_MOST_POLLS = 4 * 3600 // 5
#: How often an export that ended as FAILED is asked for anew, and a signed address that does not open.
_TRIES = 3
_NO_FILE = frozenset({400, 403, 404, 410})
_GONE = frozenset({404, 410})


class Bundle(msgspec.Struct, frozen=True, rename="pascal"):
    """The events from `start` to before `stop`, in Unix seconds."""

    id: int
    start: int
    stop: int


class _Bundles(msgspec.Struct):
    exports: list[Bundle]


class _Ordered(msgspec.Struct, rename="camel"):
    operation_id: str


class _Results(msgspec.Struct, rename="camel"):
    search_export_id: str


class _Operation(msgspec.Struct, rename="camel"):
    state: str
    error_details: Any = None
    results: _Results | None = None


class _Location(msgspec.Struct):
    location: str


class _Page(msgspec.Struct, rename={"next_pagination_token": "nextPaginationToken"}):
    results: list[msgspec.Raw] | None = None
    segments: list[msgspec.Raw] | None = None
    versions: list[msgspec.Raw] | None = None
    next_pagination_token: str | None = None


@dataclass(slots=True)
class Apis:
    """All there is to ask. `sleep` is where waiting is done."""

    export: Api
    bundles: Api
    segments: Api
    server: Api
    sleep: Callable[[float], None]

    @classmethod
    def of(cls, properties: Properties, home: Path, sleep: Callable[[float], None]) -> Apis:
        """Make the clients; nothing is asked yet. `home` is where downloads of one account are paced together."""
        key = properties.api_key

        def api(
            base_url: str,
            scheme: str,
            patience: Patience,
            meanings: Mapping[int, Meaning],
            quota: Quota | None = None,
        ) -> Api:
            return Api(
                base_url.rstrip("/"),
                authorize=lambda _: {"Authorization": f"{scheme} {key}"},
                quota=quota,
                patience=patience,
                meanings=meanings,
                timeout=properties.request_timeout,
                user_agent=properties.user_agent,
                sleep=sleep,
            )

        quota = Quota(home, "fullstory downloads", key, DOWNLOADS, sleep=sleep)
        return cls(
            export=api(properties.export_base_url, "Basic", _EXPORT_PATIENCE, errors.EXPORT),
            bundles=api(properties.export_base_url, "Basic", _EXPORT_PATIENCE, errors.EXPORT, quota),
            segments=api(properties.base_url, "Basic", _POLLING_PATIENCE, errors.SEGMENT_EXPORT),
            server=api(properties.base_url, "Bearer", _SERVER_PATIENCE, errors.SERVER),
            sleep=sleep,
        )

    def close(self) -> None:
        for api in (self.export, self.bundles, self.segments, self.server):
            api.close()

    # --- Data Export --------------------------------------------------------------------------------------------------

    def list_bundles(self, start: int) -> list[Bundle]:
        """Return the first bundles that end after `start`, by their ends; at most PAGE."""
        found = self.export.json("/api/v1/export/list", _Bundles, {"start": start}).exports
        return sorted(found, key=lambda bundle: (bundle.stop, bundle.start, bundle.id))

    def fetch_bundle(self, bundle: Bundle, target: Path) -> bool:
        """Write a bundle to a file; False where FullStory does not have it any more."""
        return download(self.bundles, "/api/v1/export/get", target, {"id": bundle.id}, accept=_GONE) is None

    # --- Segment Export -----------------------------------------------------------------------------------------------

    def ordered_export(self, order: Mapping[str, Any]) -> Callable[[Path], bool]:
        """Have an export made and wait for it; return what writes it to a file, as often as is wanted."""
        operation = self._operated(order)
        for _ in range(_TRIES - 1):
            if operation.results is None:
                self.sleep(_POLLING_PATIENCE.unsaid)
                operation = self._operated(order)
        if operation.results is None:
            raise SourceDataError(
                f"FullStory's export of {order['timeRange']} failed {_TRIES} times: {operation.error_details}",
                hint="run again later, or take smaller slices (slice_minutes)",
            )
        return partial(self._fetch_export, operation.results.search_export_id)

    def _operated(self, order: Mapping[str, Any]) -> _Operation:
        """Return the operation once it is completed, or without results where it has failed."""
        ordered = self.segments.json("/segments/v1/exports", _Ordered, method="POST", body=order)
        for _ in range(_MOST_POLLS):
            operation = self.segments.json(f"/operations/v1/{ordered.operation_id}", _Operation)
            if operation.state == "FAILED":
                return _Operation("FAILED", operation.error_details)
            if operation.state == "COMPLETED" and operation.results is not None:
                return operation
            self.sleep(_POLL_SECONDS)
        raise TransientError(f"FullStory's operation {ordered.operation_id} has not ended within four hours")

    def _fetch_export(self, export_id: str, target: Path) -> bool:
        """Write the export to a file; its address holds for a while only, and is asked for anew where it has ended."""
        for _ in range(_TRIES):
            location = self.segments.json(f"/search/v1/exports/{export_id}/results", _Location).location
            refused = download(self.segments, location, target, accept=_NO_FILE)
            if refused is None:
                return True
        raise TransientError(f"FullStory's export {export_id} cannot be fetched from any address that it gives")

    # --- the server API -----------------------------------------------------------------------------------------------

    def page(self, path: str, records: str, token: str | None, **more: str) -> tuple[list[msgspec.Raw], str | None]:
        """Return a page of a list, and the token that it tells; a list without records may be left out."""
        asked: dict[str, str | int] = {"limit": LIMIT, **more} | ({} if token is None else {"paginationToken": token})
        found = self.server.json(path, _Page, asked)
        listed: list[msgspec.Raw] | None = getattr(found, records)
        return listed or [], found.next_pagination_token

    def object(self, path: str, *, accept: frozenset[int] = frozenset(), **asked: str) -> msgspec.Raw | None:
        """Return the answer as the text of one object, or None where its status is in `accept`."""
        found: list[msgspec.Raw] = []

        def read(answer: Answer) -> None:
            if answer.status < 300:
                msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw])
                found[:] = [msgspec.Raw(answer.body)]

        self.server.request("GET", path, asked, accept=accept, read=read)
        return found[0] if found else None
