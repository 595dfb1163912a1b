"""Quartz expressions: examples by hand, and the texts of errors."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstitch.control.schedules.quartz import CronError, parse


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fires(expression: str, start: str, count: int) -> list[str]:
    """Return the first fire times after `start`."""
    cron, at, found = parse(expression), moment(start), list[str]()
    while len(found) < count and (following := cron.next_after(at)) is not None:
        at = following
        found.append(at.strftime("%Y-%m-%d %H:%M:%S"))
    return found


def days(expression: str, start: str, count: int) -> list[str]:
    """Return the days of the first fire times after `start`, for an expression that fires at midnight."""
    found = fires(expression, start, count)
    assert all(text.endswith(" 00:00:00") for text in found)
    return [text[:10] for text in found]


# --- examples by hand -------------------------------------------------------------------------------------------------

EXAMPLES = {
    "the API's own example skips the weekend": (
        "0 0 12 ? * MON-FRI *",
        "2020-06-19 12:00:00",
        ["2020-06-22 12:00:00", "2020-06-23 12:00:00"],
    ),
    "every second": ("* * * * * ?", "2023-12-31 23:59:58", ["2023-12-31 23:59:59", "2024-01-01 00:00:00"]),
    "a step from a number": (
        "0 0/15 * * * ?",
        "2024-05-01 10:15:00",
        ["2024-05-01 10:30:00", "2024-05-01 10:45:00", "2024-05-01 11:00:00"],
    ),
    "a step over a range": (
        "0 10-50/20 7 * * ?",
        "2024-05-01 00:00:00",
        ["2024-05-01 07:10:00", "2024-05-01 07:30:00", "2024-05-01 07:50:00", "2024-05-02 07:10:00"],
    ),
    "a step over everything": ("0 */40 * * * ?", "2024-05-01 10:01:00", ["2024-05-01 10:40:00", "2024-05-01 11:00:00"]),
    "a step alone": ("0 /40 * * * ?", "2024-05-01 10:01:00", ["2024-05-01 10:40:00", "2024-05-01 11:00:00"]),
    "ranges and numbers in a list": (
        "0 5-6,30 3 * * ?",
        "2024-05-01 00:00:00",
        ["2024-05-01 03:05:00", "2024-05-01 03:06:00", "2024-05-01 03:30:00", "2024-05-02 03:05:00"],
    ),
    "hours around midnight": (
        "0 0 22-2 * * ?",
        "2024-05-01 12:00:00",
        [
            "2024-05-01 22:00:00",
            "2024-05-01 23:00:00",
            "2024-05-02 00:00:00",
            "2024-05-02 01:00:00",
            "2024-05-02 02:00:00",
            "2024-05-02 22:00:00",
        ],
    ),
    "a step that goes on behind midnight": (
        "0 0 22-4/3 * * ?",
        "2024-05-01 12:00:00",
        ["2024-05-01 22:00:00", "2024-05-02 01:00:00", "2024-05-02 04:00:00", "2024-05-02 22:00:00"],
    ),
}


@pytest.mark.parametrize(("expression", "start", "expected"), EXAMPLES.values(), ids=EXAMPLES)
def test_times_of_the_day(expression: str, start: str, expected: list[str]) -> None:
    assert fires(expression, start, len(expected)) == expected


DAYS = {
    "1 is Sunday": ("0 0 0 ? * 1", "2024-05-01", ["2024-05-05", "2024-05-12"]),
    "7 is Saturday": ("0 0 0 ? * 7", "2024-05-01", ["2024-05-04", "2024-05-11"]),
    "L alone is Saturday": ("0 0 0 ? * L", "2024-05-01", ["2024-05-04", "2024-05-11"]),
    "2-6 is Monday to Friday": ("0 0 0 ? * 2-6", "2024-05-02", ["2024-05-03", "2024-05-06"]),
    "names in any case": ("0 0 0 ? jUn fRi,Mon", "2024-05-30", ["2024-06-03", "2024-06-07", "2024-06-10"]),
    "a week's range that wraps": (
        "0 0 0 ? * FRI-MON",
        "2024-05-01",
        ["2024-05-03", "2024-05-04", "2024-05-05", "2024-05-06", "2024-05-10"],
    ),
    "a week's range by numbers that wraps": ("0 0 0 ? * 7-1", "2024-05-01", ["2024-05-04", "2024-05-05", "2024-05-11"]),
    "a month's range that wraps": ("0 0 0 1 NOV-FEB ?", "2024-10-02", ["2024-11-01", "2024-12-01", "2025-01-01"]),
    "days of the month that wrap": ("0 0 0 30-2 * ?", "2024-02-01 12:00", ["2024-02-02", "2024-03-01", "2024-03-02"]),
    "every third day begins anew each month": ("0 0 0 */15 * ?", "2024-01-15", ["2024-01-16", "2024-01-31"]),
    "a step of months": ("0 0 0 1 2/5 ?", "2024-01-15", ["2024-02-01", "2024-07-01", "2024-12-01", "2025-02-01"]),
    "the last day of the month": ("0 0 0 L * ?", "2024-01-31", ["2024-02-29", "2024-03-31", "2024-04-30"]),
    "three days before the last": ("0 0 0 L-3 * ?", "2023-01-31", ["2023-02-25", "2023-03-28"]),
    "thirty days before the last": ("0 0 0 L-30 * ?", "2024-01-02", ["2024-03-01", "2024-05-01"]),
    "the nearest weekday to a Saturday": ("0 0 0 15W 6 ?", "2024-01-01", ["2024-06-14"]),
    "the nearest weekday to a Sunday": ("0 0 0 15W 9 ?", "2024-01-01", ["2024-09-16"]),
    "the nearest weekday to a weekday": ("0 0 0 15W 5 ?", "2024-01-01", ["2024-05-15"]),
    "a Saturday 1st stays in its month": ("0 0 0 1W 6 ?", "2024-01-01", ["2024-06-03"]),
    "a Sunday 1st": ("0 0 0 1W 9 ?", "2024-01-01", ["2024-09-02"]),
    "a Sunday at the month's end stays in its month": ("0 0 0 31W 3 ?", "2024-01-01", ["2024-03-29"]),
    "31W passes over short months": ("0 0 0 31W * ?", "2024-03-31", ["2024-05-31", "2024-07-31"]),
    "the last weekday, of a month ending on Sunday": ("0 0 0 LW * ?", "2024-06-01", ["2024-06-28", "2024-07-31"]),
    "the last weekday, of a month ending on Saturday": ("0 0 0 LW 8 ?", "2024-06-01", ["2024-08-30"]),
    "the weekday nearest to one counted from the end": ("0 0 0 L-1W 6 ?", "2024-01-01", ["2024-06-28"]),
    "a list of days with L and W": ("0 0 0 1,15W,L 6 ?", "2024-01-01", ["2024-06-01", "2024-06-14", "2024-06-30"]),
    "two days that are one": ("0 0 0 14,15W 6 ?", "2024-01-01", ["2024-06-14", "2025-06-14", "2025-06-16"]),
    "the last Friday by number": ("0 0 0 ? * 6L", "2024-05-01", ["2024-05-31", "2024-06-28"]),
    "the last Friday by name": ("0 0 0 ? * FRIL", "2024-05-31", ["2024-06-28", "2024-07-26"]),
    "the second Wednesday by number": ("0 0 0 ? * 4#2", "2024-05-01", ["2024-05-08", "2024-06-12"]),
    "the second Wednesday by name": ("0 0 0 ? * wed#2", "2024-05-08", ["2024-06-12", "2024-07-10"]),
    "a fifth Monday is not in every month": ("0 0 0 ? * 2#5", "2024-01-01", ["2024-01-29", "2024-04-29", "2024-07-29"]),
    "leap days": ("0 0 0 29 2 ? *", "2024-02-29", ["2028-02-29", "2032-02-29"]),
    "a leap day on a Monday": ("0 0 0 ? 2 MON#5", "2024-02-29", ["2044-02-29", "2072-02-29"]),
    "years one by one": ("0 0 0 1 1 ? 2026,2030", "2024-01-01", ["2026-01-01", "2030-01-01"]),
    "years by range and step": ("0 0 0 1 1 ? 2025-2031/3", "2024-01-01", ["2025-01-01", "2028-01-01", "2031-01-01"]),
}


@pytest.mark.parametrize(("expression", "start", "expected"), DAYS.values(), ids=DAYS)
def test_days(expression: str, start: str, expected: list[str]) -> None:
    assert days(expression, start, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "start"),
    [
        ("0 0 0 31 2 ?", "1970-01-01"),
        ("0 0 0 30 2 ?", "1970-01-01"),
        ("0 0 0 31W 4,6,9,11 ?", "1970-01-01"),
        ("0 0 0 L-30 2 ?", "1970-01-01"),
        ("0 0 0 ? 2 2#5 2025", "1970-01-01"),
        ("0 0 0 1 1 ? 2024", "2024-01-01"),
        ("* * * * * ?", "2099-12-31 23:59:59"),
        ("* * * * * ?", "2500-01-01"),
    ],
)
def test_none_is_left(expression: str, start: str) -> None:
    assert parse(expression).next_after(moment(start)) is None


def test_the_first_and_the_last_second() -> None:
    every_second = parse("* * * * * ?")
    assert every_second.next_after(moment("1900-01-01")) == moment("1970-01-01")
    assert every_second.next_after(moment("2099-12-31 23:59:58")) == moment("2099-12-31 23:59:59")
    assert every_second.last_at(moment("2500-01-01")) == moment("2099-12-31 23:59:59")
    assert every_second.last_at(moment("1969-12-31 23:59:59")) is None


def test_fractions_of_a_second_and_other_zones() -> None:
    noon = parse("0 0 12 * * ?")
    assert noon.next_after(moment("2024-05-01 11:59:59.999999")) == moment("2024-05-01 12:00:00")
    assert noon.next_after(moment("2024-05-01 12:00:00.000001")) == moment("2024-05-02 12:00:00")
    assert noon.last_at(moment("2024-05-01 12:00:00.000001")) == moment("2024-05-01 12:00:00")
    in_tokyo = datetime(2024, 5, 1, 20, 59, tzinfo=timezone(timedelta(hours=9)))
    found = noon.next_after(in_tokyo)
    assert found == moment("2024-05-01 12:00:00")
    assert found is not None
    assert found.tzinfo is UTC
    with pytest.raises(ValueError, match="no time zone"):
        noon.next_after(datetime(2024, 5, 1))


def test_rare_dates_are_found_fast() -> None:
    rare = [parse(text) for text in ("0 0 0 29 2 ? *", "0 0 0 31 2 ?", "0 0 0 ? * 2#5", "59 59 23 31W 2,4,6,9,11 ?")]
    begun = time.perf_counter()
    for cron in rare:
        for _ in range(10):
            cron.next_after(moment("1970-01-01"))
            cron.last_at(moment("2099-12-31"))
    assert (time.perf_counter() - begun) / 80 < 0.05


# --- errors -----------------------------------------------------------------------------------------------------------

BOTH_DAYS = "Support for specifying both a day-of-week AND a day-of-month parameter is not implemented."
DAY_OF_WEEK = "allowed are 1-7, SUN-SAT and the characters , - * / ? L #1 to #5."
DAY_OF_MONTH = "allowed are 1-31 and the characters , - * / ? L W."
COUNT = "needed are six (seconds, minutes, hours, day-of-month, month, day-of-week), and a seventh may be the year."

ERRORS = {
    "* * * * * *": BOTH_DAYS,
    "0 0 0 1 * MON": BOTH_DAYS,
    "0 0 0 * * MON": BOTH_DAYS,
    "0 0 0 L * 6L 2024": BOTH_DAYS,
    "0 0 0 ? * ?": "both day fields hold ?; exactly one of day-of-month and day-of-week has to be ?.",
    "": f"it has 0 fields; {COUNT}",
    "0 12 * * ?": f"it has 5 fields; {COUNT}",
    "0 0 0 ? * MON 2024 x": f"it has 8 fields; {COUNT}",
    "60 0 0 ? * MON": 'the seconds field holds "60"; allowed are 0-59 and the characters , - * /.',
    "0 5-75 0 ? * MON": 'the minutes field holds "5-75"; allowed are 0-59 and the characters , - * /.',
    "0 0 24 ? * MON": 'the hours field holds "24"; allowed are 0-23 and the characters , - * /.',
    "0 0 ? ? * MON": 'the hours field holds "?"; allowed are 0-23 and the characters , - * /.',
    "0 0 L ? * MON": 'the hours field holds "L"; allowed are 0-23 and the characters , - * /.',
    "0 -5 0 ? * MON": 'the minutes field holds "-5"; allowed are 0-59 and the characters , - * /.',
    "0 ٣ 0 ? * MON": 'the minutes field holds "٣"; allowed are 0-59 and the characters , - * /.',
    "0 0 0 0 * ?": f'the day-of-month field holds "0"; {DAY_OF_MONTH}',
    "0 0 0 32 * ?": f'the day-of-month field holds "32"; {DAY_OF_MONTH}',
    "0 0 0 32W * ?": f'the day-of-month field holds "32W"; {DAY_OF_MONTH}',
    "0 0 0 W * ?": f'the day-of-month field holds "W"; {DAY_OF_MONTH}',
    "0 0 0 1-5W * ?": f'the day-of-month field holds "1-5W"; {DAY_OF_MONTH}',
    "0 0 0 15W/2 * ?": f'the day-of-month field holds "15W/2"; {DAY_OF_MONTH}',
    "0 0 0 6L * ?": f'the day-of-month field holds "6L"; {DAY_OF_MONTH}',
    "0 0 0 1,,2 * ?": f'the day-of-month field holds ""; {DAY_OF_MONTH}',
    "0 0 0 ?,5 * ?": f'the day-of-month field holds "?"; {DAY_OF_MONTH}',
    "0 0 0 L-31 * ?": 'the day-of-month field holds "L-31"; allowed are L-1 to L-30.',
    "0 0 0 1 13 ?": 'the month field holds "13"; allowed are 1-12, JAN-DEC and the characters , - * /.',
    "0 0 0 1 mai ?": 'the month field holds "mai"; allowed are 1-12, JAN-DEC and the characters , - * /.',
    "0 0 0 1 MON ?": 'the month field holds "MON"; allowed are 1-12, JAN-DEC and the characters , - * /.',
    "0 0 0 ? * 0": f'the day-of-week field holds "0"; {DAY_OF_WEEK}',
    "0 0 0 ? * 8": f'the day-of-week field holds "8"; {DAY_OF_WEEK}',
    "0 0 0 ? * TUE-THUR": f'the day-of-week field holds "TUE-THUR"; {DAY_OF_WEEK}',
    "0 0 0 ? * 2#6": f'the day-of-week field holds "2#6"; {DAY_OF_WEEK}',
    "0 0 0 ? * 2#0": f'the day-of-week field holds "2#0"; {DAY_OF_WEEK}',
    "0 0 0 ? * JANL": f'the day-of-week field holds "JANL"; {DAY_OF_WEEK}',
    "0 0 0 ? * 15W": f'the day-of-week field holds "15W"; {DAY_OF_WEEK}',
    "0 0 0 ? * 3#1,6#3": 'the day-of-week field holds "3#1,6#3"; a day with L or # cannot be part of a list.',
    "0 0 0 ? * MON,L": 'the day-of-week field holds "MON,L"; a day with L or # cannot be part of a list.',
    "0 0/0 0 ? * MON": 'the minutes field holds "0/0"; a step is from 1 to 59.',
    "0 */60 0 ? * MON": 'the minutes field holds "*/60"; a step is from 1 to 59.',
    "0 0 */24 ? * MON": 'the hours field holds "*/24"; a step is from 1 to 23.',
    "0 0/ 0 ? * MON": 'the minutes field holds "0/"; allowed are 0-59 and the characters , - * /.',
    "0 0 0 1 1 ? 1969": 'the year field holds "1969"; allowed are 1970-2099 and the characters , - * /.',
    "0 0 0 1 1 ? 2100": 'the year field holds "2100"; allowed are 1970-2099 and the characters , - * /.',
    "0 0 0 1 1 ? 2030-2020": 'the year field holds "2030-2020", which ends before it begins.',
}


@pytest.mark.parametrize(("expression", "reason"), ERRORS.items())
def test_the_reason_of_an_error_fits_behind_the_expression(expression: str, reason: str) -> None:
    with pytest.raises(CronError) as caught:
        parse(expression)
    assert str(caught.value) == reason
    assert caught.value.verdict == "user"


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.text("0159*?,-/#LWFRIMONJAT ", max_size=24) | st.text(max_size=12))
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    try:
        parse(text).next_after(moment("2024-01-01"))
    except CronError as error:
        reason = str(error)
    else:
        reason = "."
    assert reason.endswith(".")


def test_a_huge_number_is_an_error_and_not_a_crash() -> None:
    for field in range(6):
        texts = ["0", "0", "0", "1", "1", "?"]
        texts[field] = "9" * 10_000
        with pytest.raises(CronError, match="allowed are"):
            parse(" ".join(texts))
