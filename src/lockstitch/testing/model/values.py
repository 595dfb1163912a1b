"""Values: rules R20 to R29. One Arrow scalar becomes one cell."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

import pyarrow as pa

from lockstitch.core.model import StitchType
from lockstitch.core.rules import Rules

_TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Value:
    """What a scalar is in a table. `fault` rejects the record; `adjusted` names what had to be done to text."""

    stitch: StitchType
    value: Any
    scale: int | None = None
    fault: str | None = None
    adjusted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A scalar of a type that no table can hold: its column is dropped."""

    type: str


def unwrapped(scalar: pa.Scalar) -> pa.Scalar | None:
    """Return what a dictionary, run-end encoded, union or extension scalar stands for; None for null."""
    while scalar.is_valid and isinstance(
        scalar, pa.DictionaryScalar | pa.RunEndEncodedScalar | pa.UnionScalar | pa.ExtensionScalar
    ):
        if isinstance(scalar, pa.UuidScalar):
            return pa.scalar(str(scalar.as_py()))
        inner = scalar.value
        if inner is None:
            return None
        scalar = inner if isinstance(inner, pa.Scalar) else pa.scalar(inner)
    return scalar if scalar.is_valid else None


def value_of(scalar: pa.Scalar, rules: Rules) -> Value | Unsupported:
    """Return what a scalar that is not null is in a table."""
    kind = scalar.type
    if pa.types.is_boolean(kind):
        return Value("boolean", scalar.as_py())
    if pa.types.is_integer(kind):
        return _integer(scalar.as_py(), rules)
    if pa.types.is_floating(kind):
        value = float(scalar.as_py())
        return Value("double", "NaN" if math.isnan(value) else value)
    if pa.types.is_decimal(kind):
        return Value("number", exact(scalar.as_py()), scale=kind.scale)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _time(scalar, rules)
    if pa.types.is_time(kind):
        return Value("string", _clock(_ticks(scalar), kind.unit))
    if pa.types.is_duration(kind):
        sign, ticks = ("-" if _ticks(scalar) < 0 else ""), abs(_ticks(scalar))
        return Value("string", f"PT{sign}{_seconds(ticks, kind.unit)}S")
    if _is_text(kind):
        return _text(bytes_of(scalar), rules)
    if _is_binary(kind):
        return _binary(bytes_of(scalar), rules)
    return Unsupported(str(kind))


def exact(value: Decimal) -> Decimal:
    """Return a decimal without trailing zeros, however many digits it has."""
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    places = list(digits)
    while len(places) > 1 and places[-1] == 0:
        places.pop()
        exponent += 1
    return Decimal((sign, tuple(places), exponent)) if any(places) else Decimal(0)


def decimal_fault(value: Decimal, scale: int, rules: Rules) -> str | None:
    """Return why a decimal cannot be stored exactly with this scale; None if it can."""
    precision = rules.types["number"].precision
    if precision is None:
        return None
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    fits = -exponent <= scale and len(digits) + exponent <= precision - scale
    return None if fits or not value else f"decimal out of range for {rules.title} on {value:f}"


def bytes_of(scalar: pa.Scalar) -> bytes:
    """Return the bytes of a text or binary scalar, valid UTF-8 or not."""
    buffer = cast("pa.StringScalar", scalar).as_buffer()
    return b"" if buffer is None else cast("bytes", buffer.to_pybytes())


def is_text(kind: pa.DataType) -> bool:
    return _is_text(kind)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _ticks(scalar: pa.Scalar) -> int:
    return int(cast("pa.TimestampScalar", scalar).value)


def _integer(value: int, rules: Rules) -> Value:
    rule = rules.types["integer"]
    assert rule.minimum is not None
    assert rule.maximum is not None
    fits = rule.minimum <= value <= rule.maximum
    return Value("integer", value, fault=None if fits else f"integer out of range for {rules.title} on {value}")


def _time(scalar: pa.Scalar, rules: Rules) -> Value:
    kind, ticks = scalar.type, _ticks(scalar)
    if pa.types.is_date32(kind):
        micros, left = ticks * _DAY, 0
    else:
        unit = "ms" if pa.types.is_date64(kind) else kind.unit
        micros, left = divmod(ticks * 1_000_000, _TICKS[unit])
    rule = rules.types["date"]
    assert rule.minimum is not None
    assert rule.maximum is not None
    fits = left == 0 and rule.minimum <= micros <= rule.maximum
    return Value("date", micros, fault=None if fits else f"timestamp out of range for {rules.title} on {ticks}")


def _clock(ticks: int, unit: str) -> str:
    seconds, _ = divmod(ticks, _TICKS[unit])
    fraction = _seconds(ticks, unit).partition(".")
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction[1]}{fraction[2]}"


def _seconds(ticks: int, unit: str) -> str:
    whole, fraction = divmod(ticks, _TICKS[unit])
    digits = _DIGITS[unit]
    return f"{whole}.{fraction:0{digits}}" if digits else str(whole)


def _text(data: bytes, rules: Rules) -> Value:
    adjusted: list[str] = []
    text = data.decode("utf-8", "replace")
    if text.encode() != data:
        adjusted.append("invalid UTF-8 replaced")
    if rules.text_without_nul and "\0" in text:
        adjusted.append("U+0000 removed")
        text = text.replace("\0", "")
    return Value("string", text, adjusted=tuple(adjusted))


def _binary(data: bytes, rules: Rules) -> Value:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return Value("string", base64.b64encode(data).decode())
    return _text(data, rules)
