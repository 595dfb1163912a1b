"""Moments as the API writes them: ISO 8601 in UTC, to the second, with Z (`spec/connect-api.md` section 1.3)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload

#: Lists hold thousands of moments, and neither isoformat nor an f-string is as fast.
_FORM = "%04d-%02d-%02dT%02d:%02d:%02dZ"


@overload
def told(moment: datetime) -> str: ...
@overload
def told(moment: datetime | None) -> str | None: ...
def told(moment: datetime | None) -> str | None:
    """Return the moment in the API's form."""
    if moment is None:
        return None
    one = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return _FORM % (one.year, one.month, one.day, one.hour, one.minute, one.second)


def is_moment(text: object) -> bool:
    """Tell whether a value sent by a client is a moment or a day in ISO 8601."""
    if not isinstance(text, str):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
