"""Numbers that keep their digits where a float would lose some."""

from __future__ import annotations

from decimal import Decimal


class Exact(Decimal):
    """A number that is to stay a decimal, digit by digit."""

    __slots__ = ()


def exact_number(text: str) -> float | Exact:
    """Return a number with a fraction or an exponent: a float where that is the very number, else a decimal."""
    number = float(text)
    written = repr(number)
    if written == text or Decimal(written) == Decimal(text):
        return number
    return Exact(text)
