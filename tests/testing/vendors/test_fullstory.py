"""The fake of FullStory does what FullStory's documentation says, seen through plain requests."""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.testing.vendors.plain_http import Answer, ask

from lockstitch.testing.vendors.faults import ChangedSchema, CutGzip
from lockstitch.testing.vendors.fullstory import FullStoryServer
from lockstitch.testing.vendors.fullstory_account import NOW, make_account
from lockstitch.testing.vendors.fullstory_data import SETTING_STREAMS, parse_time, stamp
from lockstitch.testing.vendors.messages import Record

KEY = "na1.TESTKEY"

COLUMNS = """
    EventStart EventTargetSelectorTok EventTargetText EventType IndvId PageActiveDuration PageAgent PageBrowser
    PageDevice PageDuration PageId PageIp PageLatLong PageNumErrors PageNumInfos PageNumWarnings PageOperatingSystem
    PageRefererUrl PageUrl SessionId UserAppKey UserDisplayName UserEmail UserId
"""


@pytest.fixture
def fullstory() -> Iterator[FullStoryServer]:
    with FullStoryServer(make_account(seed=1), key=KEY) as server:
        server.downloads = None
        yield server


def get(server: FullStoryServer, path: str, scheme: str = "Basic", headers: Any = None, **query: Any) -> Answer:
    return ask(
        "GET", f"{server.url}{path}", query=query, headers={"Authorization": f"{scheme} {KEY}", **(headers or {})}
    )


def post(server: FullStoryServer, path: str, body: Any) -> Answer:
    return ask("POST", f"{server.url}{path}", headers={"Authorization": f"Basic {KEY}"}, body=body)


def listed(server: FullStoryServer, start: float) -> list[Record]:
    return get(server, "/api/v1/export/list", start=int(start)).json()["exports"]


def download(server: FullStoryServer, bundle_id: int) -> list[Record]:
    body = get(server, "/api/v1/export/get", id=bundle_id).body
    return json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)


# --- A: Data Export ---------------------------------------------------------------------------------------------------


def test_the_key_is_sent_as_it_is(fullstory: FullStoryServer) -> None:
    list_url = f"{fullstory.url}/api/v1/export/list?start=0"
    assert ask("GET", list_url, headers={"Authorization": f"Basic {KEY}"}).status == 200
    for header in ({}, {"Authorization": "Basic bmExLlRFU1RLRVk6"}, {"Authorization": f"Bearer {KEY}"}):
        answer = ask("GET", list_url, headers=header)
        assert (answer.status, answer.json()["code"]) == (401, "unauthorized")


def test_bundles_are_listed_20_at_a_time_after_the_last_ones_end(fullstory: FullStoryServer) -> None:
    sizes, start, ids = [], 0, list[int]()
    while True:
        page = listed(fullstory, start)
        sizes.append(len(page))
        ids += [bundle["Id"] for bundle in page]
        if len(page) < 20:
            break
        start = page[-1]["Stop"]
    assert sizes == [20, 20, 5]
    assert len(set(ids)) == 45
    assert all(2**53 < each < 2**63 for each in ids)
    last = listed(fullstory, start)[-1]
    assert last["Stop"] == (NOW - timedelta(hours=24)).timestamp()
    assert listed(fullstory, last["Stop"]) == []
    assert listed(fullstory, last["Stop"] - 1) == [last]


def test_a_bundle_can_be_had_24_hours_after_its_end() -> None:
    # The example of the documentation: events of June 1, 12:00 to 18:00 arrive on June 2 at 18:00.
    data = make_account(seed=2, bundles=3, period=timedelta(hours=6))
    with FullStoryServer(data, key=KEY) as server:
        latest = listed(server, 0)[-1]
        data.clock.set(NOW + timedelta(hours=5, minutes=59))
        assert listed(server, 0)[-1] == latest
        data.clock.set(NOW + timedelta(hours=6))
        (new,) = listed(server, latest["Stop"])
        assert data.clock.now().timestamp() == new["Stop"] + 24 * 3600
        assert new["Stop"] - new["Start"] == 6 * 3600


def test_bundles_hold_each_event_once_in_whatever_form_they_come(fullstory: FullStoryServer) -> None:
    bundles = [*listed(fullstory, 0), *listed(fullstory, listed(fullstory, 0)[-1]["Stop"])]
    rows = [download(fullstory, bundle["Id"]) for bundle in bundles]
    assert [len(each) for each in rows] == [12] * 7 + [0] + [12] * 32
    for bundle, each in zip(bundles, rows, strict=True):
        assert all(bundle["Start"] <= parse_time(row["EventStart"]).timestamp() < bundle["Stop"] for row in each)
    assert [row for each in rows for row in each] == fullstory.data.truth("events")[: 39 * 12]


