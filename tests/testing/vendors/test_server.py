"""The fakes' HTTP server and its fault dial do what they say, so that tests of connectors test something."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from lockstitch.testing.vendors.faults import (
    ALL_FAULTS,
    LASTING,
    Burst429,
    ChangedSchema,
    ClockSkew,
    CutBody,
    CutGzip,
    ExpiredToken,
    Failure,
    Fault,
    LateAnswer,
    Meanwhile,
    NoAnswer,
    NotJson,
    SlowBody,
)
from lockstitch.testing.vendors.messages import Reply, Request, json_reply
from lockstitch.testing.vendors.server import VendorServer

ROWS = [{"id": n, "name": f"row {n} ☃", "tags": ["a", "b"]} for n in range(50)]


class Shop(VendorServer):
    """A vendor with one list."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = [dict(row) for row in ROWS]

    def answer(self, request: Request) -> Reply:
        if request.path != "/rows/":
            return self.failure(404, "no such path")
        skip = int(request.get("skip") or 0)
        return json_reply({"data": self.rows[skip : skip + 20], "now": request.at.isoformat()})


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as server:
        yield server


def connect(server: VendorServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=5)


def get(
    server: VendorServer, path: str = "/rows/", headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = connect(server)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def rows(body: bytes) -> list[dict[str, Any]]:
    return json.loads(body)["data"]


def test_a_connection_is_kept_and_every_request_noted(shop: Shop) -> None:
    connection = connect(shop)
    connection.request("GET", "/rows/?skip=40&x=%2B1+2&x=last&empty=")
    assert rows(connection.getresponse().read()) == ROWS[40:]
    kept = connection.sock
    connection.request("POST", "/nothing%20here", body=b'{"a": 1}', headers={"X-Own": "yes"})
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())) == (404, {"error": "no such path"})
    assert connection.sock is kept
    connection.close()
    first, second = shop.requests
    assert (first.request.method, first.request.path, first.status) == ("GET", "/rows/", 200)
    assert first.request.query == (("skip", "40"), ("x", "+1 2"), ("x", "last"), ("empty", ""))
    assert (first.request.get("x"), first.request.get("empty"), first.request.get("y")) == ("last", "", None)
    assert (second.request.path, second.request.json(), second.request.headers["x-own"]) == (
        "/nothing here",
        {"a": 1},
        "yes",
    )
    assert (shop.count(), shop.count("/rows/"), shop.count(method="POST")) == (2, 1, 1)


def test_a_fault_says_on_which_path_after_how_many_requests_and_how_often(shop: Shop) -> None:
    shop.faults.add(Failure(status=503, on="/rows/", after=1, times=2))
    assert [get(shop, path)[0].status for path in ["/rows/", "/other", "/rows/", "/rows/", "/rows/"]] == [
        200,
        404,
        503,
        503,
        200,
    ]
    assert shop.faults.met == 2


def test_faults_that_nobody_met_are_told(shop: Shop) -> None:
    met, other, later = Failure(on="/rows/"), Failure(on="/other"), Failure(on="/rows/", after=5)
    shop.faults.add(met, other, later)
    get(shop, "/rows/")
    assert shop.faults.unmet == [other, later]


def test_faults_are_nested_and_can_be_cleared(shop: Shop) -> None:
    shop.faults.add(Burst429(times=1), Failure(status=500, times=1), NotJson(times=None))
    assert [get(shop)[0].status for _ in range(3)] == [429, 500, 200]
    shop.faults.clear()
    assert rows(get(shop)[1]) == ROWS[:20]


def test_a_429_says_how_long_to_wait_in_each_form(shop: Shop) -> None:
    shop.clock.set(datetime(2026, 6, 1, 12, 0, 0, 500_000, tzinfo=UTC))
    shop.faults.add(*(Burst429(times=1, retry_after=1.5, form=form) for form in ["seconds", "date", "none"]))
    seconds, date, none = (get(shop)[0] for _ in range(3))
    assert [answer.status for answer in (seconds, date, none)] == [429, 429, 429]
    assert seconds.headers["Retry-After"] == "1.5"
    assert parsedate_to_datetime(date.headers["Retry-After"]) >= shop.clock.now() + timedelta(seconds=1.5)
    assert none.headers["Retry-After"] is None


@pytest.mark.parametrize("end", ["reset", "close"])
def test_no_answer_ends_the_connection_and_may_come_before_or_after_the_work(shop: Shop, end: Any) -> None:
    told: list[int] = []
    shop.faults.add(
        NoAnswer(end=end), NoAnswer(end=end, done=True), Meanwhile(call=lambda each: told.append(each.number))
    )
    error = ConnectionResetError if end == "reset" else http.client.RemoteDisconnected
    for worked in ([], [2]):
        with pytest.raises(error) as raised:
            get(shop)
        assert raised.type is error
        assert told == worked
    assert [each.status for each in shop.requests] == [None, None]
    assert get(shop)[0].status == 200


