"""Activities are read by windows of the day they were made; the last 24 hours are read again each time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from lockstitch.core.errors import SourceDataError
from lockstitch.testing.vendors.close_data import stamp
from sources.closeio.account import NOW, Account, ago

ONLY = ("activities",)
DAY = timedelta(days=1)


def windows(account: Account) -> list[tuple[datetime, datetime]]:
    """Return the windows that were asked for, each once, in their order."""
    asked = [(one["date_created__gte"], one["date_created__lt"]) for one in account.asked("/activity/")]
    texts = list(dict.fromkeys(asked))
    return [tuple(datetime.fromisoformat(text).replace(tzinfo=UTC) for text in one) for one in texts]  # pyright: ignore[reportReturnType]


def test_windows_begin_a_day_early_leave_no_gap_and_reach_into_the_future(account: Account) -> None:
    account.read(only=ONLY, start_date="2026-04-01T07:00:00Z")
    asked = windows(account)
    assert asked[0] == (datetime(2026, 3, 31, tzinfo=UTC), datetime(2026, 4, 15, tzinfo=UTC))
    assert all(end == start for (_, end), (start, _) in pairwise(asked))
    assert asked[-1][1] >= NOW + 15 * DAY
    assert len(asked) == 5


def test_days_of_a_window_and_the_overlap_are_settings(account: Account) -> None:
    account.read(only=ONLY, start_date="2026-06-01", date_window=5, activities_window_seconds=3600)
    asked = windows(account)
    assert asked[0] == (datetime(2026, 5, 31, 23, tzinfo=UTC), datetime(2026, 6, 5, 23, tzinfo=UTC))


def test_one_on_the_boundary_of_two_windows_comes_once(account: Account) -> None:
    boundary = datetime(2026, 4, 15, tzinfo=UTC)
    for number, at in enumerate((boundary - timedelta(microseconds=1), boundary, boundary + timedelta(microseconds=1))):
        account.activity(number, at)
    assert sorted(account.read(only=ONLY, start_date="2026-04-01").ids("activities")) == [
        "acti_00000",
        "acti_00001",
        "acti_00002",
    ]


def test_one_of_the_future_comes_and_does_not_move_the_position(account: Account) -> None:
    account.activity(1, ago(days=3))
    account.activity(2, NOW + 3 * DAY)
    read = account.read(only=ONLY)
    assert sorted(read.ids("activities")) == ["acti_00001", "acti_00002"]
    assert read.position("activities") == ago(days=3)


def test_what_changes_within_a_day_is_read_again(account: Account) -> None:
    account.activity(1, ago(days=3))
    account.activity(2, ago(hours=20))
    account.activity(3, ago(hours=1), duration=None)
    first = account.read(only=ONLY)
    account.data.clock.advance(timedelta(hours=3))
    account.data.update("activities", "acti_00003", {"duration": 60})
    second = account.read(first.cursor, only=ONLY)
    assert {row["id"]: row.get("duration") for row in second.rows("activities")} == {
        "acti_00002": None,
        "acti_00003": 60,
    }
    assert second.position("activities") == ago(hours=1)


def test_the_position_never_goes_back_nor_beyond_now(account: Account) -> None:
    first = account.read(only=ONLY)
    assert first.position("activities") <= NOW
    account.activity(1, ago(minutes=5))
    second = account.read(first.cursor, only=ONLY)
    assert second.position("activities") == ago(minutes=5)
    account.data.clock.advance(40 * DAY)
    third = account.read(second.cursor, only=ONLY)
    assert second.position("activities") <= third.position("activities") <= account.data.clock.now()


def test_where_too_many_are_in_a_window_it_is_cut_and_later_ones_are_large_again(account: Account) -> None:
    account.max_skip["activity"] = 150
    busy = datetime(2026, 5, 4, tzinfo=UTC)
    for number in range(800):
        account.activity(number, busy + number * DAY / 800)
    for number in range(800, 820):
        account.activity(number, busy + (number - 797) * DAY)
    read = account.read(only=ONLY)
    assert set(read.ids("activities")) == {f"acti_{number:05}" for number in range(820)}
    sizes = [end - start for start, end in windows(account)]
    assert min(sizes) == DAY / 8
    assert sizes[0] == 15 * DAY
    assert sizes[-1] >= 15 * DAY
    # Only the busy day is cut further.
    assert sizes.count(DAY / 8) == 8
    # The last window holds none: the position is where it begins.
    assert read.position("activities") == datetime(2026, 5, 30, tzinfo=UTC)


def test_more_in_three_hours_than_close_lists_is_an_error_that_names_them(account: Account) -> None:
    account.max_skip["activity"] = 150
    for number in range(400):
        account.activity(number, ago(days=5) + timedelta(seconds=number))
    with pytest.raises(SourceDataError, match=r"/activity/ from 2026-06-10T\d\d:\d\d:\d\d to .*max_skip = 150"):
        account.read(only=ONLY)


def test_the_bookmark_of_a_state_is_read_from_a_day_before(account: Account) -> None:
    state = {"bookmarks": {"activities": {"date_created": "2026-06-10T00:00:00+00:00"}}}
    account.read(account.source().cursors(state)["closeio"], only=ONLY)
    assert windows(account)[0][0] == datetime(2026, 6, 9, tzinfo=UTC)


def test_texts_of_a_mail_that_are_no_moments_come_as_texts(account: Account) -> None:
    texts = (stamp(ago(hours=1)), "Mon, 32 Foo 2026", "", None)
    for number, text in enumerate(texts):
        account.activity(number, ago(hours=1), envelope={"date": text, "subject": "s"})
    rows = account.read(only=ONLY).rows("activities")
    assert {row["id"]: row["envelope"]["date"] for row in rows} == {
        "acti_00000": ago(hours=1),
        "acti_00001": "Mon, 32 Foo 2026",
        "acti_00002": "",
        "acti_00003": None,
    }
