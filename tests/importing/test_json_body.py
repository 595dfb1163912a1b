"""Numbers keep every digit."""

from __future__ import annotations

from decimal import Decimal

import pytest

from lockstitch.importing.json_body import parse_json
from lockstitch.toolkit.exact import Exact


@pytest.mark.parametrize("text", ["0.1", "1.50", "-0.0", "1e5", "1E-7", "123456.789", "1e22", "5e-324"])
def test_a_number_that_a_double_is_exactly_is_one(text: str) -> None:
    value = parse_json(text.encode())
    assert type(value) is float
    assert value == float(text)


@pytest.mark.parametrize(
    "text", ["0.12345678901234567890", "1e400", "9007199254740993.5", "1e-400", "123456789012345678.25"]
)
def test_any_other_number_is_a_decimal(text: str) -> None:
    value = parse_json(text.encode())
    assert type(value) is Exact
    assert value == Decimal(text)


@pytest.mark.parametrize("number", [0, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**100, -(10**100)])
def test_integers_have_no_bound(number: int) -> None:
    value = parse_json(str(number).encode())
    assert type(value) is int
    assert value == number
