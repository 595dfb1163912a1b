"""When a source's jobs start (`spec/connect-api.md` section 8, `spec/replication.md` section 10).

Pure functions: moments come in as arguments, each with a time zone, and leave as whole seconds in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from lockstitch.control.schedules.quartz import in_whole_seconds, parse
from lockstitch.control.times import told
from lockstitch.core.errors import SettingsError
from lockstitch.toolkit.moments import read_moment

#: A grid is laid through an anchor only for frequencies of so many minutes and more.
ANCHORED_FROM_MINUTES = 60


@dataclass(frozen=True, slots=True)
class Interval:
    """Every so many minutes, counted from the start of the previous job."""

    minutes: int


@dataclass(frozen=True, slots=True)
class Anchored:
    """Every so many minutes, on the grid through `anchor`, which may lie in the past or the future."""

    minutes: int
    anchor: datetime


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """At the times of a Quartz expression."""

    expression: str


Schedule = Interval | Anchored | CronSchedule


def schedule_of(properties: Mapping[str, object], default_minutes: int | None) -> Schedule | None:
    """Return the schedule that a source's properties ask for; None for a type without any (`default_minutes` is None).

    A cron expression wins over a frequency with anchor, that over a frequency, that over the type's default; all types
    have all of them (where Stitch's pages disagree, `spec/replication.md` proposes so). Raises SettingsError for a
    frequency or anchor that cannot be read; an expression is read when it is used (`next_fire`).
    """
    if default_minutes is None:
        return None
    expression = properties.get("cron_expression")
    if expression is not None:
        return CronSchedule(str(expression))
    frequency = properties.get("frequency_in_minutes")
    if frequency is None:
        return Interval(default_minutes)
    minutes = _minutes(frequency)
    anchor = properties.get("anchor_time")
    if anchor is None or minutes < ANCHORED_FROM_MINUTES:
        return Interval(minutes)
    return Anchored(minutes, _anchor(anchor))


def _minutes(value: object) -> int:
    if not re.fullmatch(r"0*[1-9][0-9]{0,5}", str(value)):
        raise SettingsError(
            f"frequency_in_minutes is {value!r}, not a number of minutes",
            hint="allowed are 1, 30, 60, 360, 720 and 1440",
        )
    return int(str(value))


def _anchor(value: object) -> datetime:
    try:
        return read_moment(str(value))
    except ValueError as error:
        raise SettingsError(
            f"anchor_time is {value!r}, not a date and time", hint="write it as 2024-01-31T22:00:00Z"
        ) from error


def next_fire(
    schedule: Schedule, *, last_start: datetime | None, now: datetime, after: datetime | None = None
) -> datetime | None:
    """Return the grid point (tick) at which the next job starts; it is due as soon as it is not later than `now`.

    `last_start` is when the source's previous job started: its tick, if the schedule started it. It lays the grid of
    a plain interval, so a start by hand moves that grid and a late start does not. None is a source without a job: a
    plain interval is due at once, the others wait for their next grid point.

    `after` passes over all grid points up to and including it. There are two ways to ask:

    - The tick is stored and fired once the clock has reached it. Then, and whenever the schedule is set, changed or
      no longer paused, ask with `after=now`; having fired (or skipped, where a job still ran), also with
      `last_start=tick`. An outage ends with the one tick that was stored.
    - Nothing is stored. Give as `after` the latest of: the end of the previous job (what passed while it ran is
      skipped), the last change of the schedule, the end of a pause. After an outage the answer is the last grid point
      missed and no other, and it is due.

    A tick is always later than `last_start`, so a clock that jumps back brings none up again. Where several processes
    ask, or `last_start` is lost, the tick is the job's identity: with `sched:<source>:<tick>` as the run's id, whoever
    starts the same grid point again finds it started.

    None means never again: the years of a cron expression are over. Raises CronError for an invalid expression.
    """
    if isinstance(schedule, Interval) and last_start is None:
        return in_whole_seconds(after or now)
    known = [moment for moment in (last_start, after) if moment is not None]
    passed = max(known) if known else now
    grid = _grid(schedule, last_start or now)
    late = grid.last_at(now)
    return late if late is not None and late > passed else grid.next_after(passed)


def schedule_object(schedule: Schedule, next_fire: datetime | None) -> dict[str, str | float | None]:
    """Return the schedule as the API shows it (`spec/connect-api.md` section 8.2)."""
    match schedule:
        case CronSchedule(expression):
            shown: dict[str, str | float | None] = {"type": "cron", "cron_expression": expression}
        case Interval(minutes) | Anchored(minutes):
            shown = {"type": "interval", "unit": "minute", "interval": float(minutes)}
    return shown | {"next_fire_time": told(next_fire)}


class _Grid(Protocol):
    """The moments of a schedule."""

    def next_after(self, moment: datetime) -> datetime | None: ...
    def last_at(self, moment: datetime) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class _EvenGrid:
    """All moments a whole number of steps away from `origin`, before it as well as after it."""

    origin: datetime
    step: timedelta

    def last_at(self, moment: datetime) -> datetime:
        origin = in_whole_seconds(self.origin)
        return origin + (moment - origin) // self.step * self.step

    def next_after(self, moment: datetime) -> datetime:
        return self.last_at(moment) + self.step


def _grid(schedule: Schedule, last_start: datetime) -> _Grid:
    match schedule:
        case CronSchedule(expression):
            return parse(expression)
        case Anchored(minutes, anchor):
            return _EvenGrid(anchor, timedelta(minutes=minutes))
        case Interval(minutes):
            return _EvenGrid(last_start, timedelta(minutes=minutes))
