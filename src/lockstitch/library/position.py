"""How far a stream with a cursor has come: its largest value, and which rows of that value have been read."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from lockstitch.core.errors import SourceDataError
from lockstitch.core.model import Json
from lockstitch.layout.records import record_text
from lockstitch.layout.values import is_text
from lockstitch.library.streams import OwnStream, strange_cursor

_log = logging.getLogger(__name__)

#: Rows of one value that are told apart; with a key, more of them are read again, and replace themselves.
MOST = 100_000
_DIGEST = 8


@dataclass(slots=True)
class Position:
    """Where reading has come to. `seen` counts the digests of the rows at `value`; None: they are too many to tell.

    `kind` is the name of the value's kind, so that a value is read back as what it was.
    """

    stream: OwnStream
    kind: str | None = None
    value: Any = None
    seen: Counter[bytes] | None = field(default_factory=Counter[bytes])
    #: What had been read before this read began: its rows at that value may come once more, and are left out.
    _start: Any = None
    _known: Counter[bytes] = field(default_factory=Counter[bytes])
    _left_out: int = 0

    @classmethod
    def of(cls, stream: OwnStream, cursor: Json) -> Position:
        """Return the position that a cursor says. Raises SettingsError for one of another stream or kind."""
        if cursor is None:
            return cls(stream)
        try:
            assert isinstance(cursor, dict)
            if cursor["by"] != stream.cursor:
                raise strange_cursor(stream, cursor)
            ((kind, written),) = cast("dict[str, Any]", cursor["since"]).items()
            value = _KINDS[kind].read(written)
            packed = cast("str | None", cursor["seen"])
            seen = None if packed is None else _unpacked(packed)
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError, binascii.Error):
            raise strange_cursor(stream, cursor) from None
        return cls(stream, kind, value, seen, value, Counter(seen or {}))

    def to_json(self) -> Json:
        """Return the cursor; None as long as no row has come."""
        if self.kind is None:
            return None
        if self.seen is not None and self.seen.total() > MOST:
            self.seen = None
        if self.seen is None and not self.stream.key:
            raise SourceDataError(
                f"stream {self.stream.name}: more than {MOST:,} rows have {self.stream.cursor} {self.value}, too many "
                "to know again, and without a key they would land twice",
                hint="give the stream a key, or a cursor that is finer",
            )
        packed = None if self.seen is None else base64.b64encode(b"".join(self.seen.elements())).decode()
        return {"by": self.stream.cursor, "since": {self.kind: _KINDS[self.kind].write(self.value)}, "seen": packed}

    def advance(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Move on by the rows, and return those that were not read before."""
        values = self._values(rows)
        if len(values) == values.null_count:
            return rows
        if self.stream.ordered:
            self._refuse_disorder(values)
        rows, values = self._without_known(rows, values)
        largest = pc.max(values).as_py()
        if largest is not None and (self.value is None or largest >= self.value):
            if largest != self.value:
                self.value, self.seen = largest, Counter()
            self._note_seen(rows, values)
        return rows

    def tell_left_out(self) -> None:
        """Warn of rows that came though they lie before the value that was asked for."""
        if self._left_out:
            _log.warning(
                "stream %s: %d rows with %s before %s were left out, as all rows before it have been read already",
                self.stream.name, self._left_out, self.stream.cursor, self._start,
            )  # fmt: skip

    def _values(self, rows: pa.RecordBatch) -> pa.Array:
        """Return the rows' cursors, all of one kind. Raises SourceDataError for what has no order of its own."""
        name = cast("str", self.stream.cursor)
        if name not in rows.schema.names:
            raise self._fault("is not in a page", "let each row have it")
        column = rows.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        kind = next((kind for kind, one in _KINDS.items() if one.holds(column.type)), None)
        if column.null_count and not self.stream.key:
            raise self._fault("is missing in a row, which could land twice without a key", "leave such rows out")
        if column.null_count == len(column):
            return pa.nulls(len(column))
        if kind is None:
            raise self._fault(f"is of the type {column.type}, which has no order", "use whole numbers, times or text")
        if self.kind not in (None, kind):
            raise self._fault(f"is of the kind {kind} now, and was {self.kind} before", "let it have one type")
        self.kind = kind
        try:
            values = _KINDS[kind].comparable(column)
        except pa.ArrowInvalid as error:
            raise self._fault(f"has a value that is too large: {error}", "use one within 64 bits") from error
        if kind == "double" and not pc.all(pc.is_finite(values)).as_py():
            raise self._fault("is NaN or infinite in a row: no value comes after it", "leave such rows out")
        return values

    def _fault(self, what: str, hint: str) -> SourceDataError:
        return SourceDataError(f"stream {self.stream.name}: the cursor {self.stream.cursor} {what}", hint=hint)

    def _refuse_disorder(self, values: pa.Array) -> None:
        listed = values.drop_null()
        falls = pc.any(pc.less(listed.slice(1), listed.slice(0, max(len(listed) - 1, 0))), min_count=0).as_py()
        after = self.value if self.value != self._start else None
        if falls or (after is not None and pc.less(listed[0], pa.scalar(after, values.type)).as_py()):
            raise self._fault("does not grow from row to row", "leave ordered out, or sort the rows by it")

    def _without_known(self, rows: pa.RecordBatch, values: pa.Array) -> tuple[pa.RecordBatch, pa.Array]:
        """Leave out the rows at the start's value that are known, and without a key all that lie before it."""
        if self._start is None:
            return rows, values
        start = pa.scalar(self._start, values.type)
        left = [
            index
            for index in pc.indices_nonzero(pc.fill_null(pc.equal(values, start), False)).to_pylist()
            if self._is_known(digest(rows, index))
        ]
        if not self.stream.key:
            before = pc.indices_nonzero(pc.less(values, start)).to_pylist()
            self._left_out += len(before)
            left += before
        if not left:
            return rows, values
        gone = frozenset(left)
        kept = pa.array([index for index in range(len(values)) if index not in gone], pa.int64())
        return rows.take(kept), values.take(kept)

    def _is_known(self, one: bytes) -> bool:
        if self._known[one] <= 0:
            return False
        self._known[one] -= 1
        return True

    def _note_seen(self, rows: pa.RecordBatch, values: pa.Array) -> None:
        """Remember the rows at the largest value; stop as soon as they are too many."""
        found = pc.indices_nonzero(pc.fill_null(pc.equal(values, pa.scalar(self.value, values.type)), False))
        if self.seen is None or self.seen.total() + len(found) > MOST:
            self.seen = None
        else:
            self.seen.update(digest(rows, index) for index in found.to_pylist())


