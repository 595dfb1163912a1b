"""Data that is meant to hurt: hypothesis strategies for Arrow schemas, for rows, and for whole scripts of messages.

Every record has a field `row` that no other has, by which a test finds it again. Streams with a key have it in `id`,
from a small choice so that rows meet.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import strategies as st

from lockstitch.core.model import Batch, Checkpoint, Message, Publish, Stream, Version

#: Few, so that they collide: by case, by what is removed, by what is stripped, with subtables and with split columns.
NAMES = [
    "a",
    "A",
    "a!",
    "1a",
    "b",
    "a__b",
    "value",
    "order",
    "with space",
    "trailing ",
    "_x",
    "naïve",
    "nave",
    "日本",
    "",
    "c__bi",
    "c__ST",
    "c__x",
    "_sdc_mine",
    "_SDC_extra",
    "_rjm_",
    "__sdc_primary_key",
    "__sdc_row",
    'quote"d',
    "n" * 59,
    "n" * 60,
    "n" * 40,
]

_DECIMALS = [
    pa.decimal128(5, 2),
    pa.decimal128(38, 0),
    pa.decimal128(38, 9),
    pa.decimal128(20, 15),
    pa.decimal256(76, 40),
]

SCALARS: list[pa.DataType] = [
    pa.bool_(),
    pa.int8(),
    pa.int32(),
    pa.int64(),
    pa.uint16(),
    pa.uint64(),
    pa.float32(),
    pa.float64(),
    *_DECIMALS,
    pa.string(),
    pa.large_string(),
    pa.binary(),
    pa.binary(3),
    pa.date32(),
    pa.timestamp("s"),
    pa.timestamp("ms", "America/New_York"),
    pa.timestamp("us"),
    pa.timestamp("us", "UTC"),
    pa.timestamp("ns"),
    pa.time32("s"),
    pa.time32("ms"),
    pa.time64("us"),
    pa.time64("ns"),
    pa.duration("s"),
    pa.duration("us"),
    pa.null(),
    pa.dictionary(pa.int8(), pa.string()),
]


def types(depth: int = 2) -> st.SearchStrategy[pa.DataType]:
    """Arrow types, nested up to `depth`."""
    scalars = st.sampled_from(SCALARS)
    if depth == 0:
        return scalars
    inner = types(depth - 1)
    structs = st.lists(st.tuples(st.sampled_from(NAMES), inner), max_size=3, unique_by=lambda pair: pair[0]).map(
        lambda fields: pa.struct([pa.field(name, kind) for name, kind in fields])
    )
    lists = inner.map(pa.list_)
    maps = inner.map(lambda kind: pa.map_(pa.string(), kind))
    unions = st.lists(scalars.filter(_may_be_in_union), min_size=2, max_size=3, unique_by=str).map(
        lambda kinds: pa.dense_union([pa.field(str(n), kind) for n, kind in enumerate(kinds)])
    )
    return st.one_of(scalars, scalars, structs, lists, maps, unions)


def _may_be_in_union(kind: pa.DataType) -> bool:
    """Two decimals of one union would settle the scale of a column by which came first; that is no promise of ours."""
    return not pa.types.is_decimal(kind) and not pa.types.is_null(kind) and not pa.types.is_dictionary(kind)


# --- values ----------------------------------------------------------------------------------------------------------

_TEXTS = [
    b"",
    b" ",
    b"text",
    "ünï 🧵".encode(),
    b"nul\0inside",
    b"\0",
    b"bad\xff\xfeutf-8",
    b"\xed\xa0\x80",
    b"null",
    b"\\N",
    b"'\"`",
    b"x" * 300,
]


def values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Plain values for a type, None among them, as `build` takes them: text as bytes, times as whole numbers."""
    return st.one_of(st.none(), _filled(kind), _filled(kind), _filled(kind))


