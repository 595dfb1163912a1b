"""Events by Segment Export, against the fake: the same table as by Data Export, and what is done where one fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from lockstitch.core.errors import AccessError, SettingsError, SourceDataError
from lockstitch.core.model import Checkpoint
from lockstitch.sources.fullstory.slices import slices
from lockstitch.testing.vendors.faults import Failure, Meanwhile
from lockstitch.testing.vendors.fullstory import FullStoryServer
from lockstitch.testing.vendors.messages import Request
from sources.fullstory.account import KEY, Account, counted, cursors, rows, truth

#: Five half days and more, which begin where the account's bundles do.
SLICED: dict[str, Any] = {"events_api": "segment_export", "start_date": "2026-06-09T12:00:00Z", "slice_minutes": 720}


def sliced(**values: Any) -> dict[str, Any]:
    return {**SLICED, **values}


@pytest.mark.parametrize("extra", [False, True])
def test_the_table_is_that_of_data_export(small: Account, extra: bool) -> None:
    found = rows(small.read("events", extra_fields=extra, **SLICED))
    bundled = rows(small.read("events", extra_fields=extra))
    assert len(found) == 30
    assert counted(found) == counted(bundled)
    assert counted(found) == counted(
        [
            {name: value for name, value in row.items() if name != "CustomVars" or value}
            for row in truth(small.server, "events", extra=extra)
        ]
    )


def test_an_export_is_polled_every_five_seconds_until_it_is_there(small: Account) -> None:
    small.server.exports.polls = 3
    messages = small.read("events", **sliced(start_date="2026-06-14T00:00:00Z"))
    assert cursors(messages) == [{"stop": "2026-06-14T12:00:00.000000Z", "sliced": True}]
    assert small.pauses == [5.0] * 3
    assert [small.server.count(path) for path in ("/segments/v1/exports", "/operations/", "/search/", "/signed/")] == [
        1,
        4,
        1,
        1,
    ]


def test_nothing_is_asked_before_a_slice_is_settled(small: Account) -> None:
    last = cursors(small.read("events", **SLICED))[-1]
    small.server.requests.clear()
    small.server.clock.advance(timedelta(hours=11, minutes=59))
    assert small.read("events", last, **SLICED) == [Checkpoint(last)]
    assert small.server.requests == []
    small.server.clock.advance(timedelta(minutes=1))
    assert cursors(small.read("events", last, **SLICED)) == [{"stop": "2026-06-15T00:00:00.000000Z", "sliced": True}]


def test_one_that_failed_is_ordered_anew(small: Account) -> None:
    small.server.exports.failing = 2
    assert counted(rows(small.read("events", **SLICED))) == counted(truth(small.server, "events"))
    small.server.exports.failing = 3
    with pytest.raises(SourceDataError, match="the search ran out of time") as told:
        small.read("events", **SLICED)
    assert told.value.hint


def test_an_address_that_has_expired_is_asked_for_anew(small: Account) -> None:
    server = small.server
    expired: list[str] = []

    def expire(request: Request) -> None:
        if "/search/" in request.path and len(expired) < 2:
            expired.append(request.path)
            server.exports.expire_urls()

    server.faults.add(Meanwhile(call=expire))
    assert counted(rows(small.read("events", **SLICED))) == counted(truth(server, "events"))
    assert len(expired) == 2
    assert server.count("/signed/") == 10 + 2


@pytest.mark.parametrize("status", [403, 404, 410])
def test_auto_takes_segment_export_where_there_is_no_data_export(small: Account, status: int) -> None:
    small.server.faults.add(Failure(status=status, times=None, on="/api/v1/export/"))
    found = small.read("events", **sliced(events_api="auto"))
    assert counted(rows(found)) == counted(truth(small.server, "events"))
    small.source(events_api="auto").check()
    with pytest.raises(AccessError, match="refuses the Data Export"):
        small.read("events", events_api="data_export")
    with pytest.raises(AccessError, match="refuses the Data Export"):
        small.source(events_api="data_export").check()


def test_auto_stays_with_what_it_has_begun_with(small: Account) -> None:
    last = cursors(small.read("events", **SLICED))[-1]
    small.server.requests.clear()
    small.server.clock.advance(timedelta(hours=12))
    small.read("events", last, **sliced(events_api="auto"))
    assert small.server.count("/api/v1/export/") == 0


def test_who_changes_gets_each_event_once(small: Account) -> None:
    bundled = small.read("events", events_api="data_export")
    small.server.clock.advance(timedelta(days=2))
    later = small.read("events", cursors(bundled)[-1], **SLICED)
    # After whole bundles comes the next slice, and after slices up to a bundle's end the next bundle.
    assert counted([*rows(bundled), *rows(later)]) == counted(
        [row for row in _all_events(small.server) if row["EventStart"] < small.server.clock.now() - timedelta(days=1)]
    )
    small.server.clock.advance(timedelta(days=1))
    again = small.read("events", cursors(later)[-1], events_api="data_export")
    assert len(cursors(again)) == 1


def _all_events(server: FullStoryServer) -> list[dict[str, Any]]:
    now = server.clock.now()
    server.clock.set(now + timedelta(days=30))
    try:
        return truth(server, "events")
    finally:
        server.clock.set(now)


def test_a_bundle_that_begins_within_a_slice_is_not_read(small: Account) -> None:
    """It has events that were delivered with the slice, and some that were not."""
    stands = cursors(small.read("events", **sliced(start_date="2026-06-13T12:00:00Z")))[0]
    with pytest.raises(SettingsError, match="within bundle") as told:
        small.read("events", stands, events_api="data_export")
    assert told.value.hint


def test_a_bundle_that_is_delivered_in_part_is_not_sliced(small: Account) -> None:
    within: Any = {"stop": "2026-06-13T12:00:00.000000Z", "within": {"id": 1, "done": 2, "digest": "0"}}
    with pytest.raises(SettingsError, match="within bundle 1") as told:
        small.read("events", within, **SLICED)
    assert told.value.hint


@pytest.mark.parametrize(("fault", "words"), [(Failure(status=403, times=None), "admin"), (None, "segment_id")])
def test_a_refusal_says_what_mends_it_and_not_the_key(small: Account, fault: Failure | None, words: str) -> None:
    if fault is not None:
        small.server.faults.add(fault)
    with pytest.raises((AccessError, SettingsError)) as told:
        small.read("events", **SLICED, segment_id="nobody")
    assert words in str(told.value)
    assert KEY not in str(told.value)


def test_the_order_says_all_that_matters(small: Account) -> None:
    small.read("events", **sliced(start_date="2026-06-14T00:00:00Z"), extra_fields=True)
    (order,) = [one.request.json() for one in small.server.requests if one.request.method == "POST"]
    assert order["timeRange"] == {"start": "2026-06-14T00:00:00.000000Z", "end": "2026-06-14T12:00:00.000000Z"}
    assert order["segmentTimeRange"] == {"start": "", "end": ""}
    assert {"PageUserAgent", "EventTargetSelectorTok", "EventCustomName", "user_*", "evt_*", "page_*"} <= set(
        order["fields"]
    )
    assert "PageAgent" not in order["fields"]


@pytest.mark.parametrize("events_api", ["data_export", "segment_export"])
@pytest.mark.parametrize("start", ["2027-01-01", "9999-12-31"])
def test_a_start_that_is_to_come_is_told_and_can_be_corrected(
    small: Account, caplog: pytest.LogCaptureFixture, events_api: str, start: str
) -> None:
    early = small.read("events", **sliced(events_api=events_api, start_date=start))
    assert early == [Checkpoint(None)]
    assert caplog.messages == [f"events: nothing comes before start_date, {start}T00:00:00.000000Z, which is to come"]
    assert counted(rows(small.read("events", **sliced(events_api=events_api)))) == counted(
        truth(small.server, "events")
    )


def test_slices_end_at_multiples_of_their_size() -> None:
    start, hour = datetime(2026, 6, 9, 11, 40, tzinfo=UTC), timedelta(hours=1)
    found = list(slices(start, datetime(2026, 6, 9, 14, tzinfo=UTC), hour))
    assert [end.hour for _, end in found] == [12, 13, 14]
    assert found[0][0] == start
    assert all(one[1] == other[0] for one, other in pairwise(found))
    assert list(slices(start, start + timedelta(minutes=19), hour)) == []
