"""The Import API's limits (`spec/connect-api.md` section 17.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

BODY_BYTES = 20_000_000
RECORDS = 20_000
DATA_POINTS = 10_000
KEY_CHARACTERS = 1_024
DEPTH = 100
GREATEST_SEQUENCE = 2**63 - 1
LEAST_SEQUENCE = -(2**63)

_NESTED = frozenset((dict, list))

TOO_DEEP = f"data is nested more than {DEPTH} levels deep"


def excess(data: Mapping[str, Any]) -> str | None:
    """Say in which way a record's data is too large, or None. Each scalar, null too, is a data point."""
    if len(data) <= DATA_POINTS and _NESTED.isdisjoint(map(type, data.values())):
        return None
    points = depth = 0
    level: list[Any] = [data]
    while level:
        depth += 1
        if depth > DEPTH:
            return TOO_DEEP
        values = [value for nested in level for value in _values(nested)]
        level = [value for value in values if type(value) in _NESTED]
        points += len(values) - len(level)
        if points > DATA_POINTS:
            return f"a record has more than {DATA_POINTS} data points"
    return None


def _values(nested: Mapping[str, Any] | Sequence[Any]) -> Sequence[Any]:
    return list(nested.values()) if isinstance(nested, Mapping) else nested
