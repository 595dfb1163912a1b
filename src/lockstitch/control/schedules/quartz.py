"""Quartz cron expressions, in UTC (`spec/connect-api.md` section 8.4, `spec/replication.md` section 10).

    seconds  minutes  hours  day-of-month  month  day-of-week  [year]

Of the two day fields exactly one is `?`. As in Quartz 2.5, a list of days of the month may mix everything that the
field knows (`1,15W,L`), while `L` and `#` stand alone among the days of the week.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import ClassVar, Literal

from lockstitch.core.errors import LockstitchError, Verdict


class CronError(LockstitchError):
    """A cron expression is not valid. The text is the reason alone and names what is allowed: it goes behind
    `cron_expression "<expr>" is invalid: ` (`spec/connect-api.md` section 6.6)."""

    verdict: ClassVar[Verdict] = "user"


@dataclass(frozen=True, slots=True)
class _Field:
    """What one field may hold. `also` are the characters it knows beyond numbers, names and `, - * /`."""

    name: str
    first: int
    last: int
    names: Mapping[str, int] = field(default_factory=dict[str, int])
    also: str = ""
    wraps: bool = True

    @property
    def allowed(self) -> str:
        names = list(self.names)
        named = f", {names[0]}-{names[-1]}" if names else ""
        return f"{self.first}-{self.last}{named} and the characters , - * /{self.also}"

    def wrong(self, term: str) -> CronError:
        return CronError(f'the {self.name} field holds "{term}"; allowed are {self.allowed}.')


def _numbered(names: str) -> dict[str, int]:
    return {name: number for number, name in enumerate(names.split(), start=1)}


_SECONDS = _Field("seconds", 0, 59)
_MINUTES = _Field("minutes", 0, 59)
_HOURS = _Field("hours", 0, 23)
_DAYS_OF_MONTH = _Field("day-of-month", 1, 31, also=" ? L W")
_MONTHS = _Field("month", 1, 12, _numbered("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"))
_DAYS_OF_WEEK = _Field("day-of-week", 1, 7, _numbered("SUN MON TUE WED THU FRI SAT"), also=" ? L #1 to #5")
_YEARS = _Field("year", 1970, 2099, wraps=False)

_FIELDS = (_SECONDS, _MINUTES, _HOURS, _DAYS_OF_MONTH, _MONTHS, _DAYS_OF_WEEK, _YEARS)
_SUNDAY, _SATURDAY = 1, 7
_LAST = -1


@dataclass(frozen=True, slots=True)
class _Month:
    """One month: its number of days, and the day of the week of its first, 1 being Sunday."""

    length: int
    first_weekday: int

    def weekday(self, day: int) -> int:
        return (self.first_weekday + day - 2) % 7 + 1

    def nearest_weekday(self, day: int) -> int:
        """Return the day from Monday to Friday that is nearest to `day` within the month."""
        if self.weekday(day) == _SATURDAY:
            return day - 1 if day > 1 else day + 2
        if self.weekday(day) == _SUNDAY:
            return day + 1 if day < self.length else day - 2
        return day


@dataclass(frozen=True, slots=True)
class _DayOfMonth:
    """A day by its number; from 0 downwards it counts back from the month's last day. `W` moves it off a weekend."""

    number: int
    to_weekday: bool = False

    def days(self, month: _Month) -> Iterator[int]:
        day = self.number if self.number > 0 else month.length + self.number
        if 1 <= day <= month.length:
            yield month.nearest_weekday(day) if self.to_weekday else day


