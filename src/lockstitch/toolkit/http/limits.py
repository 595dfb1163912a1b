"""What an answer says of how soon the next request may come.

`Retry-After` in seconds or as a date (RFC 9110 section 10.2.3), the `RateLimit` header of the IETF's drafts in its
single-line and three-header forms, and the `X-RateLimit-` and `X-Rate-Limit-` headers that came before them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: A reset this large is a moment in Unix seconds, no number of seconds from now.
_UNIX = 1_000_000_000.0
#: Seconds by which clocks that agree may seem to differ.
_SLOW = 5.0
_PREFIXES = ("ratelimit", "x-ratelimit", "x-rate-limit")


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many requests are left, and in how many seconds there are new ones; None for what was not said."""

    remaining: float | None = None
    reset: float | None = None


def allowance(headers: Mapping[str, str]) -> Allowance:
    """Read the rate limit's headers; names in any case, as the mapping has them."""
    whole = dict(re.findall(r"(\w+)\s*=\s*([\d.]+)", headers.get("ratelimit", "")))
    remaining, reset = _number(whole.get("remaining")), _number(whole.get("reset"))
    for prefix in _PREFIXES:
        remaining = _number(headers.get(f"{prefix}-remaining")) if remaining is None else remaining
        reset = _number(headers.get(f"{prefix}-reset")) if reset is None else reset
    if reset is not None and reset > _UNIX:
        reset = max(reset - _now(headers).timestamp(), 0.0)
    return Allowance(remaining, reset)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait, by `Retry-After` or else by its rate limit's reset."""
    asked = headers.get("retry-after")
    if asked is not None:
        seconds = _number(asked)
        return seconds if seconds is not None else _seconds_until(asked, headers)
    return allowance(headers).reset


def clock_ahead(headers: Mapping[str, str]) -> float:
    """Return the seconds that the server's clock is ahead of ours; 0 for what a slow answer may explain."""
    told = _moment(headers.get("date", ""))
    ahead = 0.0 if told is None else (told - datetime.now(UTC)).total_seconds()
    return ahead if abs(ahead) > _SLOW else 0.0


def _seconds_until(date: str, headers: Mapping[str, str]) -> float | None:
    moment = _moment(date)
    return None if moment is None else max((moment - _now(headers)).total_seconds(), 0.0)


def _now(headers: Mapping[str, str]) -> datetime:
    """Return the time by the server's own clock, which may not be ours."""
    return _moment(headers.get("date", "")) or datetime.now(UTC)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(r"\s*\d{1,12}(\.\d+)?\s*", text) else None