def test_a_bundle_is_gzip_or_plain_or_gzipped_by_its_transfer(fullstory: FullStoryServer) -> None:
    ids = [bundle["Id"] for bundle in listed(fullstory, 0)[:3]]
    accepting = {"Accept-Encoding": "gzip"}
    gzipped, plain, encoded = (get(fullstory, "/api/v1/export/get", headers=accepting, id=each) for each in ids)
    assert gzipped.headers["Content-Type"] == "application/gzip"
    assert gzipped.headers["Content-Disposition"].endswith('filename="DataExport.json.gz"')
    assert "Content-Encoding" not in gzipped.headers
    assert (plain.headers["Content-Type"], plain.body[:1]) == ("application/json", b"[")
    assert (encoded.headers["Content-Encoding"], encoded.body[:2]) == ("gzip", b"\x1f\x8b")
    assert get(fullstory, "/api/v1/export/get", id=ids[2]).body[:1] == b"["


def test_parameters_can_be_posted_as_json(fullstory: FullStoryServer) -> None:
    assert post(fullstory, "/api/v1/export/list", {"start": 0}).json()["exports"] == listed(fullstory, 0)
    assert post(fullstory, "/api/v1/export/get", {"id": listed(fullstory, 0)[0]["Id"]}).status == 200
    for path in ("/api/v1/export/list", "/api/v1/export/list?start=x"):
        assert get(fullstory, path).status == 400


