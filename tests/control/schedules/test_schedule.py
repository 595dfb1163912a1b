"""Which schedule a source's properties ask for, when its jobs start, and how the API shows it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstitch.control.schedules.quartz import CronError
from lockstitch.control.schedules.schedule import (
    Anchored,
    CronSchedule,
    Interval,
    Schedule,
    next_fire,
    schedule_object,
    schedule_of,
)
from lockstitch.core.errors import SettingsError

NOON = "0 0 12 * * ?"
ANCHOR = "2018-11-06T22:00:00.000Z"
ANCHORED = datetime(2018, 11, 6, 22, tzinfo=UTC)


def at(clock: str, day: int = 22) -> datetime:
    """Return a time of a day in June 2020."""
    return datetime.fromisoformat(f"2020-06-{day:02}T{clock}").replace(tzinfo=UTC)


# --- schedule_of ------------------------------------------------------------------------------------------------------

CHOICES: dict[str, tuple[dict[str, object], Schedule]] = {
    "nothing": ({}, Interval(30)),
    "nulls": ({"frequency_in_minutes": None, "anchor_time": None, "cron_expression": None}, Interval(30)),
    "frequency": ({"frequency_in_minutes": "60"}, Interval(60)),
    "frequency and anchor": ({"frequency_in_minutes": "60", "anchor_time": ANCHOR}, Anchored(60, ANCHORED)),
    "anchor in another zone": (
        {"frequency_in_minutes": "1440", "anchor_time": "2018-11-07T01:00:00+03:00"},
        Anchored(1440, ANCHORED),
    ),
    "anchor without zone": (
        {"frequency_in_minutes": "1440", "anchor_time": "2018-11-06T22:00:00"},
        Anchored(1440, ANCHORED),
    ),
    "anchor below an hour": ({"frequency_in_minutes": "30", "anchor_time": ANCHOR}, Interval(30)),
    "anchor without frequency": ({"anchor_time": ANCHOR}, Interval(30)),
    "cron": ({"cron_expression": NOON}, CronSchedule(NOON)),
    "cron wins": (
        {"cron_expression": NOON, "frequency_in_minutes": "60", "anchor_time": ANCHOR},
        CronSchedule(NOON),
    ),
}


@pytest.mark.parametrize(("properties", "expected"), CHOICES.values(), ids=CHOICES)
def test_the_properties_choose_the_schedule(properties: dict[str, object], expected: Schedule) -> None:
    assert schedule_of(properties, 30) == expected


def test_a_type_without_schedules_has_none() -> None:
    assert schedule_of({}, None) is None
    assert schedule_of({"frequency_in_minutes": "60", "cron_expression": NOON}, None) is None


@pytest.mark.parametrize("value", ["", "0", "-5", "1.5", "hourly", "9999999", "٣٠"])
def test_a_frequency_that_is_no_number_of_minutes(value: str) -> None:
    with pytest.raises(SettingsError, match="frequency_in_minutes is ") as caught:
        schedule_of({"frequency_in_minutes": value}, 30)
    assert caught.value.hint == "allowed are 1, 30, 60, 360, 720 and 1440"


@pytest.mark.parametrize("value", ["", "noon", "2020-13-01T00:00:00Z", "9999-12-31T23:59:59-10:00"])
def test_an_anchor_that_is_no_time(value: str) -> None:
    with pytest.raises(SettingsError, match=f"anchor_time is '{value}', not a date and time"):
        schedule_of({"frequency_in_minutes": "60", "anchor_time": value}, 30)


# --- plain intervals --------------------------------------------------------------------------------------------------


def test_the_first_job_of_a_new_source_starts_at_once() -> None:
    now = at("10:00:00.5")
    assert next_fire(Interval(1440), last_start=None, now=now) == at("10:00:00")
    for asked in (now, at("10:00:20"), at("10:20:00")):
        assert next_fire(Interval(1440), last_start=None, now=asked, after=now) == at("10:00:00")


def test_an_interval_counts_from_the_previous_start() -> None:
    assert next_fire(Interval(60), last_start=at("10:07:30"), now=at("10:08:00")) == at("11:07:30")
    assert next_fire(Interval(60), last_start=at("10:07:30"), now=at("11:07:30")) == at("11:07:30")
    assert next_fire(Interval(60), last_start=at("11:07:30"), now=at("11:07:31")) == at("12:07:30")


def test_a_start_by_hand_moves_the_grid() -> None:
    assert next_fire(Interval(60), last_start=at("10:45:00"), now=at("10:46:00")) == at("11:45:00")


def test_the_documented_overlap_skips_one_start() -> None:
    """Hourly: a job from 03:30 to 04:38 makes 04:30 pass, and 05:30 comes next."""
    for schedule in (Interval(60), Anchored(60, at("02:30:00", day=1)), CronSchedule("0 30 * * * ?")):
        assert next_fire(schedule, last_start=at("02:30:00"), now=at("03:26:00"), after=at("03:25:00")) == at(
            "03:30:00"
        )
        assert next_fire(schedule, last_start=at("03:30:00"), now=at("04:39:00"), after=at("04:38:00")) == at(
            "05:30:00"
        )
        assert next_fire(schedule, last_start=at("05:30:00"), now=at("05:50:00"), after=at("05:45:00")) == at(
            "06:30:00"
        )


# --- anchors ----------------------------------------------------------------------------------------------------------

DOCUMENTED = {
    "03:30, every six hours": (Anchored(360, at("03:30:00", day=1)), at("04:00:00"), [9.5, 15.5, 21.5, 27.5]),
    "09:00, every six hours, at 08:00": (Anchored(360, at("09:00:00", day=1)), at("08:00:00"), [9, 15, 21, 27]),
    "13:00, daily, at 16:00": (Anchored(1440, at("13:00:00")), at("16:00:00"), [37, 61]),
    "09:00, daily, at 12:00": (Anchored(1440, at("09:00:00")), at("12:00:00"), [33, 57]),
    "a future anchor is phase only": (Anchored(360, at("03:30:00", day=29)), at("04:00:00"), [9.5, 15.5]),
    "exactly on the grid": (Anchored(60, at("03:00:00", day=1)), at("03:00:00"), [4, 5]),
}


@pytest.mark.parametrize(("schedule", "now", "hours"), DOCUMENTED.values(), ids=DOCUMENTED)
def test_the_grid_of_an_anchor(schedule: Anchored, now: datetime, hours: list[float]) -> None:
    last_start, ticks = None, list[datetime | None]()
    for _ in hours:
        last_start = next_fire(schedule, last_start=last_start, now=now)
        ticks.append(last_start)
    assert ticks == [at("00:00:00") + timedelta(hours=one) for one in hours]


def test_a_changed_schedule_does_not_start_a_job_for_a_point_before_the_change() -> None:
    changed = at("16:00:00")
    for schedule in (Anchored(1440, at("13:00:00", day=1)), CronSchedule("0 0 13 * * ?")):
        found = next_fire(schedule, last_start=at("10:00:00", day=20), now=at("16:00:05"), after=changed)
        assert found == at("13:00:00", day=23)


# --- outages and clocks -----------------------------------------------------------------------------------------------

EACH = [Interval(60), Anchored(60, datetime(2020, 1, 1, tzinfo=UTC)), CronSchedule("0 0 * * * ?")]


@pytest.mark.parametrize("schedule", EACH, ids=lambda one: type(one).__name__)
def test_an_outage_brings_one_late_job_and_then_the_grid(schedule: Schedule) -> None:
    late = next_fire(schedule, last_start=at("10:00:00", day=18), now=at("12:20:00"))
    assert late == at("12:00:00")
    assert next_fire(schedule, last_start=late, now=at("12:20:01")) == at("13:00:00")


@pytest.mark.parametrize("schedule", EACH, ids=lambda one: type(one).__name__)
def test_a_clock_that_jumps_back_brings_no_point_up_again(schedule: Schedule) -> None:
    for now in (at("10:00:00"), at("09:59:59.9"), at("09:00:00"), at("11:00:00", day=1)):
        assert next_fire(schedule, last_start=at("10:00:00"), now=now) == at("11:00:00")


@pytest.mark.parametrize("schedule", EACH, ids=lambda one: type(one).__name__)
def test_a_stored_tick_is_fired_late_once_and_the_grid_goes_on(schedule: Schedule) -> None:
    stored = next_fire(schedule, last_start=at("10:00:00", day=18), now=at("10:00:01", day=18))
    assert stored == at("11:00:00", day=18)
    now = at("12:20:00")
    assert next_fire(schedule, last_start=stored, now=now, after=now) == at("13:00:00")


def test_a_stored_tick_that_is_fired_a_little_late_does_not_shift_the_grid() -> None:
    tick: datetime | None = at("10:00:00")
    for hour in range(11, 20):
        now = at(f"{hour - 1}:00:00.9")
        tick = next_fire(Interval(60), last_start=tick, now=now, after=now)
        assert tick == at(f"{hour}:00:00")


def test_a_cron_expression_that_is_over_never_fires_again() -> None:
    once = CronSchedule("0 0 12 1 1 ? 2020")
    assert next_fire(once, last_start=None, now=at("10:00:00")) is None
    assert next_fire(once, last_start=datetime(2019, 1, 1, tzinfo=UTC), now=at("10:00:00")) == datetime(
        2020, 1, 1, 12, tzinfo=UTC
    )


def test_an_invalid_expression_is_told_where_it_is_used() -> None:
    schedule = schedule_of({"cron_expression": "* * * * * *"}, 60)
    assert schedule is not None
    with pytest.raises(CronError, match="Support for specifying both"):
        next_fire(schedule, last_start=None, now=at("10:00:00"))


SCHEDULES = st.one_of(
    st.integers(1, 1440).map(Interval),
    st.builds(
        Anchored,
        st.integers(60, 1440),
        st.datetimes(datetime(2010, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    ),
    st.sampled_from([NOON, "0 0/7 * * * ?", "0 30 4 ? * MON-FRI", "0 0 0 L * ?"]).map(CronSchedule),
)
STEPS = st.lists(st.floats(-20_000, 200_000), min_size=1, max_size=30)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(SCHEDULES, STEPS)
def test_whatever_the_clock_does_no_tick_comes_twice_and_none_too_early(schedule: Schedule, steps: list[float]) -> None:
    now, last_start, ticks = at("10:00:00"), at("09:41:17"), list[datetime]()
    for seconds in steps:
        now += timedelta(seconds=seconds)
        tick = next_fire(schedule, last_start=last_start, now=now)
        assert tick is not None
        assert tick > last_start
        assert tick.microsecond == 0
        if tick <= now:
            again = next_fire(schedule, last_start=tick, now=now)
            assert again is not None
            assert again > now
            ticks.append(tick)
            last_start = tick
    assert ticks == sorted(set(ticks))


# --- the schedule object ----------------------------------------------------------------------------------------------


def test_the_documented_schedule_objects() -> None:
    hourly = '{"type": "interval", "unit": "minute", "interval": 60.0, "next_fire_time": "2020-06-22T19:00:00Z"}'
    assert json.dumps(schedule_object(Interval(60), at("19:00:00"))) == hourly
    assert json.dumps(schedule_object(Anchored(60, ANCHORED), at("19:00:00"))) == hourly
    assert schedule_object(CronSchedule("0 0 12 ? * MON-FRI *"), at("12:00:00")) == {
        "type": "cron",
        "cron_expression": "0 0 12 ? * MON-FRI *",
        "next_fire_time": "2020-06-22T12:00:00Z",
    }


def test_a_schedule_that_is_over_shows_no_time() -> None:
    assert schedule_object(CronSchedule(NOON), None)["next_fire_time"] is None
