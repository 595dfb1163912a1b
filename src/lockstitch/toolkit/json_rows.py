"""JSON records to Arrow: at full speed where they fit the types that are known, value by value where they do not.

Records never become Python objects as long as Arrow's own reader takes them with an explicit schema. It refuses what
does not fit it: another type, an integer beyond 64 bits, a new field, a field named twice. Such a batch is decoded
exactly, and what it taught is known to the next one.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, repeat
from typing import Any, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from lockstitch.core.errors import SourceDataError
from lockstitch.toolkit.exact import Exact, exact_number
from lockstitch.toolkit.shapes import Fields, Shape
from lockstitch.toolkit.shaping import conformed, parse_type, shaped
from lockstitch.toolkit.values import batch_of

Record = bytes | msgspec.Raw

#: Whoever writes a number with no more significant digits may mean a float: 17 are enough to name each of them.
_FLOAT_DIGITS = 17
#: Floats nearer to 0 than this keep fewer digits.
_LEAST = sys.float_info.min
#: From here on a float may stand for an integer of more digits than it keeps.
_LARGE = 1e15
#: So many records tell the types of fields that nobody has declared.
_SAMPLE = 100
#: What Arrow's reader is given: objects, each with an array of records.
_BEGIN, _NEXT, _END = b'{"rows":', b'}\n{"rows":', b"}"


class JsonRows:
    """Turns the records of one stream into Arrow, batch by batch.

    `fields` are the stream's declared fields, as `toolkit/shapes.py` writes them. With `closed`, others are left out,
    at every depth, but for fields of the record itself that `keeps` tells; their paths come to be in `unseen`. Without
    declared fields everything is taken as it is written; only a field that began with floats goes on with them, where a
    later value is the integer that a float is, too.
    """

    def __init__(
        self, fields: Fields | None = None, *, closed: bool = False, keeps: Callable[[str], bool] = lambda _: False
    ) -> None:
        self.unseen: set[str] = set()
        self._keeps = keeps
        self._fields: Fields = fields or {}
        self._closed = closed
        self._known: dict[str, pa.DataType] = {
            name: kind for name, shape in self._fields.items() if (kind := parse_type(shape)) is not None
        }
        self._schema = _schema(self._known)
        self._has_mixed = False

    def batch(self, records: Sequence[Record]) -> pa.RecordBatch:
        """Return the records as rows, in their order. Raises SourceDataError for what is no JSON object."""
        return self._rows([b"[%b]" % b",".join(records)], lambda: records, len(records))

    def of_arrays(self, arrays: Sequence[bytes]) -> pa.RecordBatch:
        """Return the records of JSON arrays as rows, in their order, as `batch` does.

        Faster than to split the arrays first: that is done only where the records must be decoded exactly.
        """
        return self._rows(arrays, lambda: [record for array in arrays for record in records_of(array)])

    def _rows(
        self, arrays: Sequence[bytes], records: Callable[[], Sequence[Record]], count: int | None = None
    ) -> pa.RecordBatch:
        if not self._known:
            self._learn(_objects(records()[:_SAMPLE]))
        rows = None if self._has_mixed else self._parsed(arrays, count)
        if rows is None:
            rows = self._decoded(records())
        return shaped(rows, self._fields, self.unseen if self._closed else None, self._keeps)

    def _parsed(self, arrays: Sequence[bytes], count: int | None) -> pa.RecordBatch | None:
        """Read the records by the known types; None where any of them does not fit, or there are not `count`."""
        text = b"".join([_BEGIN, *islice(chain.from_iterable(zip(arrays, repeat(_NEXT))), 2 * len(arrays) - 1), _END])
        try:
            table = pj.read_json(
                pa.BufferReader(text),
                read_options=pj.ReadOptions(use_threads=False, block_size=len(text) + 1),
                parse_options=pj.ParseOptions(explicit_schema=self._schema, unexpected_field_behavior="error"),
            )
        except pa.ArrowInvalid:
            return None
        rows = pc.list_flatten(table.column(0).combine_chunks())
        if rows.null_count or (count is not None and len(rows) != count):
            return None
        columns = {field.name: rows.field(at) for at, field in enumerate(rows.type)}
        if _loses_digits(columns.values(), text):
            return None
        carried = {name: column for name, column in columns.items() if column.null_count < len(rows)}
        return pa.RecordBatch.from_arrays(list(carried.values()), list(carried)) if carried else None

    def _decoded(self, records: Sequence[Record]) -> pa.RecordBatch:
        shapes = {name: shape for name, kind in self._known.items() if (shape := _floats_of(kind)) is not None}
        shapes |= self._fields
        rows = [cast("dict[str, Any]", conformed(row, shapes)) for row in _objects(records)]
        self._learn(rows)
        return batch_of(rows, lambda _: True)

    def _learn(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take note of the types of values."""
        mixed = False
        for row in rows:
            for name, value in row.items():
                kind = _merged(self._known.get(name), _kind_of(value))
                if kind is None:
                    mixed = True
                else:
                    self._known[name] = kind
        self._schema = _schema(self._known)
        # A field that had several types is likely to have them again: the next batch need not be tried.
        self._has_mixed = mixed


