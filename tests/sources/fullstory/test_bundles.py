"""Events by Data Export, against the fake: all rows once, at what cost, and what a bundle may be like."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lockstitch.core.errors import AccessError, SourceDataError, TransientError
from lockstitch.core.model import Batch, Checkpoint, Json, Message, Remaining
from lockstitch.sources.fullstory import api, bundles
from lockstitch.sources.fullstory.shapes import EVENT_FIELDS
from lockstitch.testing.vendors.faults import Burst429, CutGzip, Failure
from lockstitch.testing.vendors.fullstory import FullStoryServer
from lockstitch.testing.vendors.fullstory_data import FullStoryData
from lockstitch.testing.vendors.messages import Clock, Reply, Request, json_reply
from lockstitch.toolkit.http.quota import Rate
from sources.fullstory.account import KEY, Account, cursors, rows, shape, truth

GET = "/export/get"
LIST = "/export/list"


def stop(cursor: Json) -> str:
    assert isinstance(cursor, dict)
    return str(cursor["stop"])


# --- the acceptance fixtures of the specification ---------------------------------------------------------------------


def test_all_bundles_are_read_in_order(account: Account, fullstory: FullStoryServer) -> None:
    """Three pages of 20, 20 and 5; gzip, plain and encoded bodies; an empty bundle; one that is still settling."""
    messages = account.read("events")
    assert rows(messages) == truth(fullstory, "events")
    assert len(cursors(messages)) == 45
    assert cursors(messages)[-1] == {"stop": "2026-06-14T12:00:00.000000Z"}
    assert (fullstory.count(LIST), fullstory.count(GET)) == (3, 45)
    stops = list(map(stop, cursors(messages)))
    assert stops == sorted(set(stops))


def test_a_second_run_is_one_list_and_no_download(account: Account, fullstory: FullStoryServer) -> None:
    last = cursors(account.read("events"))[-1]
    fullstory.requests.clear()
    assert account.read("events", last) == [Checkpoint(last)]
    assert [one.request.path for one in fullstory.requests] == ["/api/v1/export/list"]


def test_a_bundle_comes_when_fullstory_gives_it_out(account: Account, fullstory: FullStoryServer) -> None:
    first = account.read("events")
    last = cursors(first)[-1]
    fullstory.clock.advance(timedelta(hours=23, minutes=59))
    assert shape(account.read("events", last)) == "C"
    fullstory.clock.advance(timedelta(minutes=1))
    later = account.read("events", last)
    assert cursors(later) == [{"stop": "2026-06-15T12:00:00.000000Z"}]
    assert [*rows(first), *rows(later)] == truth(fullstory, "events")


def test_downloads_are_30_seconds_apart(account: Account) -> None:
    account.read("events")
    # Nobody slept, so that each place in the row was further away than the one before.
    assert account.pauses == pytest.approx([30.5 * place for place in range(1, 45)], abs=20)


def test_connections_with_one_key_take_turns(small: Account) -> None:
    small.read("events")
    small.pauses.clear()
    small.read("events")
    assert small.pauses == pytest.approx([30.5 * place for place in range(5, 10)], abs=20)


def test_a_429_is_waited_for_as_long_as_it_says(account: Account, fullstory: FullStoryServer) -> None:
    fullstory.faults.add(Burst429(times=1, retry_after=77, on=GET, after=3), CutGzip(on=GET, after=6))
    assert rows(account.read("events")) == truth(fullstory, "events")
    assert fullstory.faults.met == 2
    assert 77.0 in account.pauses
    assert fullstory.count(GET) == 45 + 2


def test_the_limit_of_two_a_minute_is_kept(small: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """In real time, with a minute that has 0.6 seconds."""
    monkeypatch.setattr(api, "DOWNLOADS", Rate(2, 0.8))
    small.server.downloads, small.server.download_window = 2, 0.6
    small.sleep = time.sleep
    assert rows(small.read("events")) == truth(small.server, "events")
    assert [each.status for each in small.server.requests if GET in each.request.path] == [200] * 5


# --- rows -------------------------------------------------------------------------------------------------------------


def test_there_are_24_columns_and_the_others_are_told_once(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    batches = [one for one in account.read("events") if isinstance(one, Batch)]
    assert {name for batch in batches for name in batch.rows.schema.names} == set(EVENT_FIELDS)
    (told,) = [one.getMessage() for one in caplog.records if "left out" in one.getMessage()]
    assert "EventCustomName" in told
    assert "user_plan_str" in told


def test_extra_fields_are_columns_and_one_object(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    found = rows(account.read("events", extra_fields=True))
    assert found == [
        {name: value for name, value in row.items() if name != "CustomVars" or value}
        for row in truth(account.server, "events", extra=True)
    ]
    assert {"user_plan_str": "pro", "evt_price_real": 19.99, "page_x_bool": True, "user_tags_strs": ["a", ""]} in [
        row.get("CustomVars") for row in found
    ]
    assert not [one for one in caplog.records if "left out" in one.getMessage()]


def test_only_wanted_columns_come(account: Account) -> None:
    found = rows(account.read("events", fields=frozenset({"EventStart", "IndvId"})))
    wanted = ("EventStart", "IndvId")
    assert found == [{name: row[name] for name in wanted if name in row} for row in truth(account.server, "events")]


def test_what_is_left_is_told(small: Account) -> None:
    told = [one.remaining for one in small.read("events") if isinstance(one, Checkpoint)]
    assert told == [Remaining(files, 0) for files in (4, 3, 2, 1, 0)]


def test_the_first_bundle_is_the_one_that_ends_after_the_start_date(account: Account) -> None:
    messages = account.read("events", start_date="2026-06-12T00:00:00Z")
    assert list(map(stop, cursors(messages))) == [f"2026-06-{day}T12:00:00.000000Z" for day in (12, 13, 14)]
    assert account.server.requests[0].request.get("start") == str(int(datetime(2026, 6, 12, tzinfo=UTC).timestamp()))


def test_with_no_bundle_the_start_date_may_still_be_changed(account: Account) -> None:
    assert account.read("events", start_date="2027-01-01") == [Checkpoint(None)]


# --- bundles that are not as they should be ---------------------------------------------------------------------------


def test_a_list_that_leads_no_further_is_told(account: Account, fullstory: FullStoryServer) -> None:
    page = json_reply({"exports": [{"Id": number, "Start": 0, "Stop": 1} for number in range(20)]})

    class Stuck(type(fullstory)):
        def answer(self, request: Request) -> Reply:
            return page if LIST in request.path else super().answer(request)

    fullstory.__class__ = Stuck
    with pytest.raises(SourceDataError, match="leads no further") as told:
        account.read("events")
    assert told.value.hint
    assert (fullstory.count(LIST), fullstory.count(GET)) == (1, 0)


def test_a_bundle_that_is_gone_is_left_out_with_a_warning(
    account: Account, fullstory: FullStoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    gone = fullstory.data.bundles(fullstory.clock.now())[24]
    fullstory.gone.add(gone.id)
    found = rows(account.read("events"))
    assert found == [row for row in truth(fullstory, "events") if not gone.start <= row["EventStart"] < gone.stop]
    assert [str(gone.id) in one.getMessage() for one in caplog.records if "cannot be had" in one.getMessage()] == [
        True
    ] * 2
    assert (fullstory.count(LIST), fullstory.count(GET)) == (4, 44 + 2)


def test_a_last_bundle_that_is_gone_is_tried_again_by_the_next_run(small: Account) -> None:
    last = small.server.data.bundles(small.server.clock.now())[-1]
    small.server.gone.add(last.id)
    first = small.read("events")
    small.server.gone.clear()
    second = small.read("events", cursors(first)[-1])
    assert [*rows(first), *rows(second)] == truth(small.server, "events")


def test_a_bundle_that_comes_back_is_read(small: Account) -> None:
    small.server.faults.add(Failure(status=404, on=GET, after=2))
    assert rows(small.read("events")) == truth(small.server, "events")


# --- bundles that a test writes ---------------------------------------------------------------------------------------

DAY = 86400
BEGIN = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())


class Scripted(FullStoryServer):
    """FullStory that gives the bodies of each bundle one after the other, and the last one again and again."""

    def __init__(self, files: dict[int, list[bytes]], *, stops: dict[int, int] | None = None) -> None:
        super().__init__(FullStoryData(Clock(datetime(2026, 6, 15, tzinfo=UTC)), datetime(2026, 1, 1, tzinfo=UTC)))
        self.files = files
        self.stops = stops or {number: BEGIN + number * DAY for number in files}

    def answer(self, request: Request) -> Reply:
        if LIST in request.path:
            listed = [{"Id": one, "Start": stop - DAY, "Stop": stop} for one, stop in self.stops.items()]
            return json_reply({"exports": [one for one in listed if one["Stop"] > int(request.get("start") or 0)]})
        bodies = self.files[int(request.get("id") or 0)]
        return Reply(200, bodies.pop(0) if len(bodies) > 1 else bodies[0])


def body(*numbers: int) -> bytes:
    return msgspec.json.encode([{"EventStart": "2026-01-01T00:00:00Z", "IndvId": number} for number in numbers])


def ids(messages: Sequence[Message]) -> list[int]:
    return [row["IndvId"] for row in rows(messages)]


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Callable[..., Account]]:
    with ExitStack() as opened:

        def write(files: dict[int, list[bytes]], **more: Any) -> Account:
            account = Account(opened.enter_context(Scripted(files, **more)), tmp_path)
            opened.callback(account.close)
            return account

        yield write


@pytest.mark.parametrize(
    "form",
    [
        body(1, 2),
        gzip.compress(body(1, 2)),
        gzip.compress(gzip.compress(body(1, 2))),
        gzip.compress(body(1, 2)[:20]) + gzip.compress(body(1, 2)[20:]),
        b"\n".join(line.strip(b"[]") for line in (body(1), body(2))),
        b"\xef\xbb\xbf" + body(1, 2),
    ],
    ids=["plain", "gzip", "gzip twice", "two members", "lines", "byte order mark"],
)
def test_the_form_is_told_by_the_first_bytes(written: Callable[..., Account], form: bytes) -> None:
    assert ids(written({1: [form]}).read("events")) == [1, 2]


@pytest.mark.parametrize(
    "broken",
    [body(1, 2)[:-1], body(1, 2)[:-30], gzip.compress(body(1, 2)[:-1]), b"<html>busy</html>", b"", b"null"],
    ids=["no end", "within a record", "gzip of a cut one", "html", "nothing", "null"],
)
def test_a_bundle_that_is_no_list_is_fetched_again(written: Callable[..., Account], broken: bytes) -> None:
    account = written({1: [broken, body(1, 2, 3)]})
    assert ids(account.read("events")) == [1, 2, 3]
    assert account.server.count(GET) == 2
    account = written({1: [broken]})
    with pytest.raises(SourceDataError):
        account.read("events")
    assert account.server.count(GET) == 3


def test_records_before_a_cut_are_not_delivered_twice(
    written: Callable[..., Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockstitch.sources.fullstory.delivery.PIECE_BYTES", 60)
    whole = body(*range(20))
    account = written({1: [whole[:-100], whole]})
    messages = account.read("events")
    assert ids(messages) == list(range(20))
    assert shape(messages).count("B") > 5


def test_a_bundle_that_is_gone_after_a_cut_is_no_reason_to_go_on(
    written: Callable[..., Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of its rows are delivered: to leave it out, or to begin it anew, would lose or double them."""
    monkeypatch.setattr("lockstitch.sources.fullstory.delivery.PIECE_BYTES", 60)
    account = written({1: [body(*range(20))[:-100]], 2: [body(21)]})
    account.server.faults.add(Failure(status=404, on=GET, after=1, times=None))
    with pytest.raises(TransientError, match="cannot be fetched again"):
        account.read("events")


