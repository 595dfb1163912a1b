"""Close carried as users do it, by `lockstitch run` and by a server, at every fault of the dial: equal to the truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.control.serving import Served

from lockstitch.sources.closeio.shapes import STREAMS
from lockstitch.testing.vendors.faults import LASTING, Failure, Fault
from sources.closeio.account import Account
from sources.closeio.faulty import FAULTS, PLACES, at, change, several_pages
from sources.closeio.pipelines import Warehouse, assert_whole
from sources.conftest import Carry
from sources.ways import ByServer, Connection, Way

SEARCH = "/data/search/"


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with Account(tmp_path, several_pages()) as server:
        yield server


@pytest.fixture
def connection(account: Account, warehouse: Warehouse) -> Connection:
    properties = {"api_key": account.key, "start_date": "2026-04-20T00:00:00Z", "base_url": f"{account.url}/api/v1"}
    return Connection("platform.closeio", "Close", properties, warehouse.type, warehouse.properties, tuple(STREAMS))


@pytest.fixture
def way(carry: Carry, connection: Connection) -> Way:
    return carry(connection)


def run(way: Way, account: Account, warehouse: Warehouse) -> str:
    """Carry what is new, which must go well; return what was told."""
    ended = way.run()
    assert ended.error == "", ended.text
    assert account.key not in ended.text
    assert_whole(account, warehouse)
    return ended.text


#: Some of all cases, for the normal run.
FEW = [
    ("503", "duckdb", "server"),
    ("last byte missing", "postgres", "server"),
    ("429, body", "duckdb", "command"),
    ("reset before the answer", "postgres", "command"),
]


def assert_survived(account: Account, warehouse: Warehouse, way: Way, fault: Fault) -> None:
    """Let a fault happen everywhere: in the first run at second pages, in the second one, which searches, at once."""
    account.faults.add(*at_all(PLACES[:-1], fault, after=1))
    run(way, account, warehouse)
    assert account.faults.unmet == []
    account.faults.clear()
    change(account.data, 0)
    account.query_works = False
    account.faults.add(*at_all(PLACES, fault, after=0))
    run(way, account, warehouse)
    assert account.faults.unmet == []


def at_all(places: Sequence[str], fault: Fault, *, after: int) -> Iterable[Fault]:
    return dict.fromkeys(at(place, fault, after=after) for place in places)


@pytest.mark.parametrize(("name", "warehouse", "carry"), FEW, indirect=["warehouse", "carry"])
def test_all_rows_come_through_some_faults(account: Account, warehouse: Warehouse, way: Way, name: str) -> None:
    assert_survived(account, warehouse, way, FAULTS[name])


@pytest.mark.long
@pytest.mark.parametrize("name", FAULTS)
def test_all_rows_come_through_each_fault(account: Account, warehouse: Warehouse, way: Way, name: str) -> None:
    assert_survived(account, warehouse, way, FAULTS[name])


# --- faults that last -------------------------------------------------------------------------------------------------


def assert_kept(account: Account, warehouse: Warehouse, way: Way, fault: Fault, places: Sequence[str]) -> None:
    """Break one run after the other for good, each at another place, with changes before each; the last one has all."""
    run(way, account, warehouse)
    for number, place in enumerate(places):
        account.query_works = place != SEARCH
        change(account.data, number)
        account.faults.add(replace(fault, on=place, after=0))
        ended = way.run()
        assert place.removeprefix("/v1") in ended.error or "Close refuses the API key" in ended.error, ended.text
        assert account.key not in ended.text
        assert account.faults.unmet == []
        account.faults.clear()
    change(account.data, len(places))
    run(way, account, warehouse)


@pytest.mark.parametrize(("warehouse", "carry"), [("duckdb", "server")], indirect=True)
def test_what_stops_a_job_is_named_and_the_next_one_goes_on(account: Account, warehouse: Warehouse, way: Way) -> None:
    assert_kept(account, warehouse, way, LASTING["forbidden"], ("/activity/", "/event/"))


@pytest.mark.long
@pytest.mark.parametrize("name", LASTING)
def test_whatever_stops_a_job_is_named_and_the_next_one_goes_on(
    account: Account, warehouse: Warehouse, way: Way, name: str
) -> None:
    assert_kept(account, warehouse, way, LASTING[name], PLACES)


# --- schedules, requests, logs ----------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
def test_the_schedule_starts_the_second_run_too(
    account: Account, warehouse: Warehouse, connection: Connection, served: Served
) -> None:
    source = ByServer(served, connection, minutes=1)
    account.faults.add(*at_all(PLACES[:-1], FAULTS["503"], after=1))
    run(source, account, warehouse)
    change(account.data, 0)
    assert source.run_by_schedule().error == ""
    source.remove()
    assert account.faults.unmet == []
    assert_whole(account, warehouse)


@pytest.mark.parametrize(("warehouse", "carry"), [("duckdb", "server")], indirect=True)
def test_a_run_with_nothing_new_costs_a_request_a_stream(account: Account, warehouse: Warehouse, way: Way) -> None:
    for records in (account.data.users, account.data.custom_fields, account.data.tasks, account.data.leads):
        for name in list(records)[3:]:  # as pages are small here
            del records[name]
    run(way, account, warehouse)
    account.requests.clear()
    run(way, account, warehouse)
    assert sorted(each.request.path.removeprefix("/api/v1") for each in account.requests) == [
        "/activity/",
        "/custom_field/lead/",
        "/event/",
        "/lead/",
        "/task/",
        "/user/",
    ]


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
def test_what_a_server_tells_of_a_job(
    account: Account, warehouse: Warehouse, connection: Connection, served: Served
) -> None:
    source = ByServer(served, connection)
    streams = served.call("GET", f"/v4/sources/{source.id}/streams")
    assert {one["stream_name"] for one in streams} == set(STREAMS)
    account.faults.add(Failure(status=503, on="/v1/lead/"))
    log = run(source, account, warehouse)
    extractions = source.listed("extractions")
    assert [one["source_type"] for one in extractions if one["job_name"] == source.last] == ["tap-closeio"]
    assert {one["stream_name"] for one in source.listed("loads")} >= set(STREAMS)
    assert "GET /lead/ answers 503: this is a test of faults; trying again in" in log
    assert "activities: Close also sends activity_at" in log
    assert "Exit status is: Discovery succeeded. Tap succeeded. Target succeeded." in log
    source.remove()