def records_of(array: bytes) -> list[msgspec.Raw]:
    """Return the texts of an array's elements. Raises SourceDataError where it is none."""
    try:
        return _split(array)
    except msgspec.DecodeError as error:
        raise SourceDataError(
            f"a page is no JSON: {error}; it begins with {array[:200]!r}", hint="look at what the API answers"
        ) from error


_split = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _objects(records: Sequence[Record]) -> Iterator[Mapping[str, Any]]:
    for record in records:
        try:
            value = _DECODER.decode(record)
        except (msgspec.DecodeError, UnicodeDecodeError):
            value = _decoded_leniently(bytes(record))
        if not isinstance(value, dict):
            raise SourceDataError(
                f"a record is {bytes(record)[:200]!r}, which is no JSON object",
                hint="look at what the API answers; nothing of this page was loaded",
            )
        yield cast("dict[str, Any]", value)


def _number(text: str) -> float | Exact:
    digits = text.lstrip("-").partition("e")[0].partition("E")[0].replace(".", "").lstrip("0")
    if len(digits) > _FLOAT_DIGITS:
        return exact_number(text)
    value = float(text)
    # Beyond about 308 digits before or behind the point a float is infinite, 0, or has fewer digits than it seems to.
    return value if _LEAST <= abs(value) < math.inf or not digits else exact_number(text)


_DECODER = msgspec.json.Decoder(float_hook=_number)


def _decoded_leniently(record: bytes) -> Any:
    """Decode what a strict reader refuses and people write: half of a surrogate pair, bytes that are no UTF-8."""
    try:
        return json.loads(record.decode("utf-8", "surrogateescape"), parse_float=_number)
    except (ValueError, RecursionError) as error:
        raise SourceDataError(
            f"a record is no JSON: {error}; it begins with {record[:200]!r}",
            hint="look at what the API answers; nothing of this page was loaded",
        ) from error


# --- what Arrow's reader would get wrong ------------------------------------------------------------------------------


def _loses_digits(columns: Iterable[pa.Array], text: bytes) -> bool:
    """Tell whether a float was read out of a number with more digits than it keeps.

    The text is looked through only as far as the floats in it ask for, by the fastest search that there is for it.
    """
    found = [bounds for column in columns for bounds in _magnitudes(column)]
    if not found:
        return False
    least, largest = min(least for least, _ in found), max(largest for _, largest in found)
    if largest >= _LARGE or (least < _SMALL and _TINY.search(text)):
        return True
    whole = len(str(int(largest)))
    fraction = _FLOAT_DIGITS + 1 - whole
    if not pc.match_substring_regex(pa.array([text], pa.binary()), rf"\.[0-9]{{{fraction}}}")[0].as_py():
        return False
    for found in re.finditer(rb"\.\d{%d,}" % fraction, text):
        before = text[max(found.start() - whole, 0) : found.start()]
        digits = (before[len(before.rstrip(b"0123456789")) :] + found[0][1:]).lstrip(b"0")
        if len(digits) > _FLOAT_DIGITS:
            return True
    return False