def _filled(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_struct(kind):
        return st.tuples(*(values(kind.field(n).type) for n in range(kind.num_fields)))
    if pa.types.is_map(kind):
        keys = st.sampled_from([name.encode() for name in NAMES if name])
        return st.lists(st.tuples(keys, values(kind.item_type)), max_size=3, unique_by=lambda pair: pair[0])
    if pa.types.is_list(kind):
        return st.lists(values(kind.value_type), max_size=3)
    if pa.types.is_union(kind):
        return st.one_of(*(st.tuples(st.just(n), values(kind.field(n).type)) for n in range(kind.num_fields)))
    if pa.types.is_dictionary(kind):
        return _filled(kind.value_type)
    return _scalar(kind)


def _scalar(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_null(kind):
        return st.none()
    if pa.types.is_boolean(kind):
        return st.booleans()
    if pa.types.is_integer(kind):
        signed = pa.types.is_signed_integer(kind)
        low = -(2 ** (kind.bit_width - 1)) if signed else 0
        high = 2 ** (kind.bit_width - signed) - 1
        return st.one_of(st.integers(max(low, -9), 9), st.sampled_from([low, high, high // 2 + 1]))
    if pa.types.is_floating(kind):
        extremes = [0.0, -1.5, float("nan"), float("inf"), float("-inf"), 0.1, 16777217.0]
        return st.sampled_from(extremes)
    if pa.types.is_decimal(kind):
        return _decimal(kind.precision, kind.scale)
    if pa.types.is_fixed_size_binary(kind):
        return st.sampled_from([b"abc", b"\xff\x00a", b"a\0b"])
    return st.sampled_from(_ticks(kind) if pa.types.is_temporal(kind) else _TEXTS)


def _ticks(kind: pa.DataType) -> list[Any]:
    if pa.types.is_time(kind):
        second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
        return [0, 1, 45_296 * second, 86_400 * second - 1]
    if pa.types.is_date32(kind):
        return [0, -1, 20_000, -719_162, 2_932_896, 2**31 - 1, -(2**31)]
    if pa.types.is_duration(kind):
        return [0, 1, -1, 90_500_000, -(10**12) - 1]
    return [0, -1, 1, 1_000, 1_767_323_045_000_000, 10**15 + 1, 2**62, 2**63 - 1, -(2**63) + 1]


def _decimal(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    largest = 10**precision - 1
    whole = st.one_of(
        st.integers(-9, 9).map(lambda n: n * 10**scale),
        st.sampled_from([0, 1, -1, 10, largest, -largest, largest // 10**6]),
    )
    return whole.filter(lambda n: abs(n) <= largest).map(lambda n: Decimal((n < 0, _digits(n), -scale)))


def _digits(number: int) -> tuple[int, ...]:
    return tuple(int(digit) for digit in str(abs(number)))


# --- arrays ----------------------------------------------------------------------------------------------------------


def build(kind: pa.DataType, rows: Sequence[Any]) -> pa.Array:
    """Return an Arrow array of this type from plain values, as `values` gives them."""
    if pa.types.is_struct(kind):
        return _build_struct(kind, rows)
    if pa.types.is_map(kind):
        entries = [entry for row in rows for entry in row or ()]
        keys, items = (
            build(pa.string(), [key for key, _ in entries]),
            build(kind.item_type, [item for _, item in entries]),
        )
        return pa.MapArray.from_arrays(_offsets(rows), keys, items)
    if pa.types.is_list(kind):
        return pa.ListArray.from_arrays(_offsets(rows), build(kind.value_type, [v for row in rows for v in row or ()]))
    if pa.types.is_union(kind):
        return _build_union(kind, rows)
    if pa.types.is_dictionary(kind):
        return pc.dictionary_encode(build(kind.value_type, rows)).cast(kind)
    return _build_scalar(kind, rows)


def _build_scalar(kind: pa.DataType, rows: Sequence[Any]) -> pa.Array:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        raw = pa.array(rows, pa.large_binary() if pa.types.is_large_string(kind) else pa.binary())
        return pa.Array.from_buffers(kind, len(raw), raw.buffers(), raw.null_count)
    if pa.types.is_temporal(kind):
        width = pa.int32() if kind.bit_width == 32 else pa.int64()
        return pa.array(rows, width).view(kind)
    return pa.array(rows, kind)


def _build_struct(kind: pa.DataType, rows: Sequence[Any]) -> pa.Array:
    mask = pa.array([row is None for row in rows], pa.bool_())
    if kind.num_fields == 0:
        return pa.array([None if row is None else {} for row in rows], kind)
    children = [
        build(kind.field(n).type, [None if row is None else row[n] for row in rows]) for n in range(kind.num_fields)
    ]
    return pa.StructArray.from_arrays(children, fields=[kind.field(n) for n in range(kind.num_fields)], mask=mask)


def _build_union(kind: pa.DataType, rows: Sequence[Any]) -> pa.Array:
    chosen = [(0, None) if row is None else row for row in rows]
    children: list[list[Any]] = [[] for _ in range(kind.num_fields)]
    offsets: list[int] = []
    for branch, value in chosen:
        offsets.append(len(children[branch]))
        children[branch].append(value)
    arrays = [build(kind.field(n).type, of_branch) for n, of_branch in enumerate(children)]
    codes = pa.array([branch for branch, _ in chosen], pa.int8())
    names = [kind.field(n).name for n in range(kind.num_fields)]
    return pa.UnionArray.from_dense(codes, pa.array(offsets, pa.int32()), arrays, names)


def _offsets(rows: Sequence[Any]) -> pa.Array:
    ends = list(itertools.accumulate((len(row or ()) for row in rows), initial=0))
    return pa.array([None if row is None else at for row, at in zip(rows, ends, strict=False)] + [ends[-1]], pa.int32())


# --- messages --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Script:
    """A stream, and what a source says of it, checkpoints after each message with cursors 1, 2, 3 ..."""

    stream: Stream
    messages: tuple[Message, ...]


@st.composite
def batches(draw: st.DrawFn, stream: Stream, numbers: Iterator[int], sequence: Iterator[int] | None = None) -> Batch:
    """One batch of a stream: its own schema, up to four rows, at times a slice of more."""
    skipped = draw(st.sampled_from([0, 0, 1, 3]))
    count = skipped + draw(st.integers(0, 4))
    names = draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True))
    arrays: dict[str, pa.Array] = {}
    for name in stream.key:
        kind = draw(st.sampled_from([pa.int64(), pa.int64(), pa.int64(), pa.int32(), pa.string()]))
        arrays[name] = build(kind, draw(st.lists(_keys(kind), min_size=count, max_size=count)))
    arrays["row"] = pa.array([next(numbers) for _ in range(count)], pa.int64())
    if stream.key and draw(st.integers(0, 5)) == 0:
        keys = pa.RecordBatch.from_pydict(arrays).slice(skipped)
        return Batch(stream.name, keys, "delete", _numbered(sequence, count - skipped))
    for name in names:
        kind = draw(types())
        arrays[name] = build(kind, draw(st.lists(values(kind), min_size=count, max_size=count)))
    rows = pa.RecordBatch.from_arrays(list(arrays.values()), list(arrays)).slice(skipped)
    return Batch(stream.name, rows, "upsert", _numbered(sequence, count - skipped))


def _keys(kind: pa.DataType) -> st.SearchStrategy[Any]:
    known: list[Any] = [b"1", b"2", b"a\0", b"\xff", b"k" * 1_025] if pa.types.is_string(kind) else [1, 2, 3]
    return st.one_of(st.sampled_from(known), st.sampled_from(known), st.sampled_from([*known, None]))


def _numbered(sequence: Iterator[int] | None, count: int) -> pa.Int64Array | None:
    return None if sequence is None else pa.array([next(sequence) for _ in range(count)], pa.int64())


@st.composite
def scripts(draw: st.DrawFn, *, versions: bool = True) -> Script:
    """A few batches of one stream, keyed or not, after none, one or two versions, in its own order or in ours."""
    key = draw(st.sampled_from([("id",), ("id",), ()]))
    stream = Stream(draw(st.sampled_from(["orders", "Order s", "t" * 62])), (), key)
    numbers = itertools.count(1)
    sequence = None
    if key and draw(st.booleans()):
        equal = draw(st.booleans())
        given = st.lists(st.integers(1, 6 if equal else 99), min_size=30, max_size=30, unique=not equal)
        sequence = iter(draw(given))
    messages: list[Message] = []
    for version in range(draw(st.integers(0, 2)) if versions else 0):
        missing: Literal["remove", "mark_deleted"] = "mark_deleted" if draw(st.booleans()) else "remove"
        messages.append(Version(stream.name, 1_000 + version))
        messages += [draw(batches(stream, numbers, sequence)) for _ in range(draw(st.integers(0, 2)))]
        messages.append(Publish(stream.name, 1_000 + version, missing))
    messages += [draw(batches(stream, numbers, sequence)) for _ in range(draw(st.integers(0, 3)))]
    counter = itertools.count(1)
    pairs = [(message, Checkpoint(next(counter))) for message in messages]
    return Script(stream, tuple(itertools.chain.from_iterable(pairs)))