@dataclass(frozen=True, slots=True)
class _DayOfWeek:
    """A day of the week: each of the month (`nth` is 0), the nth, or the last (-1)."""

    weekday: int
    nth: int = 0

    def days(self, month: _Month) -> Iterator[int]:
        every = range((self.weekday - month.first_weekday) % 7 + 1, month.length + 1, 7)
        if self.nth == 0:
            yield from every
        elif self.nth <= len(every):
            yield every[-1 if self.nth == _LAST else self.nth - 1]


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression. Its times are whole seconds in UTC; a moment without a zone is a bug of the caller's."""

    expression: str
    _seconds: tuple[int, ...]
    _minutes: tuple[int, ...]
    _hours: tuple[int, ...]
    _days: frozenset[_DayOfMonth | _DayOfWeek]
    _months: tuple[int, ...]
    _years: tuple[int, ...]

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first fire time later than `moment`, or None where none is left before 2100."""
        start = in_whole_seconds(moment)
        return None if start.year > _YEARS.last else self._nearest(start + timedelta(seconds=1), 1)

    def last_at(self, moment: datetime) -> datetime | None:
        """Return the latest fire time that is not later than `moment`, or None where there was none since 1970."""
        return self._nearest(in_whole_seconds(moment), -1)

    def _nearest(self, moment: datetime, step: Literal[1, -1]) -> datetime | None:
        found = self._search((), moment.timetuple()[:6], step)
        if found is None:
            return None
        year, month, day, hour, minute, second = found
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)

    def _search(
        self, chosen: tuple[int, ...], bound: tuple[int, ...] | None, step: Literal[1, -1]
    ) -> tuple[int, ...] | None:
        """Complete `chosen` (year, month ...) to the fire time nearest to `bound`, in the direction of `step`.

        Once a chosen number lies beyond the bound, every later one is free: `bound` is None then.
        """
        depth = len(chosen)
        if depth == 6:
            return chosen
        for number in self._choices(chosen)[::step]:
            distance = 1 if bound is None else (number - bound[depth]) * step
            if distance < 0:
                continue
            if found := self._search((*chosen, number), bound if distance == 0 else None, step):
                return found
        return None

    def _choices(self, chosen: tuple[int, ...]) -> tuple[int, ...]:
        match chosen:
            case (year, month):
                return self._days_in(year, month)
            case _:
                return (self._years, self._months, (), self._hours, self._minutes, self._seconds)[len(chosen)]

    def _days_in(self, year: int, month: int) -> tuple[int, ...]:
        monday_based, length = monthrange(year, month)
        the_month = _Month(length, (monday_based + 1) % 7 + 1)
        return tuple(sorted({day for rule in self._days for day in rule.days(the_month)}))


def in_whole_seconds(moment: datetime) -> datetime:
    """Return the moment in UTC without its fraction of a second. Raises ValueError where it has no zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return moment.astimezone(UTC).replace(microsecond=0)


@lru_cache(maxsize=1024)
def parse(expression: str) -> Cron:
    """Parse an expression. Raises CronError with the reason."""
    texts = expression.split()
    if not 6 <= len(texts) <= 7:
        names = ", ".join(one.name for one in _FIELDS[:6])
        raise CronError(f"it has {len(texts)} fields; needed are six ({names}), and a seventh may be the year.")
    seconds, minutes, hours, day_of_month, month, day_of_week, year = (*texts, "*")[:7]
    return Cron(
        expression,
        _numbers(_SECONDS, seconds),
        _numbers(_MINUTES, minutes),
        _numbers(_HOURS, hours),
        _day_rules(day_of_month, day_of_week),
        _numbers(_MONTHS, month),
        _numbers(_YEARS, year),
    )


def _day_rules(of_month: str, of_week: str) -> frozenset[_DayOfMonth | _DayOfWeek]:
    """Read both day fields, so that a mistake in either is told before the one in their combination."""
    rules = [
        *([] if of_month == "?" else _days_of_month(of_month)),
        *([] if of_week == "?" else _days_of_week(of_week)),
    ]
    if "?" not in (of_month, of_week):
        raise CronError("Support for specifying both a day-of-week AND a day-of-month parameter is not implemented.")
    if of_month == of_week:
        raise CronError("both day fields hold ?; exactly one of day-of-month and day-of-week has to be ?.")
    return frozenset(rules)


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII | re.IGNORECASE)