def test_more_than_two_downloads_in_the_window_are_refused_with_the_seconds_to_wait(fullstory: FullStoryServer) -> None:
    bundle_id = listed(fullstory, 0)[0]["Id"]
    fullstory.downloads = 2
    answers = [get(fullstory, "/api/v1/export/get", id=bundle_id) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert 50 <= int(answers[2].headers["Retry-After"]) <= 60
    fullstory.download_window = 0.05
    time.sleep(0.05)
    assert get(fullstory, "/api/v1/export/get", id=bundle_id).status == 200


def test_bundles_can_be_gone_or_unknown_or_older_than_the_retention(fullstory: FullStoryServer) -> None:
    first, second, *_ = listed(fullstory, 0)
    fullstory.gone = {first["Id"]}
    assert get(fullstory, "/api/v1/export/get", id=first["Id"]).status == 404
    assert get(fullstory, "/api/v1/export/get", id=second["Id"] + 1).status == 404
    fullstory.data.retention = timedelta(days=30)
    oldest = listed(fullstory, 0)[0]
    assert oldest["Start"] >= (NOW - timedelta(days=30)).timestamp()
    assert get(fullstory, "/api/v1/export/get", id=second["Id"]).status == 404


def test_faults_reach_into_gzipped_bundles(fullstory: FullStoryServer) -> None:
    bundle_id = listed(fullstory, 0)[0]["Id"]
    whole = download(fullstory, bundle_id)
    fault = ChangedSchema(change="retyped", field="UserId", times=1)
    fullstory.faults.add(fault, CutGzip(after=1))
    assert download(fullstory, bundle_id) == [fault.changed(row) for row in whole]
    with pytest.raises(EOFError):
        download(fullstory, bundle_id)
    assert download(fullstory, bundle_id) == whole


def test_without_the_add_on_the_exports_are_forbidden(fullstory: FullStoryServer) -> None:
    fullstory.plan = set()
    assert get(fullstory, "/api/v1/export/list", start=0).status == 403
    assert post(fullstory, "/segments/v1/exports", order()).status == 403
    assert get(fullstory, "/v2/users").status == 200


# --- B: Segment Export ------------------------------------------------------------------------------------------------


def order(**changes: Any) -> dict[str, Any]:
    day = {"start": stamp(NOW - timedelta(days=3)), "end": stamp(NOW - timedelta(days=2))}
    everything = {"start": "", "end": ""}
    wanted = {"segmentId": "everyone", "type": "TYPE_EVENT", "format": "FORMAT_JSON", "timeRange": day}
    return {**wanted, "segmentTimeRange": everything, **changes}


def finished(server: FullStoryServer, wanted: dict[str, Any]) -> Record:
    """Ask for an export and poll until it is over."""
    operation = post(server, "/segments/v1/exports", wanted).json()["operationId"]
    for _ in range(20):
        state = get(server, f"/operations/v1/{operation}").json()
        if state["state"] in {"COMPLETED", "FAILED"}:
            return state
    raise AssertionError("no end")


def exported(server: FullStoryServer, wanted: dict[str, Any]) -> bytes:
    export_id = finished(server, wanted)["results"]["searchExportId"]
    location = get(server, f"/search/v1/exports/{export_id}/results").json()["location"]
    return gzip.decompress(ask("GET", location).body)


def test_an_export_is_asked_for_polled_located_and_fetched(fullstory: FullStoryServer) -> None:
    operation = post(fullstory, "/segments/v1/exports", order()).json()["operationId"]
    states = [get(fullstory, f"/operations/v1/{operation}").json() for _ in range(4)]
    assert [state["state"] for state in states] == ["PENDING", "RUNNING", "RUNNING", "COMPLETED"]
    assert {state["type"] for state in states} == {"SEARCH_EXPORT"}
    assert [state["estimatePctComplete"] for state in states] == [25, 50, 75, 100]
    results = f"/search/v1/exports/{states[-1]['results']['searchExportId']}/results"
    location = get(fullstory, results).json()["location"]
    with_our_key = {"Authorization": f"Basic {KEY}"}
    assert ask("GET", location, headers=with_our_key).status == 400
    rows = json.loads(gzip.decompress(ask("GET", location).body))
    wanted = fullstory.data.between(NOW - timedelta(days=3), NOW - timedelta(days=2), NOW)
    assert [row["EventStart"] for row in rows] == [row["EventStart"] for row in wanted]
    assert {"PageAgent" in row for row in rows} == {False}
    assert rows[0]["PageUserAgent"] == wanted[0]["PageAgent"]


def test_the_slices_of_bundles_hold_the_same_events_as_the_bundles(fullstory: FullStoryServer) -> None:
    bundle = listed(fullstory, 0)[3]
    first = download(fullstory, bundle["Id"])
    start = fullstory.data.begins + 3 * fullstory.data.period
    slice_ = {"start": stamp(start), "end": stamp(start + fullstory.data.period)}
    rows = json.loads(exported(fullstory, order(timeRange=slice_)))
    assert [{"PageAgent": row.pop("PageUserAgent"), **row} for row in rows] == first


def test_fields_can_be_chosen_with_wildcards_for_custom_variables(fullstory: FullStoryServer) -> None:
    rows = json.loads(exported(fullstory, order(fields=["EventStart", "IndvId", "PageUserAgent", "user_*"])))
    assert {frozenset(row) for row in rows} == {
        frozenset({"EventStart", "IndvId", "PageUserAgent"}),
        frozenset({"EventStart", "IndvId", "PageUserAgent", "user_plan_str", "user_tags_strs"}),
    }


def test_an_export_comes_in_lines_or_csv_too(fullstory: FullStoryServer) -> None:
    rows = json.loads(exported(fullstory, order()))
    lines = exported(fullstory, order(format="FORMAT_NDJSON"))
    assert [json.loads(line) for line in lines.splitlines()] == rows
    table = list(csv.DictReader(io.StringIO(exported(fullstory, order(format="FORMAT_CSV")).decode(), newline="")))
    assert [row["EventStart"] for row in table] == [row["EventStart"] for row in rows]


def test_without_a_segment_time_range_the_segments_own_cuts_the_data(fullstory: FullStoryServer) -> None:
    everything = {"start": "", "end": ""}
    wanted = order(timeRange=everything)
    assert len(json.loads(exported(fullstory, wanted))) == len(fullstory.data.between(None, None, NOW))
    del wanted["segmentTimeRange"]
    cut = json.loads(exported(fullstory, wanted))
    assert 0 < len(cut) < len(fullstory.data.between(None, None, NOW))
    assert min(parse_time(row["EventStart"]) for row in cut) >= NOW - timedelta(days=30)


def test_late_events_are_not_in_an_export_of_before(fullstory: FullStoryServer) -> None:
    began = NOW - timedelta(hours=1)
    fullstory.data.capture({"EventStart": stamp(began), "EventType": "late"}, late=timedelta(hours=3))
    recent = {"start": stamp(began), "end": stamp(NOW)}
    assert "late" not in exported(fullstory, order(timeRange=recent)).decode()
    fullstory.clock.advance(timedelta(hours=3))
    assert "late" in exported(fullstory, order(timeRange=recent)).decode()


def test_an_operation_can_fail_with_its_reason(fullstory: FullStoryServer) -> None:
    fullstory.exports.failing = 1
    failed = finished(fullstory, order())
    assert (failed["state"], bool(failed["errorDetails"]), "results" in failed) == ("FAILED", True, False)
    assert finished(fullstory, order())["state"] == "COMPLETED"


def test_a_signed_url_expires_and_can_be_asked_for_again(fullstory: FullStoryServer) -> None:
    export_id = finished(fullstory, order())["results"]["searchExportId"]
    results = f"/search/v1/exports/{export_id}/results"
    location = get(fullstory, results).json()["location"]
    fullstory.exports.expire_urls()
    expired = ask("GET", location)
    assert (expired.status, b"ExpiredToken" in expired.body) == (400, True)
    location = get(fullstory, results).json()["location"]
    assert ask("GET", location).status == 200
    fullstory.clock.advance(timedelta(hours=1))
    assert ask("GET", location).status == 400
    assert ask("GET", location.replace("abc", "abd")).status == 403


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        [],
        {},
        order(type="TYPE_PAGE"),
        order(format="json"),
        order(timeRange={"start": "yesterday", "end": ""}),
        order(timeRange={"start": 5, "end": ""}),
        order(timeRange={"start": ""}),
        order(segmentTimeRange="all"),
        order(segmentId="nobody"),
        order(limit=5),
    ],
)
def test_an_order_that_is_not_valid_is_refused(fullstory: FullStoryServer, body: Any) -> None:
    assert post(fullstory, "/segments/v1/exports", body).status == 400


