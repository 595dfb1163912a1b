"""ISO 8601 moments, as vendors and settings write them. Loads no Arrow."""

from __future__ import annotations

from datetime import UTC, datetime


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