# --- the kinds of values ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a kind of cursor is told by its Arrow type, compared, and written as JSON."""

    holds: Callable[[pa.DataType], bool]
    comparable: Callable[[pa.Array], pa.Array]
    write: Callable[[Any], Json]
    read: Callable[[Any], Any]


def _microseconds(array: pa.Array) -> pa.Array:
    """Finer times count as the microsecond in which they lie: `since` can say no more."""
    floor = pc.floor_temporal(array, unit="microsecond") if array.type.unit == "ns" else array
    return floor.cast(pa.timestamp("us", array.type.tz), safe=False).view(pa.int64()).view(pa.timestamp("us", "UTC"))


def _of_type(kind: type) -> Callable[[Any], Any]:
    def read(written: Any) -> Any:
        if type(written) is not kind:
            raise TypeError
        return written

    return read


def _decimal_text(value: Decimal) -> str:
    """Return a decimal without the zeros at its end; `normalize` would round it."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


_KINDS: Mapping[str, _Kind] = {
    "integer": _Kind(pa.types.is_integer, lambda array: array.cast(pa.int64()), int, _of_type(int)),
    "double": _Kind(pa.types.is_floating, lambda array: array.cast(pa.float64()), float, _of_type(float)),
    "decimal": _Kind(pa.types.is_decimal, lambda array: array.cast(pa.decimal256(76, 38)), _decimal_text, Decimal),
    "text": _Kind(is_text, lambda array: array.cast(pa.string()), str, _of_type(str)),
    "time": _Kind(
        pa.types.is_timestamp,
        _microseconds,
        datetime.isoformat,
        lambda text: datetime.fromisoformat(text).astimezone(UTC),
    ),
    "date": _Kind(pa.types.is_date, lambda array: array.cast(pa.date32()), date.isoformat, date.fromisoformat),
}


# --- digests ----------------------------------------------------------------------------------------------------------


def digest(rows: pa.RecordBatch, index: int) -> bytes:
    """Return what tells a row from others: the same for the same values, in whichever types and order they come."""
    one = rows.slice(index, 1)
    values = ((name, _canonical(one.column(at))) for at, name in enumerate(rows.schema.names))
    text = repr(sorted((name, value) for name, value in values if value != _NULL))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest()


_NULL = repr(None)


def _canonical(one: pa.Array) -> str:
    if "[ns" in str(one.type):
        return record_text(pa.RecordBatch.from_arrays([one], ["value"]), 0, 2**31)
    try:
        return _plain(one.to_pylist()[0])
    except (ValueError, OverflowError):
        return record_text(pa.RecordBatch.from_arrays([one], ["value"]), 0, 2**31)


def _plain(value: Any) -> str:
    """Return a value as text: numbers alike whichever type they have, fields in the order of their names."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return repr(sorted((name, _plain(below)) for name, below in fields.items() if below is not None))
    if isinstance(value, list):
        return repr([_plain(below) for below in cast("list[Any]", value)])
    if isinstance(value, bool | str | bytes) or value is None:
        return repr(value)
    if isinstance(value, int | float | Decimal):
        return _number(value)
    return f"{type(value).__name__} {value}"


def _number(value: float | Decimal) -> str:
    try:
        whole = int(value)
    except (ValueError, OverflowError):
        return repr(float(value))
    return str(whole) if whole == value else repr(value) if isinstance(value, float) else _decimal_text(Decimal(value))


def _unpacked(packed: str) -> Counter[bytes]:
    joined = base64.b64decode(packed, validate=True)
    if len(joined) % _DIGEST:
        raise ValueError
    return Counter(joined[at : at + _DIGEST] for at in range(0, len(joined), _DIGEST))