@pytest.mark.parametrize("path", ["/operations/v1/op-9", "/search/v1/exports/export-op-9/results", "/nothing"])
def test_what_does_not_exist_is_not_found(fullstory: FullStoryServer, path: str) -> None:
    assert get(fullstory, path).status == 404


# --- C: Server API ----------------------------------------------------------------------------------------------------


def pages(server: FullStoryServer, path: str, name: str, **query: Any) -> list[Record]:
    found: list[Record] = []
    more = query
    for _ in range(50):
        page = get(server, path, "Bearer", **more).json()
        found += page[name]
        if "nextPaginationToken" not in page:
            return found
        more = {**query, "paginationToken": page["nextPaginationToken"]}
    raise AssertionError("no end")


def test_users_are_listed_ten_at_a_time_unless_a_limit_is_given(fullstory: FullStoryServer) -> None:
    assert pages(fullstory, "/v2/users", "results") == fullstory.data.truth("users")
    assert fullstory.count("/v2/users") == 3
    assert pages(fullstory, "/v2/users", "results", limit=100) == fullstory.data.truth("user")
    assert fullstory.count("/v2/users") == 4
    assert get(fullstory, "/v2/users", limit=101).status == 400
    assert get(fullstory, "/v2/users", paginationToken="x").status == 400


def test_a_user_can_be_had_alone(fullstory: FullStoryServer) -> None:
    user_id, user = next(iter(fullstory.data.users.items()))
    assert get(fullstory, f"/v2/users/{user_id}").json() == user
    assert get(fullstory, "/v2/users/0").status == 404


def test_segments_are_listed_and_built_in_ones_have_no_date(fullstory: FullStoryServer) -> None:
    found = pages(fullstory, "/segments/v1", "segments", limit=1)
    assert found == fullstory.data.truth("segments")
    assert ["created" in one for one in found] == [False, True]


@pytest.mark.parametrize("stream", SETTING_STREAMS)
def test_settings_come_as_they_are_and_with_their_history(fullstory: FullStoryServer, stream: str) -> None:
    setting, history = SETTING_STREAMS[stream]
    path = f"/settings/recording/v1/{setting}"
    found = pages(fullstory, f"{path}/history", "versions", limit=2) if history else [get(fullstory, path).json()]
    assert len(found) == (3 if history else 1)
    key = [{name: one["metadata"][name] for name in ("lastUpdated", "created", "createdBy")} for one in found]
    assert [{**one, **each} for one, each in zip(found, key, strict=True)] == fullstory.data.truth(stream)


@pytest.mark.parametrize("setting", ["geo", "targeting"])
def test_some_settings_have_only_a_history(fullstory: FullStoryServer, setting: str) -> None:
    assert get(fullstory, f"/settings/recording/v1/{setting}").status == 404


# --- generated accounts -----------------------------------------------------------------------------------------------


def test_an_account_has_each_documented_column_and_newer_ones() -> None:
    rows = make_account(seed=3).truth("events")
    found = {name for row in rows for name in row}
    assert sorted(set(COLUMNS.split()) - found) == []
    assert {"EventCustomName", "PageClusterId", "user_plan_str", "evt_price_real", "page_x_bool"} <= found
    assert max(row["IndvId"] for row in rows) == 2**63 - 1


def test_the_truth_of_events_is_that_of_the_bundles_that_can_be_had() -> None:
    data = make_account(seed=3)
    before = data.truth("events")
    assert len(before) == 44 * 12
    data.clock.advance(timedelta(days=1))
    assert data.truth("events")[: len(before)] == before
    assert len(data.truth("events")) == len(before) + 12


def test_a_seed_always_makes_the_same_account() -> None:
    first, again, other = (make_account(seed=seed, bundles=3).truth("events") for seed in (5, 5, 6))
    assert first == again
    assert first != other