def test_a_slow_body_and_a_late_answer_take_their_time(shop: Shop) -> None:
    shop.faults.add(SlowBody(piece=200, pause=0.02), LateAnswer(seconds=0.15, after=1))
    began = time.monotonic()
    answer, body = get(shop)
    slow = time.monotonic() - began
    began = time.monotonic()
    get(shop)
    assert slow >= (len(body) // 200 - 1) * 0.02
    assert time.monotonic() - began >= 0.15
    assert rows(body) == ROWS[:20]
    assert int(answer.headers["Content-Length"]) == len(body)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_cut_body_is_shorter_than_announced(shop: Shop, share: float) -> None:
    whole = len(get(shop)[1])
    shop.faults.add(CutBody(share=share))
    with pytest.raises(http.client.IncompleteRead) as raised:
        get(shop)
    assert len(raised.value.partial) == min(int(whole * share), whole - 1)
    assert len(get(shop)[1]) == whole


def test_a_cut_body_can_be_reset_or_lack_its_last_chunk(shop: Shop) -> None:
    shop.faults.add(CutBody(end="reset"), CutBody(how="chunked", after=1))
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        get(shop)
    with pytest.raises(http.client.IncompleteRead):
        get(shop)
    assert shop.faults.met == 2


def test_a_cut_gzip_is_whole_as_http_and_short_as_gzip(shop: Shop) -> None:
    shop.faults.add(CutGzip(share=1.0))
    answer, body = get(shop, headers={"Accept-Encoding": "gzip, deflate"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert int(answer.headers["Content-Length"]) == len(body)
    with pytest.raises(EOFError):
        gzip.decompress(body)
    assert zlib.decompressobj(wbits=31).decompress(body)[:8] == b'{"data":'


def test_html_comes_with_any_status(shop: Shop) -> None:
    shop.faults.add(NotJson(), Failure(status=502, body="html"), Failure(status=504, body="empty"))
    first, second, third = (get(shop) for _ in range(3))
    assert [answer.status for answer, _ in (first, second, third)] == [200, 502, 504]
    assert first[0].headers["Content-Type"].startswith("text/html")
    assert first[1] == second[1]
    assert third[1] == b""


def test_an_expired_token_is_a_401_at_a_given_request(shop: Shop) -> None:
    shop.faults.add(ExpiredToken(after=2))
    assert [get(shop)[0].status for _ in range(4)] == [200, 200, 401, 200]


def test_a_skewed_clock_shows_in_the_date_and_in_what_the_vendor_decides(shop: Shop) -> None:
    at = datetime(2026, 6, 1, 12, tzinfo=UTC)
    shop.clock.set(at)
    shop.faults.add(ClockSkew(by=-timedelta(hours=2), times=1))
    for now in (at - timedelta(hours=2), at):
        answer, body = get(shop)
        assert parsedate_to_datetime(answer.headers["Date"]) == now
        assert json.loads(body)["now"] == now.isoformat()


@pytest.mark.parametrize(
    ("fault", "changed"),
    [
        (ChangedSchema(change="added"), {"brand_new": 7, "brand_new_nested": {"list": [{"a": 1}, {"a": "x"}]}}),
        (ChangedSchema(change="retyped", field="id"), {"id": "0"}),
        (ChangedSchema(change="retyped", field="name"), {"name": {"text": "row 0 ☃"}}),
        (ChangedSchema(change="as text", field="tags"), {"tags": '["a", "b"]'}),
        (ChangedSchema(change="as text", field="name"), {}),
        (ChangedSchema(change="missing", field="nothing"), {}),
    ],
)
def test_a_changed_schema_changes_each_record(shop: Shop, fault: ChangedSchema, changed: dict[str, Any]) -> None:
    shop.faults.add(fault)
    got = rows(get(shop)[1])
    assert got == [fault.changed(row) for row in ROWS[:20]]
    assert got[0] == {**ROWS[0], **changed}


def test_a_missing_field_is_left_out(shop: Shop) -> None:
    shop.faults.add(ChangedSchema(change="missing", field="name"))
    assert rows(get(shop)[1])[0] == {"id": 0, "tags": ["a", "b"]}


def test_records_can_change_while_they_are_paged(shop: Shop) -> None:
    def remove_the_first(_: Request) -> None:
        del shop.rows[0]

    shop.faults.add(Meanwhile(call=remove_the_first, times=1))
    pages = [rows(get(shop, f"/rows/?skip={skip}")[1]) for skip in (0, 20, 40)]
    assert [row["id"] for page in pages for row in page] == [*range(20), *range(21, 50)]  # row 20 is lost to an offset


@pytest.mark.parametrize("name", ALL_FAULTS)
def test_every_fault_of_the_table_happens_and_passes_unless_it_lasts(shop: Shop, name: str) -> None:
    fault: Fault = ALL_FAULTS[name]
    shop.faults.add(fault)
    well = 0
    for _ in range(6):
        try:
            answer, body = get(shop, headers={"Accept-Encoding": "gzip"})
            body = gzip.decompress(body) if answer.headers["Content-Encoding"] == "gzip" else body
            well += answer.status == 200 and body.startswith(b"{")
        except (OSError, EOFError, http.client.HTTPException):
            continue
    assert shop.faults.met > 0
    assert (well == fault.after) if name in LASTING else well >= 2


def test_a_server_ends_with_connections_open_and_answers_under_way() -> None:
    with Shop() as server:
        server.faults.add(LateAnswer(seconds=60))
        idle, waiting = connect(server), connect(server)
        idle.connect()
        waiting.request("GET", "/rows/")
        while not server.requests:
            time.sleep(0.005)
        began = time.monotonic()
    assert time.monotonic() - began < 20
    for each in (idle, waiting):
        each.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])), timeout=1)


def test_a_bug_of_the_fake_itself_is_not_taken_for_the_vendors_500() -> None:
    class Broken(VendorServer):
        def answer(self, request: Request) -> Reply:
            raise KeyError("oops")

    with pytest.raises(KeyError, match="oops"), Broken() as server:
        assert get(server)[0].status == 500
