"""What a reset does to each table: what Close has now replaces what was there, whatever happens in between."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lockstitch import verbs
from lockstitch.core.model import StreamChoice
from lockstitch.sources.closeio.shapes import STREAMS
from lockstitch.testing.vendors.faults import Failure
from sources.closeio.account import Account, ago
from sources.closeio.pipelines import Warehouse, assert_whole
from sources.reassembled import reassembled

#: A record of each, the stream's name without its plural.
KINDS = {"leads": "lead", "activities": "acti", "tasks": "task"}


@pytest.fixture
def filled(account: Account, warehouse: Warehouse) -> Account:
    """Three records of each stream, replicated; the second of each was deleted since, and nobody has read of it."""
    for number in range(3):
        account.lead(number, ago(days=5))
        account.activity(number, ago(days=5))
        account.task(number, ago(days=5))
        account.user(number, ago(days=5))
    warehouse.run(account)
    account.data.clock.advance(timedelta(hours=1))
    for stream, kind in KINDS.items():
        account.data.delete(stream, f"{kind}_00001")  # pyright: ignore[reportArgumentType]
    account.data.clock.advance(timedelta(days=2))
    return account


def reset(account: Account, warehouse: Warehouse) -> None:
    verbs.reset(warehouse.settings(account), "leads")


def test_what_was_deleted_before_a_reset_goes_with_it(filled: Account, warehouse: Warehouse) -> None:
    reset(filled, warehouse)
    warehouse.run(filled)
    assert_whole(filled, warehouse)
    for stream in KINDS:
        assert reassembled(warehouse.tables(), stream)[1] == set()


@pytest.mark.parametrize("place", ["/custom_field/lead/", "/lead/", "/activity/", "/task/", "/user/"])
def test_a_reset_that_is_interrupted_anywhere_replaces_every_table(
    filled: Account, warehouse: Warehouse, place: str
) -> None:
    reset(filled, warehouse)
    filled.faults.add(Failure(status=403, on=place, times=None))
    assert warehouse.carried(filled).verdict == "user"
    filled.faults.clear()
    warehouse.run(filled)
    assert_whole(filled, warehouse)


@pytest.mark.parametrize("interrupted", [False, True])
def test_events_that_close_does_not_keep_any_more_stay(
    account: Account, warehouse: Warehouse, interrupted: bool
) -> None:
    account.event(1, ago(days=29))
    account.event(2, ago(days=1))
    warehouse.run(account)
    account.data.clock.advance(timedelta(days=10))
    account.event(3, ago(days=-9))
    reset(account, warehouse)
    told = {one.stream: one.replaces for one in verbs.plan(warehouse.settings(account)).streams}
    assert not told["event_log"]
    if interrupted:
        account.faults.add(Failure(status=403, on="/user/", times=None))
        assert warehouse.carried(account).verdict == "user"
        account.faults.clear()
    warehouse.run(account)
    assert sorted(reassembled(warehouse.tables(), "event_log")[0]) == ["ev_00001", "ev_00002", "ev_00003"]


def test_the_plan_tells_which_tables_a_reset_replaces(filled: Account, warehouse: Warehouse) -> None:
    def told() -> set[str]:
        return {one.stream for one in verbs.plan(warehouse.settings(filled)).streams if one.replaces}

    assert told() == set()
    reset(filled, warehouse)
    assert told() == {"leads", "activities", "tasks", "users"}
    warehouse.run(filled)
    assert told() == set()


def test_what_is_deleted_after_a_reset_is_marked(filled: Account, warehouse: Warehouse) -> None:
    reset(filled, warehouse)
    warehouse.run(filled)
    filled.data.clock.advance(timedelta(hours=1))
    filled.data.delete("tasks", "task_00002")
    warehouse.run(filled)
    assert_whole(filled, warehouse)
    assert reassembled(warehouse.tables(), "tasks")[1] == {"task_00002"}


def test_a_stream_that_is_deselected_within_a_reset_is_replaced_once_it_is_selected_again(
    filled: Account, warehouse: Warehouse
) -> None:
    reset(filled, warehouse)
    filled.faults.add(Failure(status=403, on="/task/", times=None))
    assert warehouse.carried(filled).verdict == "user"
    filled.faults.clear()
    warehouse.run(filled, {name: StreamChoice() for name in STREAMS if name not in ("leads", "users")})
    warehouse.run(filled)
    assert_whole(filled, warehouse)
