"""Rows become Heap's calls: what is sent, in which order, how much at once, and what is kept of refusals."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.destinations.heap.sending import (
    CONNECTION,
    ORDERS,
    SCHEMA,
    Sender,
    batch,
    event,
    in_order,
    order,
    pages,
)

from lockstitch.core.errors import AccessError, LockstitchError, SettingsError
from lockstitch.core.loads import LedgerRow
from lockstitch.core.model import Batch, Checkpoint, Field, Stream
from lockstitch.destinations.heap.api import HeapApi
from lockstitch.destinations.heap.objects import Object
from lockstitch.destinations.heap.sends import read_sends
from lockstitch.engine.forecast import forecast
from lockstitch.engine.run import Job
from lockstitch.engine.state import state_of
from lockstitch.engine.verify import verify
from lockstitch.testing.playback import Playback
from lockstitch.toolkit.http.quota import Quota, Rate


def test_rows_become_events(sender: Sender) -> None:
    rows = [order(n) for n in range(7)]
    result = sender.carried(pages(rows, 3))
    assert in_order(sender.tracked()) == in_order([event(row) for row in rows])
    assert [lane.rows for lane in result.lanes] == [7]
    assert sender.server.count("/api/track") <= 2
    with_keys = {one["idempotency_key"] for one in sender.server.accepted}
    assert len(with_keys) == 7


def test_nothing_new_sends_nothing(sender: Sender) -> None:
    script = pages([order(n) for n in range(7)], 3)
    sender.carried(script)
    before = len(sender.server.requests)
    sender.carried(script)
    assert len(sender.server.requests) == before


def test_the_same_rows_of_a_new_connection_double_nothing(sender: Sender) -> None:
    """The state is lost: all is sent again, under the same keys."""
    script = pages([order(n) for n in range(7)], 3)
    sender.carried(script)
    before = list(sender.server.accepted)
    sender.folder /= "elsewhere"
    sender.carried(script)
    assert sender.server.accepted == before


def test_events_of_another_name_or_table_have_other_keys(sender: Sender) -> None:
    sender.streams = ("orders", "refunds")
    sender.send = {"orders": [ORDERS, {**ORDERS, "event": "Order Shipped"}], "refunds": ORDERS}
    sender.carried([batch([order(1)]), batch([order(1)], "refunds"), Checkpoint(1)])
    assert len(sender.server.accepted) == 3
    assert len({one["idempotency_key"] for one in sender.server.accepted}) == 3


def test_identities_come_before_properties_and_those_before_events(sender: Sender) -> None:
    sender.send = {
        "orders": [
            ORDERS,
            {"as": "add_user_properties", "identity": "email", "properties": {"last order": "id"}},
            {"as": "identify", "identity": "email", "user_id": "id"},
        ]
    }
    sender.carried(pages([order(n) for n in range(6)], 6))
    calls = [one["call"] for one in sender.server.accepted]
    assert calls == ["identify"] * 6 + ["add_user_properties"] * 3 + ["track"] * 6
    assert sender.server.profiles == {f"user-{n}@example.com": {"last order": n + 3} for n in range(3)}
    assert sender.server.identities == {str(n): f"user-{n % 3}@example.com" for n in range(6)}


def test_later_properties_of_an_identity_win_and_earlier_others_stay(sender: Sender) -> None:
    sender.send = {"orders": {"as": "add_user_properties", "identity": "email", "properties": ["sku", "plan"]}}
    rows = [
        {"id": 1, "email": "a@example.com", "sku": "one", "plan": "free"},
        {"id": 2, "email": "a@example.com", "sku": "two", "plan": None},
        {"id": 3, "email": "b@example.com", "sku": None, "plan": "paid"},
    ]
    sender.carried([batch(rows), Checkpoint(1)])
    assert sender.server.profiles == {
        "a@example.com": {"sku": "two", "plan": "free"},
        "b@example.com": {"plan": "paid"},
    }
    assert sender.server.count("/api/add_user_properties") <= 2


def test_values_go_as_texts_and_numbers_without_a_change(sender: Sender) -> None:
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("email", pa.string()),
            ("big", pa.int64()),
            ("exact", pa.decimal128(38, 20)),
            ("price", pa.decimal128(10, 2)),
            ("whole", pa.decimal128(10, 2)),
            ("yes", pa.bool_()),
            ("at", pa.timestamp("us", "UTC")),
            ("nothing", pa.string()),
            ("empty", pa.string()),
        ]
    )
    row = {
        "id": 1,
        "email": "ä@example.com",
        "big": 2**62,
        "exact": Decimal("0.12345678901234567891"),
        "price": Decimal("12.50"),
        "whole": Decimal("3.00"),
        "yes": True,
        "at": datetime(2026, 1, 2, 3, 4, 5, 600, UTC),
        "nothing": None,
        "empty": "",
    }
    names = [name for name in schema.names if name not in ("id", "email")]
    sender.send = {"orders": {"as": "track", "event": "e", "identity": "email", "timestamp": "at", "properties": names}}
    sender.carried([Batch("orders", pa.RecordBatch.from_pylist([row], schema=schema)), Checkpoint(1)])
    [sent] = sender.server.accepted
    assert sent["identity"] == "ä@example.com"
    assert sent["timestamp"] == "2026-01-02T03:04:05.000600+00:00"
    assert sent["properties"] == {
        "big": "4611686018427387904",
        "exact": "0.12345678901234567891",
        "price": 12.5,
        "whole": 3,
        "yes": "true",
        "at": "2026-01-02T03:04:05.000600+00:00",
        "empty": "",
    }


def test_a_column_that_was_split_by_type_is_one_property(sender: Sender) -> None:
    mixed = [batch([order(1, sku=17)]), batch([order(2, sku="x-1")]), Checkpoint(1)]
    sender.carried(mixed)
    assert [one["properties"]["sku"] for one in sender.tracked()] == [17, "x-1"]
    sender.carried([*mixed, batch([order(3, sku=18)]), batch([order(4, sku="y")]), Checkpoint(2)])
    assert [one["properties"]["sku"] for one in sender.tracked()] == [17, "x-1", 18, "y"]


def test_an_event_belongs_to_a_session_where_one_is_known(sender: Sender) -> None:
    sender.send = {"orders": {**ORDERS, "session_id": "session"}}
    rows = [order(1, session=2**53 - 1), order(2, session=None), order(3, session=2**53)]
    sender.carried([batch(rows), Checkpoint(1)])
    assert [one.get("session_id") for one in sender.tracked()] == [str(2**53 - 1), None]
    assert sender.rejected() == [("orders", "track: session is '9007199254740992'; an id in Heap is 0 to 2^53 - 1")]


# --- limits -----------------------------------------------------------------------------------------------------------


def test_requests_have_up_to_1000_events(sender: Sender) -> None:
    rows = [order(n, email=f"user-{n}@example.com") for n in range(2_500)]
    sender.carried(pages(rows, 2_500))
    sizes = [len(each.request.json()["events"]) for each in sender.server.requests]
    assert sizes == [1, 999, 1000, 500]
    assert in_order(sender.tracked()) == in_order([event(row) for row in rows])


def test_no_identity_exceeds_its_limit_and_the_others_do_not_wait_for_it(sender: Sender) -> None:
    rows = [order(n, email="busy@example.com") for n in range(2_500)]
    rows += [order(n, email=f"user-{n}@example.com") for n in range(2_500, 2_700)]
    began = time.monotonic()
    sender.carried(pages(rows, 2_700))
    assert time.monotonic() - began >= 2 * sender.server.minute
    assert {each.status for each in sender.server.requests} == {200}
    assert in_order(sender.tracked()) == in_order([event(row) for row in rows])
    others = [at for at, one in enumerate(sender.tracked()) if one["identity"] != "busy@example.com"]
    assert others == list(range(1_000, 1_200))


def test_a_limit_that_another_program_uses_up_is_waited_for(sender: Sender) -> None:
    """One identity has had its events of this minute by somebody else: the request that has one of them is refused."""
    sender.server.minute, sender.budget = 5.0, 60.0
    rows = [order(n, email=f"user-{n % 50}@example.com") for n in range(300)]
    other = Sender(sender.server, sender.folder / "another program")
    other.carried(pages([order(n, email="user-7@example.com", sku="other") for n in range(1_000, 2_000)], 1_000))
    before = len(sender.server.accepted)
    sender.carried(pages(rows, 300))
    assert 429 in {each.status for each in sender.server.requests}
    assert in_order(sender.tracked()[before:]) == in_order([event(row) for row in rows])
    assert sender.rejected() == []


def test_bulks_of_several_runs_count_by_their_events_and_other_calls_not(
    sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = Quota(tmp_path, "heap", "app", Rate(1_000, 1.0, burst=500))
    waits: list[float] = []
    monkeypatch.setattr(Quota, "take", lambda self, requests: waits.append(taken(self, requests)))
    for first in (0, 1_000):
        one = HeapApi(sender.server.url, sender.app_id, quota=quota)
        events = [_tracked(n) for n in range(first, first + 500)]
        list(one.send(events))
        list(one.send([Object("identify", str(first), "who", {"identity": "who", "user_id": str(first)})]))
        one.close()
    assert waits[:2] == [0, 0]
    assert 0.3 < waits[2] <= 0.5
    assert waits[3] == 0


taken = Quota.take


def _tracked(number: int) -> Object:
    body = {"event": "E", "identity": f"user-{number}", "idempotency_key": str(number)}
    return Object("track", str(number), f"user-{number}", body)


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_bulk_that_is_refused_is_halved_until_the_bad_row_is_alone(sender: Sender) -> None:
    sender.server.refuses = lambda item: "sku-13" in str(item)
    rows = [order(n) for n in range(64)]
    result = sender.carried(pages(rows, 64))
    assert in_order(sender.tracked()) == in_order([event(row) for row in rows if row["id"] != 13])
    assert sender.rejected() == [("orders", "track: Heap answers 400: this is refused")]
    assert [(lane.rows, lane.rejected) for lane in result.lanes] == [(64, 1)]
    assert sender.server.count("/api/track") <= 16


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no identity": ({"email": None}, "email is null; an identity has 1 to 255 characters"),
    "an empty identity": ({"email": ""}, "email is 0 characters long"),
    "a long identity": ({"email": "x" * 256}, "email is 256 characters long"),
    "no time": ({"paid_at": None}, "paid_at is null; the event has no time"),
    "not a time": ({"paid_at": "yesterday"}, "paid_at is 'yesterday', which is no time in ISO 8601"),
    "a long text": ({"sku": "x" * 1024}, "sku is 1024 characters long; a property has up to 1023"),
    "not a number": ({"total": float("nan")}, "total is nan, which is no number in JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_row_that_heap_would_refuse_is_rejected_and_the_others_are_sent(sender: Sender, name: str) -> None:
    change, reason = BAD[name]
    rows = [order(1), order(2, **change), order(3)]
    result = sender.carried([batch(rows), Checkpoint(1)])
    assert in_order(sender.tracked()) == in_order([event(rows[0]), event(rows[2])])
    [(table, told)] = sender.rejected()
    assert table == "orders"
    assert told.startswith(f"track: {reason}")
    assert [(lane.rows, lane.rejected) for lane in result.lanes] == [(3, 1)]
    [(_, _, row)] = sender.state.ledger(CONNECTION)
    assert (row.read, row.inserted, row.rejected, row.superseded) == (3, 2, 1, 0)
    assert all(each.status == 200 for each in sender.server.requests)


def test_what_the_layout_rejects_is_kept_beside(sender: Sender) -> None:
    sender.carried([batch([order(1)]), Batch("orders", _without_id()), Checkpoint(1)])
    assert len(sender.tracked()) == 1
    [(table, reason)] = sender.rejected()
    assert table == "orders"
    assert "id" in reason
    destination = sender.open()
    destination.open(CONNECTION, SCHEMA)
    [rejected] = destination.read_back("_sdc_rejected")
    assert rejected.num_rows == 1
    assert rejected.schema.names == ["_sdc_rejected_at", "table_name", "reason", "record"]


def _without_id() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([order(2, id=None)])


def test_where_all_is_refused_from_the_first_nothing_is_marked_as_sent(sender: Sender) -> None:
    sender.server.refuses = lambda _: True
    with pytest.raises(AccessError, match="Heap has taken nothing yet, and refuses what is sent: Heap answers 400"):
        sender.carried(pages([order(n) for n in range(500)], 500))
    assert sender.server.count("/api/track") == 10
    assert sender.state.marks(CONNECTION) == {}
    assert sender.rejected() == []
    sender.server.refuses = lambda _: False
    sender.carried(pages([order(n) for n in range(500)], 500))
    assert len(sender.tracked()) == 500


def test_a_wrong_app_id_is_a_setting_not_a_row(sender: Sender) -> None:
    script = pages([order(n) for n in range(5)], 5)
    sender.app_id = "999"
    with pytest.raises(AccessError, match="Heap refuses app_id '999'") as refused:
        sender.carried(script)
    assert refused.value.hint
    assert sender.rejected() == []
    sender.app_id = sender.server.app_id
    sender.carried(script)
    assert len(sender.tracked()) == 5


# --- tables that cannot be sent --------------------------------------------------------------------------------------


def test_a_refusal_that_speaks_of_a_property_is_no_refusal_of_the_environment(sender: Sender) -> None:
    sender.send = {"orders": {**ORDERS, "properties": {"Environment": "sku"}}}
    sender.server.refuses = lambda item: "sku-2" in str(item)
    sender.server.refusal = "property 'environment' is refused"
    result = sender.carried(pages([order(n) for n in range(5)], 5))
    assert len(sender.tracked()) == 4
    assert sender.rejected() == [("orders", "track: Heap answers 400: property 'environment' is refused")]
    assert [lane.rejected for lane in result.lanes] == [1]


def test_a_table_that_nothing_is_said_of_is_refused_before_anything_is_sent(sender: Sender) -> None:
    sender.send = {"refunds": ORDERS}
    with pytest.raises(SettingsError, match="nothing says what rows of orders are sent to Heap as"):
        sender.carried(pages([order(1)], 1))
    assert sender.server.requests == []


def test_events_without_a_key_are_refused(sender: Sender) -> None:
    sender.key = ()
    with pytest.raises(SettingsError, match="orders has no key") as refused:
        sender.carried(pages([order(1)], 1))
    assert "idempotency_key" in (refused.value.hint or "")
    sender.send = {"orders": {**ORDERS, "idempotency_key": ["sku", "paid_at"]}}
    sender.carried(pages([order(1), order(1), order(2)], 3))
    assert len(sender.tracked()) == 2
    [(_, _, row)] = sender.state.ledger(CONNECTION)
    assert (row.read, row.inserted, row.superseded) == (3, 2, 1)


def test_a_column_that_is_not_there_is_refused(sender: Sender) -> None:
    sender.send = {"orders": {**ORDERS, "identity": "mail"}}
    with pytest.raises(SettingsError, match="names the column 'mail', which orders does not have") as refused:
        sender.carried(pages([order(1)], 1))
    assert refused.value.hint == "its columns are email, id, paid_at, sku, total"


def test_lists_within_rows_are_left_out_with_a_warning(sender: Sender, caplog: pytest.LogCaptureFixture) -> None:
    sender.carried([batch([order(1, tags=["a", "b"])]), Checkpoint(1)])
    assert len(sender.tracked()) == 1
    assert [one.getMessage() for one in caplog.records if "orders__tags" in one.getMessage()]
    ledger = {row.table: row for _, _, row in sender.state.ledger(CONNECTION)}
    assert ledger["orders__tags"] == LedgerRow(
        "orders__tags", read=2, superseded=2, checksum=ledger["orders__tags"].checksum
    )


def test_a_deletion_is_not_sent(sender: Sender) -> None:
    gone = Batch("orders", pa.RecordBatch.from_pylist([{"id": 1}]), kind="delete")
    sender.carried([batch([order(1)]), Checkpoint(1), gone, batch([order(2)]), Checkpoint(2)], rows=1)
    assert in_order(sender.tracked()) == in_order([event(order(1)), event(order(2))])


def test_rows_cannot_be_read_back(sender: Sender) -> None:
    sender.carried(pages([order(1)], 1))
    destination = sender.open()
    destination.open(CONNECTION, SCHEMA)
    assert [table.name for table in destination.tables()] == ["orders"]
    with pytest.raises(SettingsError, match="orders cannot be read back"):
        list(destination.read_back("orders"))


def test_what_stands_and_verify_tell_what_the_loads_have_sent(sender: Sender) -> None:
    sender.carried(pages([order(n) for n in range(3)] + [order(3, email=None)], 4))
    destination = sender.open()
    destination.open(CONNECTION, SCHEMA)
    state = state_of(destination, CONNECTION, SCHEMA)
    assert [(table.name, table.rows) for table in state.tables] == [("orders", 3)]
    assert state.rejected == 1
    source = Playback([Stream("orders", (Field("id", "integer"),), ("id",))], [])
    [verdict] = verify(source, destination, Job(CONNECTION, SCHEMA, None, sender.folder))
    assert (verdict.grade, verdict.rows, verdict.holds) == ("none", 3, True)
    assert "cannot be read back" in verdict.note


def test_a_plan_says_that_rows_are_seen_as_they_are_sent(sender: Sender) -> None:
    source = Playback([Stream("orders", (Field("id", "integer"),), ("id",))], [])
    told = forecast(source, sender.open(), Job(CONNECTION, SCHEMA, None, sender.folder)).reservations
    assert [one for one in told if one.startswith("Heap has each row as soon as it is sent")]


def test_a_check_sends_nothing(sender: Sender) -> None:
    sender.open().check()
    assert sender.server.requests == []


# --- settings ---------------------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[Any, str]] = {
    "no kind": ({"event": "e"}, "send.orders.as is missing"),
    "unknown kind": ({"as": "trak"}, "send.orders.as is 'trak'"),
    "no table": ("track", "send.orders.as is missing"),
    "nothing": ([], "send.orders is an empty list"),
    "no event": ({"as": "track", "identity": "email"}, "missing required field `event`"),
    "unknown word": ({**ORDERS, "evnt": "x"}, "unknown field `evnt`"),
    "nobody": ({"as": "track", "event": "e"}, "names neither of identity and user_id"),
    "two": ({**ORDERS, "user_id": "id"}, "names both of identity and user_id"),
    "long event": ({**ORDERS, "event": "e" * 1025}, "event has 1025 characters"),
    "no key": ({**ORDERS, "idempotency_key": []}, "idempotency_key is empty"),
    "id": ({"as": "add_user_properties", "identity": "email", "properties": ["ID"]}, "a name that Heap keeps"),
    "no properties": ({"as": "add_user_properties", "identity": "email", "properties": []}, "properties is empty"),
    "second": ([ORDERS, {"as": "identify", "identity": "email"}], r"send.orders\[1\]: .*`user_id`"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_told_with_its_place_and_a_hint(name: str) -> None:
    value, told = WRONG[name]
    with pytest.raises(LockstitchError, match=told) as refused:
        read_sends({"orders": value})
    assert refused.value.verdict == "user"
    assert refused.value.hint
    assert refused.value.message.startswith("destination.properties.send.orders")
