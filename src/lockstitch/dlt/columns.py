"""Rows as dlt can load them into any destination: few types, each column of one, no value changed on the way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lockstitch.core.errors import SourceDataError
from lockstitch.core.model import ColumnType
from lockstitch.core.rules import TypeRule
from lockstitch.layout.flatten import union_parts
from lockstitch.layout.records import value_text
from lockstitch.layout.values import Values, fit_number, is_bytes, is_text

_log = logging.getLogger(__name__)

#: dlt's decimals, where nobody says otherwise.
_DIGITS, _SCALE = 38, 9
_DECIMAL = TypeRule(ColumnType("number", "decimal"), "", precision=_DIGITS)

Part = tuple[str, pa.Array]


class Columns:
    """The columns of one stream's table: each keeps the type that it has, in dlt's schema or by its first value.

    A value of another type comes into a column of its own, called as dlt calls such a variant: amount__v_text. What is
    nested becomes JSON text; `nested` names those columns.
    """

    def __init__(self, stream: str, key: Sequence[str], known: Mapping[str, str], normalized: Callable[[str], str]):
        self.nested: set[str] = set()
        #: Whether there is a table already.
        self.stored = bool(known)
        self._stream = stream
        self._key = key
        #: A column's type by its name in dlt's schema.
        self._kinds = dict(known)
        self._normalized = normalized

    def fitted(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows in these columns. Raises SourceDataError for a key that changes its type."""
        fitted: dict[str, pa.Array] = {}
        for name, column in zip(rows.schema.names, rows.columns, strict=True):
            for kind, values in _parts(self._stream, name, column):
                if values.null_count < len(values):
                    place, values = self._placed(name, kind, values)
                    fitted[place] = pc.coalesce(fitted[place], values) if place in fitted else values
        if not fitted:
            return pa.RecordBatch.from_struct_array(pa.array([{}] * rows.num_rows, pa.struct([])))
        return pa.RecordBatch.from_pydict(fitted)

    def _placed(self, name: str, kind: str, values: pa.Array) -> tuple[str, pa.Array]:
        """Return the column that takes these values, and the values as it has them."""
        known = self._kinds.setdefault(self._normalized(name), kind)
        if known != kind and kind == "bigint" and known in _NUMBERS:
            try:
                return name, values.cast(_NUMBERS[known])
            except pa.ArrowInvalid:
                pass  # an integer beyond 53 bits, which no double is
        if known == kind:
            if kind == "json":
                self.nested.add(name)
            return name, values
        if name in self._key:
            raise SourceDataError(
                f"stream {self._stream}: the key {name} holds {kind} now, and {known} before",
                hint="rows of two types cannot replace each other; load the stream into a table of its own",
            )
        return self._placed(f"{name}__v_{kind}", kind, values)


#: What a column of numbers takes an integer as, where it is that very number.
_NUMBERS = {"double": pa.float64(), "decimal": pa.decimal128(_DIGITS, _SCALE)}


def _parts(stream: str, name: str, array: pa.Array) -> Iterator[Part]:
    """Yield the values by their types in dlt; rows whose value is of another type are null in each."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        yield from _parts(stream, name, array.storage)
    elif pa.types.is_dictionary(kind):
        yield from _parts(stream, name, array.dictionary_decode())
    elif pa.types.is_union(kind):
        codes, positions = union_parts(array)
        for at, code in enumerate(kind.type_codes):
            own = pc.if_else(pc.equal(codes, code), positions, pa.scalar(None, positions.type))
            yield from _parts(stream, name, array.field(at).take(own))
    elif pa.types.is_decimal(kind):
        yield from _decimals(array)
    elif is_text(kind):
        yield "text", _texts(stream, name, array)
    elif not pa.types.is_null(kind):
        to = next(((word, to) for holds, word, to in _KINDS if holds(kind)), None)
        yield from _converted(array, *to) if to is not None else [("json", _as_text(array))]


def _converted(array: pa.Array, word: str, convert: Callable[[pa.Array], pa.Array]) -> Iterator[Part]:
    """Convert the values; those that the type cannot hold, such as integers beyond 64 bits, become text."""
    try:
        yield word, convert(array)
    except (pa.ArrowInvalid, OverflowError):
        fits = pa.array([_fits(array.slice(at, 1), convert) for at in range(len(array))])
        yield word, convert(pc.if_else(fits, array, pa.scalar(None, array.type)))
        yield "text", _as_text(pc.if_else(fits, pa.scalar(None, array.type), array))


def _fits(one: pa.Array, convert: Callable[[pa.Array], pa.Array]) -> bool:
    try:
        convert(one)
    except (pa.ArrowInvalid, OverflowError):
        return False
    return True


def _decimals(array: pa.Array) -> Iterator[Part]:
    wide = array if array.type.bit_width >= 128 else array.cast(pa.decimal128(_DIGITS, array.type.scale))
    fitted = fit_number(Values("number", wide), _DECIMAL, _SCALE)
    yield "decimal", fitted.array
    if fitted.bad is not None and fitted.bad_text is not None:
        yield "text", pc.if_else(fitted.bad, fitted.bad_text, pa.scalar(None, pa.string()))


def _texts(stream: str, name: str, array: pa.Array) -> pa.Array:
    texts = array.cast(pa.string())
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        _log.warning("stream %s, field %s: what is no UTF-8 was replaced by U+FFFD", stream, name)
        raw: list[bytes | None] = texts.cast(pa.binary()).to_pylist()
        return pa.array([None if one is None else one.decode("utf-8", "replace") for one in raw], pa.string())
    return texts


def _as_text(array: pa.Array) -> pa.Array:
    return pa.array([value_text(array.slice(at, 1)) for at in range(len(array))], pa.string())


def _moments(array: pa.Array) -> pa.Array:
    """Return instants; a time without a zone is UTC, as in Lockstitch's own tables."""
    return array.cast(pa.timestamp("us", array.type.tz)).view(pa.int64()).view(pa.timestamp("us", "UTC"))


def _to(kind: pa.DataType) -> Callable[[pa.Array], pa.Array]:
    return lambda array: array.cast(kind)


#: Arrow's types, dlt's word for each, and what makes the one type of Arrow's that stands for it.
_KINDS: tuple[tuple[Callable[[Any], bool], str, Callable[[pa.Array], pa.Array]], ...] = (
    (pa.types.is_integer, "bigint", _to(pa.int64())),
    (pa.types.is_floating, "double", _to(pa.float64())),
    (pa.types.is_boolean, "bool", _to(pa.bool_())),
    (pa.types.is_timestamp, "timestamp", _moments),
    (pa.types.is_date, "date", _to(pa.date32())),
    (pa.types.is_time, "time", _to(pa.time64("us"))),
    (is_bytes, "binary", _to(pa.binary())),
)