#: The end of a number that may be too near to 0 for a float. It begins with the sign, for which a search is fast.
_TINY = re.compile(rb"-(?<=\d[eE]-)\d{3,}\s*[,}\]]")
#: Such a number is read as 0, or as less than this.
_SMALL = 1e-80


def _magnitudes(values: pa.Array) -> Iterator[tuple[float, float]]:
    """Yield the least and the largest magnitude of the floats in each array of them, at any depth."""
    kind = values.type
    if pa.types.is_floating(kind):
        bounds = pc.min_max(pc.abs(values)).as_py()
        if bounds["min"] is not None:
            yield bounds["min"], bounds["max"]
    elif pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _magnitudes(values.field(index))
    elif pa.types.is_list(kind):
        yield from _magnitudes(values.values)


# --- what is known of the fields --------------------------------------------------------------------------------------


def _schema(known: Mapping[str, pa.DataType]) -> pa.Schema:
    record = pa.struct([(name, _without_nulls(kind)) for name, kind in known.items()])
    return pa.schema([("rows", pa.list_(record))])


def _floats_of(kind: pa.DataType) -> Shape | None:
    """Tell where a type has floats: integers come as such there, as from Arrow's reader. None where it has none."""
    if pa.types.is_struct(kind):
        below = {field.name: shape for field in kind if (shape := _floats_of(field.type)) is not None}
        return below or None
    if pa.types.is_list(kind):
        element = _floats_of(kind.value_type)
        return None if element is None else [element]
    return "number" if pa.types.is_floating(kind) else None


def _without_nulls(kind: pa.DataType) -> pa.DataType:
    """Put text where only nulls were seen: of nulls in a list, the reader makes fewer than there are (PyArrow 26)."""
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _without_nulls(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(_without_nulls(kind.value_type))
    return pa.string() if pa.types.is_null(kind) else kind


def _kind_of(value: Any) -> pa.DataType | None:
    """Return the type by which Arrow's reader reads a value as it is, or None."""
    if isinstance(value, dict):
        fields = {name: _kind_of(below) for name, below in cast("dict[str, Any]", value).items()}
        return None if None in fields.values() else pa.struct(list(fields.items()))
    if isinstance(value, list):
        element: pa.DataType | None = pa.null()
        for below in cast("list[Any]", value):
            element = None if element is None else _merged(element, _kind_of(below))
        return None if element is None else pa.list_(element)
    if type(value) is int and not -(2**63) <= value < 2**63:
        return None
    return _SCALARS.get(type(value))


_SCALARS: Mapping[type, pa.DataType] = {
    type(None): pa.null(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
}


def _merged(known: pa.DataType | None, found: pa.DataType | None) -> pa.DataType | None:
    """Return a type that Arrow's reader can read both by, or None."""
    if found is None:
        return None
    if known is None or pa.types.is_null(known) or known == found:
        return found
    if pa.types.is_null(found):
        return known
    if pa.types.is_struct(known) and pa.types.is_struct(found):
        return _merged_structs(known, found)
    if pa.types.is_list(known) and pa.types.is_list(found):
        value = _merged(known.value_type, found.value_type)
        return None if value is None else pa.list_(value)
    return None


def _merged_structs(known: Any, found: Any) -> pa.DataType | None:
    fields = {field.name: field.type for field in known}
    for field in found:
        kind = _merged(fields.get(field.name), field.type)
        if kind is None:
            return None
        fields[field.name] = kind
    return pa.struct(list(fields.items()))