_FROM_MONTH_END = _pattern(r"L(?:-(?P<back>[0-9]{1,2}))?(?P<weekday>W)?")
_NEAR_DAY = _pattern(r"(?P<day>[0-9]{1,2})W")
_LAST_WEEKDAY = _pattern(r"(?P<weekday>[1-7]|[A-Z]{3})L")
_NTH_WEEKDAY = _pattern(r"(?P<weekday>[1-7]|[A-Z]{3})#(?P<nth>[1-5])")


def _days_of_month(text: str) -> Iterator[_DayOfMonth]:
    for term in text.split(","):
        if found := _FROM_MONTH_END.fullmatch(term):
            back = int(found["back"] or 0)
            if back > 30:
                raise CronError(f'the day-of-month field holds "{term}"; allowed are L-1 to L-30.')
            yield _DayOfMonth(-back, to_weekday=bool(found["weekday"]))
        elif found := _NEAR_DAY.fullmatch(term):
            yield _DayOfMonth(_number(_DAYS_OF_MONTH, found["day"], term), to_weekday=True)
        else:
            yield from map(_DayOfMonth, _range(_DAYS_OF_MONTH, term))


def _days_of_week(text: str) -> Iterator[_DayOfWeek]:
    terms = text.split(",")
    for term in terms:
        if special := _special_weekday(term):
            if len(terms) > 1:
                raise CronError(f'the day-of-week field holds "{text}"; a day with L or # cannot be part of a list.')
            yield special
        else:
            yield from map(_DayOfWeek, _range(_DAYS_OF_WEEK, term))


def _special_weekday(term: str) -> _DayOfWeek | None:
    if term.upper() == "L":
        return _DayOfWeek(_SATURDAY)
    if found := _LAST_WEEKDAY.fullmatch(term):
        return _DayOfWeek(_number(_DAYS_OF_WEEK, found["weekday"], term), _LAST)
    if found := _NTH_WEEKDAY.fullmatch(term):
        return _DayOfWeek(_number(_DAYS_OF_WEEK, found["weekday"], term), int(found["nth"]))
    return None


def _numbers(field_: _Field, text: str) -> tuple[int, ...]:
    return tuple(sorted({number for term in text.split(",") for number in _range(field_, term)}))


_RANGE = _pattern(r"(?:\*|(?P<first>[A-Z0-9]+)(?:-(?P<last>[A-Z0-9]+))?)?(?:/(?P<step>[0-9]{1,4}))?")


def _range(field_: _Field, term: str) -> Iterator[int]:
    """Yield the numbers of `*`, `5`, `5-10`, each also with a step; a range that ends before it begins wraps."""
    found = _RANGE.fullmatch(term)
    if not term or found is None:
        raise field_.wrong(term)
    step = _step(field_, found["step"], term)
    first = field_.first if found["first"] is None else _number(field_, found["first"], term)
    if found["last"] is not None:
        last = _number(field_, found["last"], term)
    else:
        last = field_.last if found["first"] is None or found["step"] is not None else first
    if last < first and not field_.wraps:
        raise CronError(f'the {field_.name} field holds "{term}", which ends before it begins.')
    size = field_.last - field_.first + 1
    for number in range(first, last + 1 if first <= last else last + size + 1, step):
        yield (number - field_.first) % size + field_.first


def _step(field_: _Field, text: str | None, term: str) -> int:
    step = 1 if text is None else int(text)
    if not 1 <= step <= field_.last:
        raise CronError(f'the {field_.name} field holds "{term}"; a step is from 1 to {field_.last}.')
    return step


def _number(field_: _Field, text: str, term: str) -> int:
    number = field_.names.get(text.upper(), -1)
    if text.isdecimal() and len(text) <= 4:
        number = int(text)
    if not field_.first <= number <= field_.last:
        raise field_.wrong(term)
    return number
