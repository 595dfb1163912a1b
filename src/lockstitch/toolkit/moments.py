"""ISO 8601 moments, as vendors and settings write them. Loads no Arrow."""

from __future__ import annotations

from datetime import UTC, datetime

from lockstitch.core.errors import SettingsError

#: No vendor that we read has anything older, and what is asked for from the year 1 on is a mistake.
_FIRST_YEAR = 2000


def read_moment(text: str) -> datetime:
    """Return a moment in UTC, which is its zone where it names none; ValueError for what is none.

    None is also one of the first or last day of all years that lies outside of them in UTC.
    """
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no ISO 8601 moment") from None


def moment_or_none(value: object) -> datetime | None:
    """Return the moment that a value is the text of; None for what is none."""
    try:
        return read_moment(value) if isinstance(value, str) else None
    except ValueError:
        return None


def read_start_date(text: str) -> datetime:
    """Return what the property `start_date` says, in UTC. Raises SettingsError for what is no moment from 2000 on."""
    moment = moment_or_none(text)
    if moment is None or moment.year < _FIRST_YEAR:
        raise SettingsError(
            f"source.properties.start_date is {text!r}",
            hint=f"write a day from {_FIRST_YEAR} on, such as 2026-01-01T00:00:00Z",
        )
    return moment
