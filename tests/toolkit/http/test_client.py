"""The HTTP client is authorised, patient within its limits, and says what failed without saying a secret."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from lockstitch.core.errors import AccessError, LockstitchError, SettingsError, SourceDataError, TransientError
from lockstitch.testing.vendors.faults import (
    Burst429,
    ClockSkew,
    CutBody,
    CutGzip,
    Failure,
    LateAnswer,
    NoAnswer,
    NotJson,
    SlowBody,
    http_date,
)
from lockstitch.testing.vendors.messages import Reply, Request, json_reply
from lockstitch.toolkit.addresses import CONFINED
from lockstitch.toolkit.http.client import Answer, Api, Patience
from lockstitch.toolkit.http.quota import Quota, Rate
from lockstitch.toolkit.meanings import Meaning
from toolkit.http.server import FINE, Sleeps, Vendor, api_of

SECRET = "wq7-secret-key"


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor() as server:
        yield server


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


def rows(api: Api, **params: Any) -> list[int]:
    return api.json("/rows/", dict[str, list[int]], params)["data"]


def too_many(headers: Mapping[str, str], body: Any = None) -> Reply:
    return json_reply(body or {"error": "too many"}, 429, headers)


# --- what is repeated -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(Patience().statuses))
def test_a_status_that_passes_is_repeated(vendor: Vendor, sleeps: Sleeps, status: int) -> None:
    vendor.ready = [Reply(status), Reply(status)]
    assert rows(api_of(vendor, sleeps)) == FINE["data"]
    assert vendor.statuses() == [status, status, 200]
    assert len(sleeps) == 2


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 410, 415, 422, 501, 301])
def test_a_status_that_stays_is_not_repeated(vendor: Vendor, sleeps: Sleeps, status: int) -> None:
    vendor.ready = [json_reply({"error": "no such thing"}, status)]
    with pytest.raises(LockstitchError, match="no such thing") as raised:
        rows(api_of(vendor, sleeps))
    assert raised.value.hint
    assert vendor.statuses() == [status]
    assert sleeps == []


def test_an_address_that_leads_elsewhere_is_the_users_to_mend(vendor: Vendor, sleeps: Sleeps) -> None:
    vendor.ready = [Reply(308, headers={"Location": "https://elsewhere.example/rows/"})]
    with pytest.raises(SettingsError, match=r"GET /rows/ leads elsewhere \(308\)") as raised:
        rows(api_of(vendor, sleeps))
    assert raised.value.hint == "correct the address of the API"


FAULTS = {
    "reset": NoAnswer(times=2),
    "closed": NoAnswer(end="close", times=2),
    "cut": CutBody(times=2),
    "cut by one byte": CutBody(share=1.0, times=2),
    "chunks without an end": CutBody(how="chunked", times=2),
    "gzip without an end": CutGzip(times=2),
    "a page for people": NotJson(times=2),
    "502 in HTML": Failure(status=502, body="html", times=2),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_comes_broken_is_asked_for_again(vendor: Vendor, sleeps: Sleeps, name: str) -> None:
    vendor.faults.add(FAULTS[name])
    assert rows(api_of(vendor, sleeps)) == FINE["data"]
    assert vendor.faults.met == 2
    assert len(vendor.requests) == 3


def test_json_of_another_form_is_asked_for_again_and_named_in_the_end(vendor: Vendor, sleeps: Sleeps) -> None:
    vendor.ready = [json_reply({"data": "none"}) for _ in range(3)]
    with pytest.raises(TransientError, match=r"GET /rows/ answers with what is not the expected JSON: .*tried 3 times"):
        rows(api_of(vendor, sleeps, patience=Patience(tries=3, first=0.01)))


def test_waits_grow_to_the_most_and_the_last_failure_is_told(vendor: Vendor, sleeps: Sleeps) -> None:
    vendor.faults.add(Failure(status=503, times=None))
    with pytest.raises(TransientError, match=r"GET /rows/ answers 503: .*\(tried 6 times\)"):
        rows(api_of(vendor, sleeps, patience=Patience(first=1.0, most=4.0)))
    assert len(vendor.requests) == 6
    for slept, full in zip(sleeps, [1, 2, 4, 4, 4], strict=True):
        assert full / 2 <= slept <= full


def test_a_late_answer_is_a_failure_after_the_time_limit(vendor: Vendor, sleeps: Sleeps) -> None:
    vendor.faults.add(LateAnswer(seconds=0.5))
    assert rows(api_of(vendor, sleeps, timeout=0.1)) == FINE["data"]
    assert len(sleeps) == 1


def test_an_answer_that_trickles_is_given_up(vendor: Vendor, sleeps: Sleeps) -> None:
    vendor.ready = [json_reply({"data": list(range(200))})]
    vendor.faults.add(SlowBody(piece=10, pause=0.05))
    begun = time.monotonic()
    assert rows(api_of(vendor, sleeps, seconds=0.2)) == FINE["data"]
    assert time.monotonic() - begun < 2
    assert len(sleeps) == 1


def test_an_answer_with_too_many_bytes_is_refused(vendor: Vendor, sleeps: Sleeps) -> None:
    vendor.ready = [json_reply({"data": list(range(100_000))})]
    with pytest.raises(SourceDataError, match="more than 0 MiB"):
        rows(api_of(vendor, sleeps, most_bytes=100_000))
    assert len(vendor.requests) == 1


def test_a_compressed_answer_counts_by_what_it_unpacks_to(vendor: Vendor, sleeps: Sleeps) -> None:
    import gzip

    packed = gzip.compress(b'{"data": [' + b"1, " * 1_000_000 + b"1]}")
    vendor.ready = [Reply(200, packed, {"Content-Encoding": "gzip"})]
    with pytest.raises(SourceDataError, match="more than 1 MiB"):
        rows(api_of(vendor, sleeps, most_bytes=1 << 20))


# --- being asked to wait ----------------------------------------------------------------------------------------------

WAITS: dict[str, tuple[Reply, float]] = {
    "Retry-After": (too_many({"Retry-After": "7"}), 7),
    "a fraction": (too_many({"Retry-After": "0.25"}), 0.25),
    "RateLimit": (too_many({"RateLimit": "limit=100, remaining=0, reset=2.5"}), 2.5),
    "three headers": (too_many({"RateLimit-Remaining": "0", "RateLimit-Reset": "3"}), 3),
    "the older ones": (too_many({"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "1.5"}), 1.5),
    "Retry-After goes first": (too_many({"Retry-After": "1", "RateLimit": "remaining=0, reset=9"}), 1),
    "in the body": (too_many({}, {"wait": 4}), 4),
    "nowhere": (too_many({}), 5),
    "in words": (too_many({"Retry-After": "soon"}), 5),
}


@pytest.mark.parametrize("name", WAITS)
def test_a_429_is_waited_for_as_long_as_it_says(vendor: Vendor, sleeps: Sleeps, name: str) -> None:
    reply, seconds = WAITS[name]

    def in_body(answer: Answer) -> float | None:
        return msgspec.json.decode(answer.body).get("wait")

    vendor.ready = [reply]
    assert rows(api_of(vendor, sleeps, asked_to_wait=in_body)) == FINE["data"]
    assert sleeps == [seconds]


@pytest.mark.parametrize("skew", [timedelta(0), timedelta(hours=3), -timedelta(hours=3)])
def test_a_date_to_wait_for_is_by_the_servers_clock(vendor: Vendor, sleeps: Sleeps, skew: timedelta) -> None:
    vendor.faults.add(ClockSkew(by=skew))
    vendor.faults.add(Burst429(times=1, retry_after=8, form="date"))
    assert rows(api_of(vendor, sleeps)) == FINE["data"]
    assert sleeps == [9.0]


def test_being_asked_to_wait_is_no_failure_and_ends_with_the_budget(vendor: Vendor, sleeps: Sleeps) -> None:
    vendor.faults.add(Burst429(times=None, retry_after=10))
    with pytest.raises(TransientError, match="asks to wait 10 s more") as raised:
        rows(api_of(vendor, sleeps, patience=Patience(tries=2, budget=100)))
    assert sleeps == [10.0] * 10
    assert raised.value.retry_after == 10


def test_a_wait_beyond_the_budget_is_not_begun(vendor: Vendor, sleeps: Sleeps) -> None:
    vendor.faults.add(Burst429(retry_after=3600))
    with pytest.raises(TransientError) as raised:
        rows(api_of(vendor, sleeps))
    assert raised.value.retry_after == 3600
    assert sleeps == []


def test_a_503_that_says_how_long_is_waited_for_that_long(vendor: Vendor, sleeps: Sleeps) -> None:
    vendor.ready = [Reply(503, headers={"Retry-After": "11"})]
    assert rows(api_of(vendor, sleeps)) == FINE["data"]
    assert sleeps == [11.0]


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "0"}, {"X-RateLimit-Remaining": "12", "X-RateLimit-Reset": "3500"}]
)
def test_a_503_that_names_no_time_to_wait_is_repeated_after_growing_waits(
    vendor: Vendor, sleeps: Sleeps, headers: dict[str, str]
) -> None:
    vendor.ready += [Reply(503, headers=headers)] * 3
    assert rows(api_of(vendor, sleeps, patience=Patience(first=8.0))) == FINE["data"]
    for slept, full in zip(sleeps, [8, 16, 32], strict=True):
        assert full / 2 <= slept <= full


def test_waits_that_a_429_does_not_name_grow_to_the_most(vendor: Vendor, sleeps: Sleeps) -> None:
    vendor.ready += [too_many({})] * 5
    assert rows(api_of(vendor, sleeps, patience=Patience(unsaid=1.0, most=5.0))) == FINE["data"]
    for slept, full in zip(sleeps, [1, 2, 4, 5, 5], strict=True):
        assert max(1, full / 2) <= slept <= full


def test_all_who_share_a_limit_wait_once_nothing_is_left(vendor: Vendor, sleeps: Sleeps, tmp_path: Path) -> None:
    vendor.ready = [json_reply(FINE, headers={"RateLimit": "limit=9, remaining=0, reset=30"})]
    ours, others = (Quota(tmp_path, "vendor", SECRET, Rate(1000, 1.0), sleep=sleeps) for _ in range(2))
    api = api_of(vendor, sleeps, quota=ours)
    assert rows(api) == FINE["data"]
    assert 29 < others.take() <= 30
    assert 29 < ours.take() <= 31


def test_nobody_is_blocked_for_longer_than_the_budget(vendor: Vendor, sleeps: Sleeps, tmp_path: Path) -> None:
    vendor.ready = [json_reply(FINE, headers={"RateLimit": "limit=9, remaining=0, reset=3000"})]
    quota = Quota(tmp_path, "vendor", SECRET, Rate(1000, 1.0), sleep=sleeps)
    rows(api_of(vendor, sleeps, quota=quota, patience=Patience(budget=60)))
    assert 59 < quota.take() <= 60


# --- credentials ------------------------------------------------------------------------------------------------------


class Keys:
    """Gives a new key each time it is asked to renew."""

    def __init__(self) -> None:
        self.renewals: list[bool] = []

    def __call__(self, renew: bool) -> Mapping[str, str]:
        self.renewals.append(renew)
        return {"Authorization": f"Bearer {SECRET}-{sum(self.renewals)}"}


def needs(key: str) -> Any:
    def answer(request: Request) -> Reply:
        fine = request.headers.get("authorization") == f"Bearer {key}"
        return json_reply(FINE) if fine else json_reply({"error": "expired"}, 401)

    return answer


def test_a_401_renews_the_credentials_once(vendor: Vendor, sleeps: Sleeps) -> None:
    keys = Keys()
    vendor.ready = [needs(f"{SECRET}-1")] * 2
    assert rows(api_of(vendor, sleeps, authorize=keys, can_renew=True)) == FINE["data"]
    assert keys.renewals == [False, True]


def test_a_failure_after_the_renewal_does_not_renew_again(vendor: Vendor, sleeps: Sleeps) -> None:
    keys = Keys()
    vendor.ready = [Reply(401), Reply(500), needs(f"{SECRET}-1")]
    assert rows(api_of(vendor, sleeps, authorize=keys, can_renew=True)) == FINE["data"]
    assert keys.renewals == [False, True, False]


def test_a_second_401_is_an_error(vendor: Vendor, sleeps: Sleeps) -> None:
    keys = Keys()
    vendor.ready = [Reply(401), Reply(401)]
    with pytest.raises(AccessError, match="401"):
        rows(api_of(vendor, sleeps, authorize=keys, can_renew=True))
    assert keys.renewals == [False, True]


def test_credentials_that_cannot_be_renewed_are_tried_once(vendor: Vendor, sleeps: Sleeps) -> None:
    vendor.ready = [Reply(401)]
    with pytest.raises(AccessError):
        rows(api_of(vendor, sleeps, authorize=Keys()))
    assert len(vendor.requests) == 1


UNSAID = {
    "refused": [json_reply({"error": "no"}, 403)],
    "failing": [Reply(500)] * 6,
    "too many": [too_many({"Retry-After": "1"})] * 4,
    "broken": [Reply(200, b"<html>")] * 6,
}


@pytest.mark.parametrize("name", UNSAID)
def test_neither_key_nor_query_is_ever_told(
    vendor: Vendor, sleeps: Sleeps, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level(logging.INFO)
    vendor.ready = list(UNSAID[name])
    api = api_of(vendor, sleeps, authorize=Keys())
    said = ""
    try:
        rows(api, token=SECRET)
    except LockstitchError as error:
        said = f"{error} {error.message} {error.hint} {error!r}"
    assert SECRET not in said
    rows(api, token=SECRET)
    assert "GET /rows/" in caplog.text
    assert SECRET not in caplog.text


def test_a_key_that_no_header_can_hold_is_not_told(
    vendor: Vendor, sleeps: Sleeps, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    api = api_of(vendor, sleeps, authorize=lambda _: {"Authorization": f"{SECRET}\n"})
    with pytest.raises(TransientError) as raised:
        rows(api)
    assert SECRET not in f"{raised.value}{raised.value.__cause__}{caplog.text}"
    assert raised.value.__context__ is None or raised.value.__suppress_context__


# --- what an error says -----------------------------------------------------------------------------------------------


def test_a_sources_own_meaning_goes_first(vendor: Vendor, sleeps: Sleeps) -> None:
    own = {404: Meaning(AccessError, "{place} is not for {detail} ({status})", "ask {detail}")}
    vendor.ready = [json_reply({"error": {"message": "you"}}, 404), Reply(403)]
    api = api_of(vendor, sleeps, meanings=own)
    with pytest.raises(AccessError, match=r"GET /rows/ is not for you \(404\)") as raised:
        rows(api)
    assert raised.value.hint == "ask you"
    with pytest.raises(AccessError, match=r"may not be read \(403\): nothing more"):
        rows(api)


def test_an_accepted_status_is_returned(vendor: Vendor, sleeps: Sleeps) -> None:
    vendor.ready = [json_reply({"error": "none"}, 400)]
    answer = api_of(vendor, sleeps).get("/rows/", accept=frozenset({400}))
    assert (answer.status, answer.detail()) == (400, "none")


def test_an_address_that_is_none_is_the_users_to_mend(sleeps: Sleeps) -> None:
    for url in ("ftp://127.0.0.1", "http://127.0.0.1:port"):
        with pytest.raises((SettingsError, httpx2.InvalidURL)):
            Api(url, sleep=sleeps).get("/")
    assert sleeps == []


def test_nobody_who_listens_is_a_failure_that_may_pass(sleeps: Sleeps) -> None:
    with Vendor() as gone:
        api = api_of(gone, sleeps)
    with pytest.raises(TransientError, match="GET /rows/"):
        rows(api)
    assert len(sleeps) == 5


def test_a_confined_process_reaches_no_private_address(
    vendor: Vendor, sleeps: Sleeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONFINED, "1")
    with pytest.raises(LockstitchError):
        rows(api_of(vendor, sleeps))
    assert vendor.requests == []
    assert os.environ[CONFINED]


# --- the server's clock -----------------------------------------------------------------------------------------------


def test_the_last_answers_time_is_kept(vendor: Vendor, sleeps: Sleeps) -> None:
    api = api_of(vendor, sleeps)
    assert api.told is None
    at = datetime(2026, 6, 15, 12, 0, 45, 999_999, tzinfo=UTC)
    vendor.clock.set(at)
    rows(api)
    assert api.told == at.replace(microsecond=0)
    vendor.ready = [json_reply(FINE, headers={"Date": "some day"})]
    begun = datetime.now(UTC)
    rows(api)
    assert api.told is not None
    assert begun <= api.told <= datetime.now(UTC)
    assert http_date(at) == "Mon, 15 Jun 2026 12:00:45 GMT"
