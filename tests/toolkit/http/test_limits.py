"""What answers say of their limits is read in each of its forms."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx2
import pytest

from lockstitch.toolkit.http.limits import Allowance, allowance, retry_after, server_time

NOW = datetime(2026, 6, 15, 12, 0, 0, tzinfo=UTC)
DATE = "Mon, 15 Jun 2026 12:00:00 GMT"

FORMS = {
    "Close's of 2023": ({"RateLimit": "limit=100, remaining=50, reset=5"}, Allowance(50, 5)),
    "a fraction": ({"ratelimit": "limit=100, remaining=0, reset=0.75"}, Allowance(0, 0.75)),
    "no spaces": ({"RATELIMIT": "limit=1,remaining=0,reset=2"}, Allowance(0, 2)),
    "the newest draft": ({"RateLimit": '"default";r=0;t=30'}, Allowance(0, 30)),
    "three headers": ({"RateLimit-Limit": "9", "RateLimit-Remaining": "3", "RateLimit-Reset": "4"}, Allowance(3, 4)),
    "X-RateLimit": ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "8"}, Allowance(0, 8)),
    "X-Rate-Limit": ({"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "0.5"}, Allowance(0, 0.5)),
    "Unix seconds": (
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{NOW.timestamp() + 12:.0f}", "Date": DATE},
        Allowance(0, 12),
    ),
    "Unix seconds that are over": (
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{NOW.timestamp() - 12:.0f}", "Date": DATE},
        Allowance(0, 0),
    ),
    "nothing": ({}, Allowance()),
    "no numbers": ({"RateLimit": "remaining=none, reset=soon", "X-RateLimit-Reset": "-1"}, Allowance()),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form(name: str) -> None:
    headers, expected = FORMS[name]
    assert allowance(httpx2.Headers(headers)) == expected


def test_retry_after_as_a_date_is_by_the_servers_clock() -> None:
    later = {"Retry-After": "Mon, 15 Jun 2026 12:01:30 GMT", "Date": DATE}
    assert retry_after(httpx2.Headers(later)) == 90
    over = {"Retry-After": "Mon, 15 Jun 2026 11:00:00 GMT", "Date": DATE}
    assert retry_after(httpx2.Headers(over)) == 0


def test_retry_after_falls_back_to_the_reset_only_where_it_is_missing() -> None:
    assert retry_after(httpx2.Headers({"RateLimit": "remaining=0, reset=3"})) == 3
    assert retry_after(httpx2.Headers({"Retry-After": "whenever", "RateLimit": "remaining=0, reset=3"})) is None
    assert retry_after(httpx2.Headers({})) is None


def test_a_reset_says_nothing_while_some_of_the_limit_is_left() -> None:
    assert retry_after(httpx2.Headers({"RateLimit": "limit=100, remaining=7, reset=3"})) is None
    assert retry_after(httpx2.Headers({"X-RateLimit-Reset": "3"})) == 3
    assert retry_after(httpx2.Headers({"Retry-After": "2", "RateLimit": "remaining=7, reset=3"})) == 2


def test_the_servers_time() -> None:
    assert server_time(httpx2.Headers({"Date": DATE})) == NOW
    assert server_time(httpx2.Headers({"Date": "Mon, 15 Jun 2026 14:00:00 +0200"})) == NOW
    assert server_time(httpx2.Headers({"Date": "yesterday"})) is None
    assert server_time(httpx2.Headers({})) is None
