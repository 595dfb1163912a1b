"""Drawn Quartz expressions, against a slow matcher that is written from Quartz's documentation alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstitch.control.schedules.quartz import parse

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEK = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
ONE_DAY = timedelta(days=1)


def named(text: str) -> int:
    for names in (MONTHS, WEEK):
        if text.upper() in names:
            return names.index(text.upper()) + 1
    return int(text)


def listed(text: str, every: list[int]) -> set[int]:
    """Walk through `every`, round and round, from each term's first number to its last."""
    found = set[int]()
    for term in text.split(","):
        numbers, _, step = term.partition("/")
        first, _, last = numbers.partition("-")
        if first in ("", "*"):
            walk = every
        elif last:
            start, end = every.index(named(first)), every.index(named(last))
            walk = every[start : end + 1] if start <= end else every[start:] + every[: end + 1]
        else:
            walk = every[every.index(named(first)) :] if step else [named(first)]
        found.update(walk[:: int(step or 1)])
    return found


def month_of(day: date) -> list[date]:
    first = day.replace(day=1)
    return [first + ONE_DAY * count for count in range(31) if (first + ONE_DAY * count).month == day.month]


def quartz_weekday(day: date) -> int:
    return day.isoweekday() % 7 + 1


def is_day_of_month(term: str, day: date) -> bool:
    month = month_of(day)
    if not re.search("[LW]", term, re.IGNORECASE):
        return day.day in listed(term, list(range(1, 32)))
    text = term.upper().rstrip("W")
    wanted = len(month) - int(text[2:] or 0) if text.startswith("L") else int(text)
    if not 1 <= wanted <= len(month):
        return False
    if not term.upper().endswith("W"):
        return day.day == wanted
    weekdays = [one for one in month if one.isoweekday() <= 5]
    return day == min(weekdays, key=lambda one: abs(one.day - wanted))


def is_day_of_week(text: str, day: date) -> bool:
    if "#" in text:
        name, _, nth = text.partition("#")
        alike = [one for one in month_of(day) if quartz_weekday(one) == named(name)]
        return day in alike[int(nth) - 1 : int(nth)]
    if text.upper() == "L":
        return quartz_weekday(day) == 7
    if text.upper().endswith("L"):
        return quartz_weekday(day) == named(text[:-1]) and (day + ONE_DAY * 7).month != day.month
    return quartz_weekday(day) in listed(text, list(range(1, 8)))


class SlowMatcher:
    """Finds fire times by looking at every day, and on a day at every time."""

    def __init__(self, expression: str) -> None:
        texts = expression.split()
        second, minute, hour, self.of_month, month, self.of_week = texts[:6]
        self.times = [
            sorted(listed(hour, list(range(24)))),
            sorted(listed(minute, list(range(60)))),
            sorted(listed(second, list(range(60)))),
        ]
        self.months = listed(month, list(range(1, 13)))
        self.years = listed(texts[6] if len(texts) > 6 else "*", list(range(1970, 2100)))

    def fires_on(self, day: date) -> bool:
        if day.month not in self.months or day.year not in self.years:
            return False
        if self.of_month == "?":
            return is_day_of_week(self.of_week, day)
        return any(is_day_of_month(term, day) for term in self.of_month.split(","))

    def times_on(self, day: date, step: int) -> Iterator[datetime]:
        for hour, minute, second in product(*(numbers[::step] for numbers in self.times)):
            yield datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC)

    def nearest(self, start: datetime, step: int, days_to_look_at: int) -> datetime | None:
        """Return the first fire time after `start` (step 1), or the last one at or before it (step -1)."""
        for count in range(days_to_look_at):
            day = start.date() + ONE_DAY * count * step
            if self.fires_on(day):
                for at in self.times_on(day, step):
                    if at > start if step == 1 else at <= start:
                        return at
        return None


def terms(first: int, last: int, names: list[str]) -> st.SearchStrategy[str]:
    numbers = st.integers(first, last).map(str)
    cased = st.sampled_from(names).flatmap(lambda name: st.sampled_from([name, name.lower(), name.title()]))
    value = numbers | cased if names else numbers
    ranged = st.tuples(value, value).map("-".join)
    step = st.integers(1, last).map("/{}".format)
    return st.one_of(
        value,
        ranged,
        st.tuples(st.sampled_from(["*", ""]) | value | ranged, step).map("".join),
        st.just("*"),
    )


def lists(one: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(one, min_size=1, max_size=3).map(",".join)


YEARS = st.integers(2020, 2032).map(str)
DAY_NAMES = st.sampled_from(WEEK) | st.integers(1, 7).map(str)
SPECIAL_DAYS_OF_MONTH = st.one_of(
    st.sampled_from(["L", "LW", "lw", "1W", "31W"]),
    st.integers(1, 31).map("{}W".format),
    st.integers(0, 30).map("L-{}".format),
    st.integers(0, 30).map("L-{}W".format),
)
SPECIAL_DAYS_OF_WEEK = st.one_of(
    st.just("L"),
    DAY_NAMES.map("{}L".format),
    st.tuples(DAY_NAMES, st.integers(1, 5).map(str)).map("#".join),
)
DAY_FIELDS = st.one_of(
    st.tuples(lists(terms(1, 31, []) | SPECIAL_DAYS_OF_MONTH), lists(terms(1, 12, MONTHS)), st.just("?")),
    st.tuples(st.just("?"), lists(terms(1, 12, MONTHS)), lists(terms(1, 7, WEEK)) | SPECIAL_DAYS_OF_WEEK),
)
EXPRESSIONS = st.tuples(
    lists(terms(0, 59, [])),
    lists(terms(0, 59, [])),
    lists(terms(0, 23, [])),
    DAY_FIELDS.map(" ".join),
    st.one_of(
        st.just(""),
        st.just("*"),
        lists(YEARS),
        st.tuples(st.integers(2015, 2025), st.integers(2025, 2035)).map(lambda pair: f"{pair[0]}-{pair[1]}"),
        YEARS.map("{}/3".format),
    ),
).map(lambda texts: " ".join(texts).strip())
MOMENTS = st.datetimes(datetime(2019, 1, 1), datetime(2031, 12, 31), timezones=st.just(UTC))

#: More than eight years: past the longest wait for a leap day around these moments.
HORIZON_DAYS = 3_000


def agrees(expression: str, start: datetime) -> None:
    cron, slow, horizon = parse(expression), SlowMatcher(expression), ONE_DAY * (HORIZON_DAYS - 1)
    following, expected = cron.next_after(start), slow.nearest(start, 1, HORIZON_DAYS)
    assert following == expected or (expected is None and following is not None and following > start + horizon)
    latest, expected = cron.last_at(start), slow.nearest(start, -1, HORIZON_DAYS)
    assert latest == expected or (expected is None and latest is not None and latest < start - horizon)
    if following is not None:
        assert cron.last_at(following) == following
        assert cron.last_at(following - timedelta(seconds=1)) == latest
        assert cron.next_after(following - timedelta(microseconds=1)) == following


_SETTINGS: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}


@settings(max_examples=400, derandomize=True, **_SETTINGS)
@given(EXPRESSIONS, MOMENTS)
def test_fire_times_are_those_of_a_slow_matcher(expression: str, start: datetime) -> None:
    agrees(expression, start)


@pytest.mark.long
@settings(max_examples=5_000, **_SETTINGS)
@given(EXPRESSIONS, MOMENTS)
def test_fire_times_are_those_of_a_slow_matcher_five_thousand_times(expression: str, start: datetime) -> None:
    agrees(expression, start)
