"""A fake of FullStory's three ways out: Data Export, Segment Export, Server API (`spec/source-fullstory.md`)."""

from __future__ import annotations

import gzip
import math
import time
from http import HTTPStatus
from typing import Any, Literal

from lockstitch.testing.vendors.fullstory_data import SETTINGS, Bundle, FullStoryData, as_json
from lockstitch.testing.vendors.fullstory_segments import SIGNED, InvalidExport, SegmentExports
from lockstitch.testing.vendors.messages import Record, Reply, Request, json_reply
from lockstitch.testing.vendors.server import VendorServer

#: How a bundle comes: a gzip file, plain JSON, or JSON that only its transfer has gzipped.
Form = Literal["gzip", "plain", "encoded"]

#: Most bundles of one list.
BUNDLES_LISTED = 20


class FullStoryServer(VendorServer):
    """FullStory's hosts `export` and `api` in one, over one account's data.

    What an account or FullStory itself decides can be set at any time:

    key                    the API key; sent as it is, after `Basic` (the Server API takes `Bearer` too)
    plan                   the add-ons that are paid for; without one its paths answer 403
    forms                  how bundles come, in turn
    downloads              so many downloads of bundles in `download_window` seconds; None: no limit
    gone                   ids of bundles that are listed but cannot be had any more
    exports                the Segment Export, with what can be set there
    """

    def __init__(self, data: FullStoryData, *, key: str = "na1.TESTKEY") -> None:
        super().__init__(data.clock)
        self.data = data
        self.key = key
        self.plan = {"data_export", "segment_export"}
        self.forms: tuple[Form, ...] = ("gzip", "plain", "encoded")
        self.downloads: int | None = 2
        self.download_window = 60.0
        self.gone: set[int] = set()
        self.exports = SegmentExports(data)
        self._downloaded: list[float] = []

    def failure(self, status: int, message: str) -> Reply:
        """Return an error in the form of FullStory's APIs."""
        return json_reply({"code": HTTPStatus(status).phrase.lower().replace(" ", "_"), "message": message}, status)

    def answer(self, request: Request) -> Reply:
        path = request.path
        if path.startswith(SIGNED):
            return self.exports.download(request)
        schemes = (
            ["Basic"]
            if path.startswith(("/api/v1/export/", "/segments/v1/exports", "/search/"))
            else ["Basic", "Bearer"]
        )
        if request.headers.get("authorization") not in [f"{scheme} {self.key}" for scheme in schemes]:
            return self.failure(401, "the API key is not valid")
        if path.startswith("/api/v1/export/"):
            return self._data_export(request)
        if path.startswith(("/segments/v1/exports", "/operations/", "/search/")):
            return self._segment_export(request)
        if request.method != "GET":
            return self.failure(405, "method not allowed")
        return self._server_api(request)

    # --- A: Data Export -----------------------------------------------------------------------------------------------

    def _data_export(self, request: Request) -> Reply:
        """Answer GET with parameters in the query, or POST with them as JSON."""
        if "data_export" not in self.plan:
            return self.failure(403, "Data Export is not part of your plan")
        asked = {"GET": lambda: dict(request.query), "POST": request.json}.get(request.method)
        if asked is None:
            return self.failure(405, "method not allowed")
        name = {"/api/v1/export/list": "start", "/api/v1/export/get": "id"}.get(request.path)
        if name is None:
            return self.failure(404, "not found")
        try:
            number = int(asked()[name])
        except (ValueError, KeyError, TypeError):
            return self.failure(400, f"{name} must be an integer")
        bundles = self.data.bundles(request.at)
        if name == "id":
            return self._bundle(request, bundles, number)
        later = [bundle for bundle in bundles if bundle.stop.timestamp() > number]
        return json_reply({"exports": [_listed(bundle) for bundle in later[:BUNDLES_LISTED]]})

    def _bundle(self, request: Request, bundles: list[Bundle], bundle_id: int) -> Reply:
        wait = self._wait_for_download()
        if wait > 0:
            # Whole seconds as documented, but for windows so short that only tests have them.
            seconds = math.ceil(wait) if self.download_window >= 5 else wait
            return self.limited("seconds", seconds, request.at)
        bundle = next((bundle for bundle in bundles if bundle.id == bundle_id), None)
        if bundle is None or bundle_id in self.gone:
            return self.failure(404, "no such export")
        body = as_json(self.data.between(bundle.start, bundle.stop, request.at))
        form = self.forms[(bundle.start - self.data.begins) // self.data.period % len(self.forms)]
        name = 'attachment; filename="DataExport.json{}"'
        if form == "gzip":
            headers = {"Content-Type": "application/gzip", "Content-Disposition": name.format(".gz")}
            return Reply(200, gzip.compress(body, mtime=0), headers)
        headers = {"Content-Type": "application/json", "Content-Disposition": name.format("")}
        if form == "encoded" and "gzip" in request.headers.get("accept-encoding", ""):
            return Reply(200, gzip.compress(body, mtime=0), {**headers, "Content-Encoding": "gzip"})
        return Reply(200, body, headers)

    def _wait_for_download(self) -> float:
        """Count a download; return the seconds to wait if it is one too many, which is then not counted."""
        if self.downloads is None:
            return 0.0
        now = time.monotonic()
        self._downloaded = [at for at in self._downloaded if at > now - self.download_window]
        if len(self._downloaded) >= self.downloads:
            return self._downloaded[-self.downloads] + self.download_window - now
        self._downloaded.append(now)
        return 0.0

    # --- B: Segment Export --------------------------------------------------------------------------------------------

    def _segment_export(self, request: Request) -> Reply:
        if "segment_export" not in self.plan:
            return self.failure(403, "Segment Export is not part of your plan")
        parts = request.path.strip("/").split("/")
        found: Record | None = None
        match request.method, parts:
            case "POST", ["segments", "v1", "exports"]:
                try:
                    found = self.exports.create(request.json(), request.at)
                except (ValueError, InvalidExport) as error:
                    return self.failure(400, str(error))
            case "GET", ["operations", "v1", operation_id]:
                found = self.exports.look(operation_id, request.at)
            case "GET", ["search", "v1", "exports", export_id, "results"]:
                found = self.exports.locate(export_id, self.url, request.at)
            case _:
                pass
        return json_reply(found) if found is not None else self.failure(404, "not found")

    # --- C: Server API ------------------------------------------------------------------------------------------------

    def _server_api(self, request: Request) -> Reply:
        """Answer a GET. Parameters that FullStory does not document, such as `updated_since`, change nothing."""
        match request.path.strip("/").split("/"):
            case ["v2", "users"]:
                return self._page(request, "results", list(self.data.users.values()), default=10)
            case ["v2", "users", user_id] if user_id in self.data.users:
                return json_reply(self.data.users[user_id])
            case ["segments", "v1"]:
                return self._page(request, "segments", list(self.data.segments.values()), default=10)
            case ["settings", "recording", "v1", setting] if SETTINGS.get(setting):
                return json_reply(self.data.settings[setting][-1])
            case ["settings", "recording", "v1", setting, "history"] if setting in SETTINGS:
                return self._page(request, "versions", self.data.settings[setting], default=100)
            case _:
                return self.failure(404, "not found")

    def _page(self, request: Request, name: str, records: list[Any], *, default: int) -> Reply:
        """Return a page of a list, with the token of the next one if there is one."""
        try:
            limit = int(request.get("limit") or default)
            begin = int((request.get("paginationToken") or "after-0").removeprefix("after-"))
        except ValueError:
            return self.failure(400, "limit or paginationToken is not valid")
        if not 1 <= limit <= 100 or begin > len(records):
            return self.failure(400, "limit or paginationToken is out of range")
        page: Record = {name: records[begin : begin + limit]}
        if begin + limit < len(records):
            page["nextPaginationToken"] = f"after-{begin + limit}"
        return json_reply(page)


def _listed(bundle: Bundle) -> Record:
    return {"Id": bundle.id, "Start": int(bundle.start.timestamp()), "Stop": int(bundle.stop.timestamp())}
