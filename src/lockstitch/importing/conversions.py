"""The types that a JSON schema gives to values beyond JSON's own (`spec/loading.md` section 6.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from lockstitch.importing.instants import day, instant
from lockstitch.toolkit.exact import Exact

Conversion = Callable[[Any], Any]


def conversion_of(schema: Mapping[str, Any], types: Sequence[str]) -> Conversion | None:
    """Return what gives the values of a schema their type, or None where they have it already."""
    if "number" in types:
        return _decimal if "multipleOf" in schema else _double
    given = schema.get("format")
    return _BY_FORMAT.get(given) if isinstance(given, str) and (not types or "string" in types) else None


def _double(value: Any) -> Any:
    """Return an integer as a double, or as a decimal where a double is not that very number."""
    if type(value) is not int:
        return value
    try:
        number = float(value)
    except OverflowError:
        return Exact(value)
    return number if number == value else Exact(value)


def _decimal(value: Any) -> Any:
    if type(value) is float:
        return Exact(repr(value))
    return Exact(value) if type(value) is int else value


def _decimal_text(value: Any) -> Any:
    try:
        number = Exact(value) if type(value) is str else value
    except InvalidOperation:
        return value
    return number if not isinstance(number, Decimal) or number.is_finite() else value


def _instant(value: Any) -> Any:
    return instant(value) if type(value) is str else value


def _day(value: Any) -> Any:
    return day(value) if type(value) is str else value


_BY_FORMAT: Mapping[str, Conversion] = {"date-time": _instant, "date": _day, "singer.decimal": _decimal_text}
