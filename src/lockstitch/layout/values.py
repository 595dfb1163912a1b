"""Turns Arrow arrays of any type into Stitch's types, exactly or not at all (`spec/loading.md` section 6).

A value that the destination cannot hold is found here and reported by row; nothing is ever rounded, cut or wrapped.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext

import pyarrow as pa
import pyarrow.compute as pc

from lockstitch.core.model import StitchType
from lockstitch.core.rules import Rules, TypeRule

TIMESTAMP = pa.timestamp("us", "UTC")

_DIGITS_OF_128_BITS, _DIGITS_OF_256_BITS = 38, 76

#: Arrow's type for each of Stitch's, as the spool holds them; a `number` keeps a decimal type of its own.
ARROW_TYPES: dict[StitchType, pa.DataType] = {
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "date": TIMESTAMP,
    "double": pa.float64(),
    "string": pa.string(),
}

INT64_MAX = 2**63 - 1
_UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@dataclass(frozen=True, slots=True)
class Values:
    """One typed array.

    `bad` marks rows whose value cannot be held (its text in `bad_text`). `adjusted` pairs what was done to text so
    that it can be stored with the rows where it was done.
    """

    stitch: StitchType
    array: pa.Array
    bad: pa.BooleanArray | None = None
    bad_text: pa.Array | None = None
    adjusted: tuple[tuple[str, pa.BooleanArray], ...] = ()


def to_stitch(array: pa.Array, rules: Rules) -> Values:
    """Return the array as one of Stitch's types.

    Raises TypeError for an Arrow type without a rule, which is a bug of the source that made it.
    """
    for accepts, convert in _CONVERSIONS:
        if accepts(array.type):
            return convert(array, rules)
    raise TypeError(f"no Stitch type for Arrow type {array.type}")


def _any(mask: pa.BooleanArray) -> bool:
    return bool(pc.any(mask, min_count=0).as_py())


def _checked(stitch: StitchType, array: pa.Array, bad: pa.BooleanArray, original: pa.Array) -> Values:
    bad = pc.fill_null(bad, False)
    if not _any(bad):
        return Values(stitch, array)
    return Values(stitch, array, bad, original.cast(pa.string()))


def _integer(array: pa.Array, rules: Rules) -> Values:
    rule = rules.types["integer"]
    low, high = rule.minimum, rule.maximum
    if array.type == pa.uint64():
        bad = pc.fill_null(pc.greater(array, pa.scalar(INT64_MAX, pa.uint64())), False)
        kept = pc.if_else(bad, pa.scalar(None, pa.uint64()), array).cast(pa.int64())
        return _checked("integer", kept, bad, array)
    whole = array.cast(pa.int64())
    if low is None or high is None or (low <= -(2**63) and high >= INT64_MAX):
        return Values("integer", whole)
    return _checked("integer", whole, pc.or_(pc.less(whole, low), pc.greater(whole, high)), array)


def _boolean(array: pa.Array, _rules: Rules) -> Values:
    return Values("boolean", array)


def _double(array: pa.Array, _rules: Rules) -> Values:
    return Values("double", array.cast(pa.float64()))


def _number(array: pa.Array, _rules: Rules) -> Values:
    if array.type.bit_width < 128:
        array = array.cast(pa.decimal128(38, array.type.scale))
    return Values("number", array)


def _timestamp(array: pa.Array, rules: Rules) -> Values:
    unit = array.type.unit
    ticks = array.view(pa.int64())
    try:
        # Through int64: a cast of the naive or zoned value itself is the same instant, UTC where no zone is given.
        moments = array.cast(pa.timestamp("us", array.type.tz)).view(pa.int64())
        bad = None
    except pa.ArrowInvalid:
        bad, moments = _inexact_ticks(ticks, unit)
    rule = rules.types["date"]
    for limit, outside in ((rule.minimum, pc.less), (rule.maximum, pc.greater)):
        if limit is not None and abs(limit) <= INT64_MAX:
            found = outside(moments, limit)
            bad = found if bad is None else pc.or_kleene(bad, found)
    result = moments.view(pa.timestamp("us", "UTC"))
    if bad is None or not _any(pc.fill_null(bad, False)):
        return Values("date", result)
    return Values("date", result, pc.fill_null(bad, False), _tick_text(ticks, unit))


def _inexact_ticks(ticks: pa.Int64Array, unit: str) -> tuple[pa.BooleanArray, pa.Int64Array]:
    """Return which ticks are no whole microseconds within 64 bits, and the microseconds of the others."""
    per_second = _UNITS_PER_SECOND[unit]
    if per_second > 1_000_000:
        step = per_second // 1_000_000
        whole = pc.divide(ticks, step)
        bad = pc.not_equal(pc.multiply(whole, step), ticks)
        return bad, pc.if_else(bad, pa.scalar(None, pa.int64()), whole)
    step = 1_000_000 // per_second
    bad = pc.or_(pc.greater(ticks, INT64_MAX // step), pc.less(ticks, -(INT64_MAX // step)))
    return bad, pc.multiply(pc.if_else(bad, pa.scalar(None, pa.int64()), ticks), step)


def _tick_text(ticks: pa.Int64Array, unit: str) -> pa.StringArray:
    return pc.binary_join_element_wise(ticks.cast(pa.string()), f" {unit} since 1970", "")


def _date(array: pa.Array, rules: Rules) -> Values:
    days = array.cast(pa.date32()).view(pa.int32()).cast(pa.int64())
    seconds = pc.multiply(days, 86_400)
    return _timestamp(seconds.view(pa.timestamp("s")), rules)


def _time(array: pa.Array, _rules: Rules) -> Values:
    return Values("string", array.cast(pa.string()))


def _duration(array: pa.Array, _rules: Rules) -> Values:
    """ISO text in seconds, with the digits of the unit: -PT1.500S is written PT-1.500S."""
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[array.type.unit]
    texts = [None if ticks is None else _seconds(ticks, digits) for ticks in array.view(pa.int64()).to_pylist()]
    return Values("string", pa.array(texts, pa.string()))


def _seconds(ticks: int, digits: int) -> str:
    whole, rest = divmod(abs(ticks), 10**digits)
    fraction = f".{rest:0{digits}}" if digits else ""
    return f"PT{'-' if ticks < 0 else ''}{whole}{fraction}S"


def _string(array: pa.Array, rules: Rules) -> Values:
    if array.type != pa.string():
        array = array.cast(pa.string())
    adjusted: list[tuple[str, pa.BooleanArray]] = []
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        array, changed = _mended_text(array)
        adjusted.append(("invalid UTF-8 replaced", changed))
    if rules.text_without_nul and _may_hold_nul(array):
        changed = pc.fill_null(pc.match_substring(array, "\0"), False)
        if _any(changed):
            adjusted.append(("U+0000 removed", changed))
            array = pc.replace_substring(array, "\0", "")
    return Values("string", array, adjusted=tuple(adjusted))


def _may_hold_nul(array: pa.Array) -> bool:
    data = array.buffers()[2]
    return data is not None and re.search(b"\0", data) is not None


def _mended_text(array: pa.Array) -> tuple[pa.StringArray, pa.BooleanArray]:
    """Replace what is no UTF-8 by U+FFFD; the originals are kept by the caller."""
    originals: list[bytes | None] = array.cast(pa.binary()).to_pylist()
    texts = [None if value is None else value.decode("utf-8", "replace") for value in originals]
    changed = [text is not None and text.encode() != value for text, value in zip(texts, originals, strict=True)]
    return pa.array(texts, pa.string()), pa.array(changed)


def _binary(array: pa.Array, rules: Rules) -> Values:
    """UTF-8 text where the bytes are that, else base64, value by value."""
    array = array.cast(pa.binary()) if array.type != pa.binary() else array
    try:
        return _string(array.cast(pa.string()), rules)
    except pa.ArrowInvalid:
        return _string(pa.array([_text_of(value) for value in array.to_pylist()], pa.string()), rules)


def _text_of(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(value).decode("ascii")


def is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_bytes(kind: pa.DataType) -> bool:
    return (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


#: Arrow type -> Stitch type, first match wins.
_CONVERSIONS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array, Rules], Values]], ...] = (
    (pa.types.is_integer, _integer),
    (is_text, _string),
    (pa.types.is_floating, _double),
    (pa.types.is_boolean, _boolean),
    (pa.types.is_timestamp, _timestamp),
    (pa.types.is_date, _date),
    (pa.types.is_decimal, _number),
    (is_bytes, _binary),
    (pa.types.is_time, _time),
    (pa.types.is_duration, _duration),
)


def fit_number(values: Values, rule: TypeRule, scale: int | None) -> Values:
    """Bring decimals to a column's scale, exactly; those that do not fit its precision or scale are bad."""
    if scale is None or rule.precision is None:
        return values
    target = pa.decimal128(rule.precision, scale)
    try:
        return Values("number", _widened(values.array, scale).cast(target))
    except pa.ArrowInvalid:
        pass
    fitted: list[Decimal | None] = []
    bad: list[bool] = []
    for value in values.array.to_pylist():
        exact = None if value is None else _at_scale(value, rule.precision, scale)
        fitted.append(exact)
        bad.append(value is not None and exact is None)
    return Values("number", pa.array(fitted, target), pa.array(bad), values.array.cast(pa.string()))


def _widened(array: pa.Array, scale: int) -> pa.Array:
    """Bring decimals that may outgrow 128 bits to the scale in 256: Arrow's cast would overflow without a word."""
    kind = array.type
    if not pa.types.is_decimal128(kind) or kind.precision - kind.scale + scale <= _DIGITS_OF_128_BITS:
        return array
    return array.cast(pa.decimal256(_DIGITS_OF_256_BITS, scale))


def _at_scale(value: Decimal, precision: int, scale: int) -> Decimal | None:
    with localcontext() as context:
        context.prec = 200
        exact = value.quantize(Decimal(1).scaleb(-scale))
        return exact if exact == value and len(exact.as_tuple().digits) <= precision else None
