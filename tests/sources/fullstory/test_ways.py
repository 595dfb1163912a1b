"""FullStory carried as users do it, by `lockstitch run` and by a server, at every fault: equal to the truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.control.serving import Served

from lockstitch.sources.fullstory.shapes import SETTINGS, TABLES
from lockstitch.testing.vendors.faults import LASTING, TRANSIENT, ChangedSchema, CutGzip, Fault
from lockstitch.testing.vendors.fullstory import FullStoryServer
from lockstitch.testing.vendors.fullstory_account import make_account
from lockstitch.testing.vendors.fullstory_data import Captured, FullStoryData, stamp
from lockstitch.testing.vendors.messages import Clock, Record
from sources.conftest import Carry
from sources.fullstory.account import KEY, START
from sources.fullstory.landed import Truth, change
from sources.reassembled import expected, reassembled
from sources.warehouses import Warehouse
from sources.ways import ByServer, Connection, Way

#: Where faults happen: events by Data Export with the server API's tables, and events by Segment Export.
PLACES = ("/export/list", "/export/get", "/v2/users", "/v2/users/", "/segments/v1", "/settings/")
OF_SLICES = ("/segments/v1/exports", "/operations/", "/search/", "/signed/")


@pytest.fixture
def vendor() -> Iterator[FullStoryServer]:
    """FullStory with two pages of everything that has pages, half an hour after a bundle came."""
    data = make_account(seed=7, bundles=21, events=3, users=5)
    data.clock.advance(timedelta(minutes=30))
    everyone = data.segments["everyone"]
    data.segments |= {name: {**everyone, "id": name, "name": name} for name in ("one", "two")}
    with FullStoryServer(data, key=KEY) as server:
        server.downloads = None
        yield server


@pytest.fixture
def connection(vendor: FullStoryServer, warehouse: Warehouse) -> Connection:
    return connected(vendor, warehouse, events_api="data_export", start_date=START, all_streams=True)


def connected(
    vendor: FullStoryServer, warehouse: Warehouse, streams: tuple[str, ...] | None = None, **properties: Any
) -> Connection:
    properties |= {"api_key": KEY, "base_url": vendor.url, "export_base_url": vendor.url}
    return Connection("platform.fullstory", "FullStory", properties, warehouse.type, warehouse.properties, streams)


@pytest.fixture
def way(carry: Carry, connection: Connection) -> Way:
    return carry(connection)


def run(way: Way) -> None:
    """Carry what is new, which must go well."""
    ended = way.run()
    assert ended.error == "", ended.text
    assert KEY not in ended.text


def at_all(places: Sequence[str], fault: Fault, *, after: int) -> Iterable[Fault]:
    """Let a fault happen at each place, after so many requests; a clock and a schema are wrong everywhere."""
    return [fault] if fault.times is None else [replace(fault, on=place, after=after) for place in places]


#: Some of all cases, for the normal run.
FEW = [
    ("503", "duckdb", "server"),
    ("last byte missing", "postgres", "server"),
    ("gzip without its end", "duckdb", "command"),
    ("new fields", "postgres", "command"),
]


# --- events by Data Export, and all other streams ---------------------------------------------------------------------


def assert_survived(vendor: FullStoryServer, warehouse: Warehouse, way: Way, fault: Fault) -> None:
    """Let a fault happen everywhere: in the first run at second pages, in the second one at once."""
    truth = Truth(vendor.data, changes_of(fault))
    if isinstance(fault, CutGzip):
        vendor.forms = ("gzip",)  # a bundle that is no gzip file has no end that could be missing
    for number in range(2):
        vendor.faults.add(*at_all(PLACES, fault, after=1 - number))
        run(way)
        truth.assert_whole(warehouse.tables())
        assert vendor.faults.unmet == []
        vendor.faults.clear()
        change(vendor.data, number)


def changes_of(fault: Fault) -> Any:
    """Return how a fault changes records: those of the first list in an answer, or else the answer itself."""
    if not isinstance(fault, ChangedSchema):
        return lambda _, record: record
    lists = {"domain_settings": "domains", "privacy_settings": "elementBlocks"}

    def changed(stream: str, record: Record) -> Record:
        name = lists.get(stream)
        return fault.changed(record) if name is None else {**record, name: list(map(fault.changed, record[name]))}

    return changed


@pytest.mark.parametrize(("name", "warehouse", "carry"), FEW, indirect=["warehouse", "carry"])
def test_all_rows_come_through_some_faults(vendor: FullStoryServer, warehouse: Warehouse, way: Way, name: str) -> None:
    assert_survived(vendor, warehouse, way, TRANSIENT[name])


@pytest.mark.long
@pytest.mark.parametrize("name", TRANSIENT)
def test_all_rows_come_through_each_fault(vendor: FullStoryServer, warehouse: Warehouse, way: Way, name: str) -> None:
    assert_survived(vendor, warehouse, way, TRANSIENT[name])


def assert_kept(vendor: FullStoryServer, warehouse: Warehouse, way: Way, fault: Fault, places: Sequence[str]) -> None:
    """Break one run after the other for good, each at another place, with changes before each; the last one has all."""
    truth = Truth(vendor.data)
    run(way)
    truth.assert_whole(warehouse.tables())
    for number, place in enumerate(places):
        change(vendor.data, number)
        if place != "/settings/":
            truth.note_settings()
        vendor.faults.add(replace(fault, on=place, after=0))
        ended = way.run()
        assert ended.error
        assert KEY not in ended.text
        assert vendor.faults.unmet == []
        vendor.faults.clear()
    change(vendor.data, len(places))
    run(way)
    truth.assert_whole(warehouse.tables())


@pytest.mark.parametrize(("warehouse", "carry"), [("duckdb", "server")], indirect=True)
def test_what_stops_a_job_is_told_and_the_next_one_goes_on(
    vendor: FullStoryServer, warehouse: Warehouse, way: Way
) -> None:
    assert_kept(vendor, warehouse, way, LASTING["forbidden"], ("/export/get", "/v2/users/"))


@pytest.mark.long
@pytest.mark.parametrize("name", LASTING)
def test_whatever_stops_a_job_is_told_and_the_next_one_goes_on(
    vendor: FullStoryServer, warehouse: Warehouse, way: Way, name: str
) -> None:
    assert_kept(vendor, warehouse, way, LASTING[name], PLACES)


# --- events by Segment Export -----------------------------------------------------------------------------------------


class Sliced:
    """An account by the real clock, with events of the day before yesterday, and of yesterday, which settle later."""

    def __init__(self) -> None:
        made = make_account(seed=9, bundles=2, events=12, users=2, clock=Clock())
        self.now = made.clock.now()
        half = len(made.events) // 2
        # Far from where slices end, whenever the test runs: see `properties`.
        self.old = [self._at(40 - number / 6, each) for number, each in enumerate(made.events[:half])]
        self.young = [self._at(22 - number / 6, each) for number, each in enumerate(made.events[half:])]
        self.data: FullStoryData = made
        made.events = [*self.old, *self.young]

    def _at(self, hours: float, event: Captured) -> Captured:
        at = self.now - timedelta(hours=hours)
        return Captured({**event.fields, "EventStart": stamp(at)}, at)

    @property
    def properties(self) -> dict[str, Any]:
        start = f"{self.now - timedelta(hours=48):%Y-%m-%d}T00:00:00Z"
        return {"events_api": "segment_export", "slice_minutes": 720, "start_date": start, "delay_hours": 24}


@pytest.fixture
def sliced() -> Iterator[tuple[Sliced, FullStoryServer]]:
    account = Sliced()
    with FullStoryServer(account.data, key=KEY) as server:
        yield account, server


def assert_slices_survived(
    sliced: tuple[Sliced, FullStoryServer], warehouse: Warehouse, carry: Carry, fault: Fault
) -> None:
    """Let a fault happen everywhere: in the first run at the second slice, in the next one at once."""
    account, vendor = sliced
    truth = Truth(account.data)
    way = carry(connected(vendor, warehouse, ("events",), **account.properties))
    for number, events in enumerate((account.old, [*account.old, *account.young])):
        vendor.faults.add(*at_all(OF_SLICES, fault, after=1 - number))
        run(way)
        truth.assert_events(warehouse.tables(), [event.fields for event in events])
        assert vendor.faults.unmet == []
        vendor.faults.clear()
        way.change(delay_hours=1)


@pytest.mark.parametrize(("warehouse", "carry"), [("duckdb", "server"), ("postgres", "command")], indirect=True)
def test_all_slices_come_through_a_fault(
    sliced: tuple[Sliced, FullStoryServer], warehouse: Warehouse, carry: Carry
) -> None:
    assert_slices_survived(sliced, warehouse, carry, TRANSIENT["body reset"])


@pytest.mark.long
@pytest.mark.parametrize("name", TRANSIENT)
def test_all_slices_come_through_each_fault(
    sliced: tuple[Sliced, FullStoryServer], warehouse: Warehouse, carry: Carry, name: str
) -> None:
    assert_slices_survived(sliced, warehouse, carry, TRANSIENT[name])


@pytest.mark.long
@pytest.mark.parametrize("name", LASTING)
def test_what_stops_a_slice_is_told_and_the_next_job_goes_on(
    sliced: tuple[Sliced, FullStoryServer], warehouse: Warehouse, carry: Carry, name: str
) -> None:
    account, vendor = sliced
    way = carry(connected(vendor, warehouse, ("events",), **account.properties))
    for place in OF_SLICES:
        vendor.faults.add(replace(LASTING[name], on=place, after=0))
        ended = way.run()
        assert ended.error
        assert KEY not in ended.text
        assert vendor.faults.unmet == []
        vendor.faults.clear()
    run(way)
    Truth(account.data).assert_events(warehouse.tables(), [event.fields for event in account.old])


# --- schedules, requests ----------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
def test_the_schedule_starts_the_second_run_too(
    vendor: FullStoryServer, warehouse: Warehouse, connection: Connection, served: Served
) -> None:
    source, truth = ByServer(served, connection, minutes=1), Truth(vendor.data)
    vendor.faults.add(*at_all(PLACES, TRANSIENT["503"], after=1))
    run(source)
    assert vendor.faults.unmet == []
    truth.assert_whole(warehouse.tables())
    change(vendor.data, 0)
    assert source.run_by_schedule().error == ""
    source.remove()
    truth.assert_whole(warehouse.tables())


@pytest.mark.parametrize(("warehouse", "carry"), [("duckdb", "server")], indirect=True)
def test_a_run_with_nothing_new_costs_a_request_a_stream(vendor: FullStoryServer, way: Way) -> None:
    """`user` asks for each user besides, as FullStory has them only so."""
    for records in (vendor.data.users, vendor.data.segments):
        for name in list(records)[3:]:  # as pages are small here
            del records[name]
    run(way)
    vendor.requests.clear()
    run(way)
    settings = [SETTINGS[name].path for name in SETTINGS]
    each = [f"/v2/users/{number}" for number in vendor.data.users]
    wanted = ["/api/v1/export/list", "/v2/users", "/v2/users", *each, "/segments/v1", *settings]
    assert sorted(one.request.path for one in vendor.requests) == sorted(wanted)


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
def test_a_server_offers_events_alone_and_nothing_is_to_be_chosen(
    vendor: FullStoryServer, warehouse: Warehouse, served: Served
) -> None:
    source = ByServer(served, connected(vendor, warehouse, start_date=START))
    run(source)
    source.remove()
    tables = warehouse.tables()
    assert {name for name in tables if not name.startswith("_sdc")} == {"events"}
    Truth(vendor.data).assert_events(tables)


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_fields_that_nobody_could_choose_are_told(
    vendor: FullStoryServer, warehouse: Warehouse, served: Served
) -> None:
    everything = connected(vendor, warehouse, ("users", "block_rules"), start_date=START, all_streams=True)
    source = ByServer(served, everything)
    vendor.faults.add(ChangedSchema())
    ended = source.run()
    source.remove()
    assert ended.error == ""
    for stream in ("users", "block_rules"):
        assert f"WARNING {stream}: left out brand_new, brand_new_nested, which FullStory also sends" in ended.text
    truth = {one["id"]: expected(one, TABLES["users"].fields) for one in vendor.data.truth("users")}
    found, _ = reassembled(warehouse.tables(), "users")
    assert {name: {key: each for key, each in one.items() if key != "properties"} for name, one in found.items()} == {
        name: {key: each for key, each in one.items() if key != "properties"} for name, one in truth.items()
    }