def test_a_large_bundle_has_checkpoints_within(
    written: Callable[..., Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockstitch.sources.fullstory.delivery.PIECE_BYTES", 100)
    monkeypatch.setattr(bundles, "CHECKPOINT_BYTES", 300)
    account = written({1: [body(*range(40))], 2: [body(41)]})
    messages = account.read("events")
    places = [place for place, one in enumerate(messages) if isinstance(one, Checkpoint)]
    assert len(places) > 5
    for place, cursor in zip(places, cursors(messages), strict=True):
        assert [*ids(messages[:place]), *ids(account.read("events", cursor))] == [*range(40), 41]


def test_a_bundle_that_was_written_anew_is_not_gone_on_with(
    written: Callable[..., Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockstitch.sources.fullstory.delivery.PIECE_BYTES", 100)
    monkeypatch.setattr(bundles, "CHECKPOINT_BYTES", 300)
    before = written({1: [body(*range(40))]}).read("events")
    within = cursors(before)[1]
    for other in (body(*range(1, 41)), body(*range(5)), body(*range(4), *range(40))):
        with pytest.raises(SourceDataError, match="no longer what it was") as told:
            written({1: [other]}).read("events", within)
        assert told.value.hint
    longer = written({1: [body(*range(50))]}).read("events", within)
    assert ids(longer)[-1] == 49


def test_a_bundle_that_vanished_when_half_of_it_was_delivered_is_told(
    written: Callable[..., Account], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lockstitch.sources.fullstory.delivery.PIECE_BYTES", 100)
    monkeypatch.setattr(bundles, "CHECKPOINT_BYTES", 300)
    within = cursors(written({1: [body(*range(40))], 2: [body(41)]}).read("events"))[1]
    assert ids(written({2: [body(41)]}).read("events", within)) == [41]
    assert [one for one in caplog.records if "bundle 1 is gone after" in one.getMessage()]


def test_bundles_that_end_together_are_each_read_once(written: Callable[..., Account]) -> None:
    stops = {1: BEGIN + DAY, 2: BEGIN + 2 * DAY, 3: BEGIN + 2 * DAY, 4: BEGIN + 2 * DAY, 5: BEGIN + 3 * DAY}
    account = written({number: [body(number)] for number in stops}, stops=stops)
    messages = account.read("events")
    assert ids(messages) == [1, 2, 3, 4, 5]
    for place, one in enumerate(messages):
        if isinstance(one, Checkpoint):
            assert [*ids(messages[:place]), *ids(account.read("events", one.cursor))] == [1, 2, 3, 4, 5]


def test_the_position_never_goes_back(written: Callable[..., Account]) -> None:
    """A server that forgets where it was asked to begin."""
    account = written({1: [body(1)], 2: [body(2)]})
    ended = cursors(account.read("events"))[-1]

    class Forgetful(Scripted):
        def answer(self, request: Request) -> Reply:
            return super().answer(replace(request, query=(("start", "0"),)) if LIST in request.path else request)

    account.server.__class__ = Forgetful
    assert account.read("events", ended) == [Checkpoint(ended)]


def test_downloads_leave_nothing_behind(small: Account) -> None:
    small.read("events")
    assert [path for path in (small.folder / "spool").rglob("*") if path.suffix == ".json"] == []
    small.close()
    assert list((small.folder / "spool").iterdir()) == []


@pytest.mark.parametrize(("status", "words"), [(401, "API key"), (403, "plan")])
def test_a_refusal_says_what_mends_it_and_not_the_key(small: Account, status: int, words: str) -> None:
    small.server.faults.add(Failure(status=status, times=None))
    with pytest.raises(AccessError) as told:
        small.read("events", events_api="data_export")
    assert words in str(told.value)
    assert KEY not in str(told.value)
