"""What an answer says of how soon the next request may come.

`Retry-After` in seconds or as a date (RFC 9110 section 10.2.3), the `RateLimit` header of the IETF's drafts in its
forms (`remaining=0, reset=5`, `"burst";r=0;t=5`, three headers), and the `X-RateLimit-` and `X-Rate-Limit-` headers
that came before them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: A reset this large is a moment in Unix seconds, no number of seconds from now.
_UNIX = 1_000_000_000.0
_PREFIXES = ("ratelimit", "x-ratelimit", "x-rate-limit")


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many requests are left, and in how many seconds there are new ones; None for what was not said."""

    remaining: float | None = None
    reset: float | None = None


def allowance(headers: Mapping[str, str]) -> Allowance:
    """Read the rate limit's headers; names in any case, as the mapping has them."""
    whole = dict(re.findall(r"(\w+)\s*=\s*([\d.]+)", headers.get("ratelimit", "")))
    remaining, reset = _number(whole.get("remaining", whole.get("r"))), _number(whole.get("reset", whole.get("t")))
    for prefix in _PREFIXES:
        remaining = _number(headers.get(f"{prefix}-remaining")) if remaining is None else remaining
        reset = _number(headers.get(f"{prefix}-reset")) if reset is None else reset
    if reset is not None and reset > _UNIX:
        reset = max(reset - _now(headers).timestamp(), 0.0)
    return Allowance(remaining, reset)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait, by `Retry-After` or else by its rate limit's reset.

    While some of the limit is left, its reset says nothing of why the request failed.
    """
    asked = headers.get("retry-after")
    if asked is not None:
        seconds = _number(asked)
        return seconds if seconds is not None else _seconds_until(asked, headers)
    left = allowance(headers)
    return None if left.remaining else left.reset


def server_time(headers: Mapping[str, str]) -> datetime | None:
    """Return the server's time, cut to the second; None where the answer does not tell it."""
    return _moment(headers.get("date", ""))


def _seconds_until(date: str, headers: Mapping[str, str]) -> float | None:
    moment = _moment(date)
    return None if moment is None else max((moment - _now(headers)).total_seconds(), 0.0)


def _now(headers: Mapping[str, str]) -> datetime:
    """Return the time by the server's own clock, which may not be ours."""
    return server_time(headers) or datetime.now(UTC)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(r"\s*\d{1,12}(\.\d+)?\s*", text) else None
