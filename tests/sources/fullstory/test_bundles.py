"""Events by Data Export, against the fake: all rows once, at what cost, and what a bundle may be like."""

from __future__ import annotations

from datetime import timedelta

from lockstitch.core.model import Checkpoint
from lockstitch.testing.vendors.fullstory import FullStoryServer
from sources.fullstory.account import Account, cursors, rows, truth


def test_all_bundles_are_read_in_order(account: Account, fullstory: FullStoryServer) -> None:
    messages = account.read("events")
    assert rows(messages) == truth(fullstory, "events")
    assert len(cursors(messages)) == 45
    assert cursors(messages)[-1] == {"stop": "2026-06-14T12:00:00.000000Z"}
    assert fullstory.count("/export/list") == 3
    assert fullstory.count("/export/get") == 45


def test_a_second_run_is_one_list_and_no_download(account: Account, fullstory: FullStoryServer) -> None:
    last = cursors(account.read("events"))[-1]
    fullstory.requests.clear()
    assert account.read("events", last) == [Checkpoint(last)]
    assert [one.request.path for one in fullstory.requests] == ["/api/v1/export/list"]
    fullstory.clock.advance(timedelta(hours=24))
    (new,) = cursors(account.read("events", last))
    assert new == {"stop": "2026-06-15T12:00:00.000000Z"}
