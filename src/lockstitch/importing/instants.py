"""Reads instants as JSON Schema's date-time and date write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

_DATE_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:([Zz])|([+-]\d\d):?(\d\d))?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@lru_cache(maxsize=65_536)
def instant(text: str) -> datetime | str | None:
    """Return the instant of a date-time (UTC where it names no offset), or None where the text is none.

    One that is finer than a microsecond, or outside the years 1 to 9999 in UTC, comes back as its text: nothing of
    it is lost.
    """
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return None
    day, clock, fraction, zulu, hours, minutes = found.groups()
    fraction = (fraction or "").rstrip("0")
    offset = "+00:00" if zulu or hours is None else f"{hours}:{minutes}"
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}.{fraction[:6]:0<6}{offset}")
    except ValueError:
        return None
    if len(fraction) > 6:
        return text
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return text


@lru_cache(maxsize=4_096)
def day(text: str) -> datetime | None:
    """Return the first moment, in UTC, of a date, or None where the text is none."""
    if _DATE.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None
