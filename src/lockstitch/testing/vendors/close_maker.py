"""Draws the values of a made Close account, hostile ones among them."""

from __future__ import annotations

import random
import string
from datetime import datetime, timedelta
from typing import Any

#: Texts that break careless readers and writers.
HOSTILE_TEXTS = (
    "",
    " ",
    "null",
    "☃ 👩‍👩‍👧 e\u0301 \u202eabc",
    'quote " \\ slash / \n tab \t',
    "'; DROP TABLE leads; --",
    "x" * 5000,
)

#: Whole numbers at the edges of what JSON readers keep.
HOSTILE_NUMBERS = (0, -1, 2**31, 2**53 + 1, 2**63 - 1)


class Maker:
    """Draws values from one random number generator, so that a seed always makes the same account."""

    def __init__(self, seed: int, now: datetime, days: float) -> None:
        self.random = random.Random(seed)
        self.now = now
        self.days = days

    def id(self, prefix: str) -> str:
        return f"{prefix}_{''.join(self.random.choices(string.ascii_letters + string.digits, k=43))}"

    def time(self) -> datetime:
        """Return a time of the account's days, now and then without a fraction."""
        at = self.now - timedelta(seconds=self.random.uniform(60, self.days * 86400))
        return at.replace(microsecond=0) if self.random.random() < 0.2 else at

    def text(self) -> str | None:
        return self.random.choice([*HOSTILE_TEXTS, None, "Acme", "Call back on Monday", "Zoë & Søn GmbH"])

    def number(self) -> int | None:
        return self.random.choice([*HOSTILE_NUMBERS, None, 50_000])

    def some(self, values: list[Any]) -> list[Any]:
        """Return none to all of the values."""
        return values[: self.random.randint(0, len(values))]
