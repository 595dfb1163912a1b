"""Decoding: every codec and type against another reader, and damaged files, none of which loses a row in silence."""

from __future__ import annotations

import datetime as dt
import json
import math
import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest

from lockstitch.core.errors import SourceDataError
from lockstitch.testing.heap_bucket import Codec, write_avro
from lockstitch.toolkit.ahead import Work, in_order
from lockstitch.toolkit.avro import decode
from lockstitch.toolkit.avro_container import CODECS, header_bytes, survey

ROWS = pa.table(
    {
        "event_id": pa.array(range(10_000), pa.int64()),
        "page": [None if number % 7 == 0 else f"päge\0{number}" for number in range(10_000)],
        "value": [math.inf if number % 5 else None for number in range(10_000)],
    }
)


def everything(_: str) -> bool:
    return True


def decoded(path: Path, spool: Path, wants: Callable[[str], bool] = everything) -> pa.Table:
    spool.mkdir(exist_ok=True)
    surveyed = survey(path, path.name)
    batches = list(decode(path, surveyed, name=path.name, wants=wants, spool=lambda: spool))
    table = pa.Table.from_batches(batches)
    assert table.num_rows == surveyed.rows
    return table


def write_rows(path: Path, type_: Any, values: Sequence[Any]) -> None:
    """Write a file with the fields `event_id` and `v`, the values given as Avro's plain ones."""
    plain = json.loads(
        json.dumps(type_), object_hook=lambda item: {k: v for k, v in item.items() if k != "logicalType"}
    )
    rows = [{"event_id": number, "v": value} for number, value in enumerate(values)]
    with path.open("wb") as file:
        fastavro.writer(file, record(plain), rows)
    # fastavro would convert the values of logical types: name those in the header only afterwards.
    header = survey(path, "x").header
    blocks = path.read_bytes()[header.size :]
    path.write_bytes(header_bytes(record(type_), header.codec, header.sync) + blocks)


def record(type_: Any) -> dict[str, Any]:
    fields = [{"name": "event_id", "type": "long"}, {"name": "v", "type": type_}]
    return {"type": "record", "name": "topLevelRecord", "fields": fields}


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_gives_the_rows_in_their_order(tmp_path: Path, codec: Codec) -> None:
    write_avro(tmp_path / "x.avro", ROWS, codec=codec)
    assert decoded(tmp_path / "x.avro", tmp_path).equals(ROWS)


UUID = "0f8FAD5b-d9cb-469f-A165-70867728950e"

#: name: (Avro type, plain Avro values, Arrow type, values as delivered)
TYPES: dict[str, tuple[Any, list[Any], pa.DataType, list[Any]]] = {
    "null": ("null", [None], pa.null(), [None]),
    "int": ("int", [-1, 2**31 - 1], pa.int32(), [-1, 2**31 - 1]),
    "long": ("long", [2**53 + 1, 2**63 - 1, -(2**63)], pa.int64(), [2**53 + 1, 2**63 - 1, -(2**63)]),
    "float": ("float", [1.5, math.inf], pa.float32(), [1.5, math.inf]),
    "double": (["null", "double"], [None, 0.1], pa.float64(), [None, 0.1]),
    "boolean": (["null", "boolean"], [True, None], pa.bool_(), [True, None]),
    "string": ("string", ["", "é😀\0"], pa.string(), ["", "é😀\0"]),
    "null second": (["string", "null"], ["a", None], pa.string(), ["a", None]),
    "bytes": (["null", "bytes"], [b"\xff\0", None], pa.binary(), [b"\xff\0", None]),
    "fixed": ({"type": "fixed", "name": "F", "size": 2}, [b"ab"], pa.binary(2), [b"ab"]),
    "enum": (
        ["null", {"type": "enum", "name": "E", "symbols": ["A", "B"]}],
        ["B", None],
        pa.dictionary(pa.int32(), pa.string()),
        ["B", None],
    ),
    "array": ({"type": "array", "items": ["null", "long"]}, [[1, None], []], pa.list_(pa.int64()), [[1, None], []]),
    "map": (
        {"type": "map", "values": "long"},
        [{"a": 1}, {}],
        pa.map_(pa.string(), pa.field("value", pa.int64(), nullable=False)),
        [[("a", 1)], []],
    ),
    "record": (
        ["null", {"type": "record", "name": "R", "fields": [{"name": "x", "type": ["null", "int"]}]}],
        [None, {"x": None}, {"x": 1}],
        pa.struct([pa.field("x", pa.int32())]),
        [None, {"x": None}, {"x": 1}],
    ),
    "date": (
        {"type": "int", "logicalType": "date"},
        [-719162, 2932896],
        pa.date32(),
        [dt.date(1, 1, 1), dt.date(9999, 12, 31)],
    ),
    "timestamp-millis": (
        ["null", {"type": "long", "logicalType": "timestamp-millis"}],
        [1, None],
        pa.timestamp("ms", "+00:00"),
        [dt.datetime(1970, 1, 1, 0, 0, 0, 1000, dt.UTC), None],
    ),
    "timestamp-micros": (
        {"type": "long", "logicalType": "timestamp-micros"},
        [-62135596800000000],
        pa.timestamp("us", "+00:00"),
        [dt.datetime(1, 1, 1, tzinfo=dt.UTC)],
    ),
    "local-timestamp-millis": (
        {"type": "long", "logicalType": "local-timestamp-millis"},
        [1],
        pa.timestamp("ms"),
        [dt.datetime(1970, 1, 1, 0, 0, 0, 1000)],
    ),
    "local-timestamp-micros": (
        {"type": "long", "logicalType": "local-timestamp-micros"},
        [1],
        pa.timestamp("us"),
        [dt.datetime(1970, 1, 1, 0, 0, 0, 1)],
    ),
    "time-millis": ({"type": "int", "logicalType": "time-millis"}, [1], pa.time32("ms"), [dt.time(0, 0, 0, 1000)]),
    "time-micros": ({"type": "long", "logicalType": "time-micros"}, [1], pa.time64("us"), [dt.time(0, 0, 0, 1)]),
    "decimal": (
        ["null", {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2}],
        [b"\xff\x38", None],
        pa.decimal128(38, 2),
        [Decimal("-2.00"), None],
    ),
    "wide decimal": (
        {"type": "bytes", "logicalType": "decimal", "precision": 60, "scale": 0},
        [b"\x7f" * 20],
        pa.decimal256(60, 0),
        [Decimal(int.from_bytes(b"\x7f" * 20))],
    ),
    "uuid": (["null", {"type": "string", "logicalType": "uuid"}], [UUID, None], pa.string(), [UUID, None]),
    "uuid that is none": ({"type": "string", "logicalType": "uuid"}, ["nonesuch"], pa.string(), ["nonesuch"]),
    "uuid in a list": (
        {"type": "array", "items": {"type": "string", "logicalType": "uuid"}},
        [[UUID]],
        pa.list_(pa.field("item", pa.string(), nullable=False)),
        [[UUID]],
    ),
    "uuid of 16 bytes": (
        {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"},
        [bytes(range(16))],
        pa.string(),
        ["00010203-0405-0607-0809-0a0b0c0d0e0f"],
    ),
    "unknown logical type": ({"type": "string", "logicalType": "colour"}, ["red"], pa.string(), ["red"]),
}


@pytest.mark.parametrize(("type_", "values", "arrow", "delivered"), TYPES.values(), ids=TYPES)
def test_a_type_is_delivered_as_arrows(
    tmp_path: Path, type_: Any, values: list[Any], arrow: pa.DataType, delivered: list[Any]
) -> None:
    write_rows(tmp_path / "x.avro", type_, values)
    column = decoded(tmp_path / "x.avro", tmp_path / "spool").column("v")
    assert column.type == arrow
    assert column.to_pylist() == delivered


def test_a_union_of_several_types_keeps_each_value_as_it_is(tmp_path: Path) -> None:
    write_rows(tmp_path / "x.avro", ["null", "string", "long", "double"], [None, "1", 1, 1.5])
    column = decoded(tmp_path / "x.avro", tmp_path).column("v")
    assert pa.types.is_union(column.type)
    assert column.to_pylist() == [None, "1", 1, 1.5]


def test_columns_that_are_not_wanted_are_left_out(tmp_path: Path) -> None:
    write_avro(tmp_path / "x.avro", ROWS)
    assert decoded(tmp_path / "x.avro", tmp_path, lambda name: name == "page").equals(ROWS.select(["page"]))


def test_rows_of_which_no_column_is_wanted_still_count(tmp_path: Path) -> None:
    write_avro(tmp_path / "x.avro", ROWS)
    path = tmp_path / "x.avro"
    batches = list(decode(path, survey(path, "x"), name="x", wants=lambda _: False, spool=lambda: tmp_path))
    assert sum(batch.num_rows for batch in batches) == ROWS.num_rows


def test_a_file_without_rows_gives_none(tmp_path: Path) -> None:
    path = tmp_path / "x.avro"
    write_avro(path, ROWS.slice(0, 0))
    assert list(decode(path, survey(path, "x"), name="x", wants=everything, spool=lambda: tmp_path)) == []


@pytest.mark.parametrize("name", ["a b", "a?b", "a*[b]", "a%20b", "é", "a{b,c}", 'a"b', "a\\b", "a:b"])
def test_a_path_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "x"
    write_avro(path, ROWS)
    assert decoded(path, tmp_path).num_rows == ROWS.num_rows


def test_text_that_is_no_utf8_comes_as_it_is(tmp_path: Path) -> None:
    """The other rows and columns are not touched, in whichever batch it is found."""
    fields = [
        {"name": "event_id", "type": "long"},
        {"name": "page", "type": ["null", "bytes"]},
        {"name": "deep", "type": {"type": "array", "items": "bytes"}},
        {"name": "id", "type": "string"},
    ]
    rows = [{"event_id": n, "page": b"p%d" % n, "deep": [b"d"], "id": UUID} for n in range(40_000)]
    rows[35_000] |= {"page": b"bad \xff", "deep": [b"d", b"\xc3("]}
    path = tmp_path / "x.avro"
    with path.open("wb") as file:
        fastavro.writer(file, {"type": "record", "name": "r", "fields": fields}, rows)
    call_bytes_string(path, fields)
    table = decoded(path, tmp_path / "spool")
    assert table.schema.field("page").type == pa.string()
    assert table.schema.field("deep").type.value_type == pa.string()
    assert table.column("event_id").to_pylist() == list(range(40_000))
    assert table.column("id").to_pylist() == [UUID] * 40_000
    page = table.column("page").cast(pa.binary()).to_pylist()
    assert page == [row["page"] for row in rows]
    assert table.column("deep").combine_chunks().values.cast(pa.binary())[35_001].as_py() == b"\xc3("
    assert list((tmp_path / "spool").iterdir()) == []


def call_bytes_string(path: Path, fields: list[dict[str, Any]]) -> None:
    """Write the file again with `bytes` called `string`, which Avro writes alike."""
    header = survey(path, "x").header
    text = json.dumps({"type": "record", "name": "r", "fields": fields}).replace('"bytes"', '"string"')
    blocks = path.read_bytes()[header.size :]
    path.write_bytes(header_bytes(json.loads(text), header.codec, header.sync) + blocks)


@pytest.mark.parametrize("codec", CODECS)
def test_flipped_bytes_never_lose_a_row_in_silence(tmp_path: Path, codec: Codec) -> None:
    """Whatever is damaged, the file is refused or has as many rows as it says. Only a block's checksum can do more."""
    path = tmp_path / "x.avro"
    write_avro(path, ROWS, codec=codec)
    whole = path.read_bytes()
    chance = random.Random(codec)
    refusals: list[SourceDataError] = []
    for _ in range(40):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            rows = count_in_thread(path, patience=2)
        except SourceDataError as error:
            refusals.append(error)
        else:
            assert rows == survey(path, "x").rows
    assert refusals
    assert [error for error in refusals if not (error.message.startswith("x ") and error.hint)] == []


def count_in_thread(path: Path, patience: float) -> int:
    spool = path.parent
    work = Work("x", lambda: decode(path, survey(path, "x"), name="x", wants=everything, spool=lambda: spool))
    running = in_order([work], weight=lambda batch: batch.nbytes, patience=patience)
    return sum(batch.num_rows for items in running for batch in items)


def test_a_decoder_that_loops_for_ever_is_given_up(tmp_path: Path) -> None:
    """A block that holds more rows than it says makes DataFusion's reader spin."""
    path = tmp_path / "x.avro"
    write_avro(path, ROWS, codec="null")
    header = survey(path, "x").header
    data = bytearray(path.read_bytes())
    assert data[header.size : header.size + 2] == b"\xa0\x1f"  # 2000 rows
    data[header.size] -= 2
    path.write_bytes(data)
    with pytest.raises(SourceDataError, match="no row came for"):
        count_in_thread(path, patience=1)


UNREADABLE = {
    "decimal of 100 digits": {"type": "bytes", "logicalType": "decimal", "precision": 100, "scale": 2},
    "recursive record": [
        "null",
        {"type": "record", "name": "N", "fields": [{"name": "next", "type": ["null", "N"]}]},
    ],
}


@pytest.mark.parametrize("type_", UNREADABLE.values(), ids=UNREADABLE)
def test_a_type_that_cannot_be_read_is_told(tmp_path: Path, type_: Any) -> None:
    values = [None] if isinstance(type_, list) else [b"\x01"]
    write_rows(tmp_path / "x.avro", type_, values)
    with pytest.raises(SourceDataError, match="cannot be decoded"):
        decoded(tmp_path / "x.avro", tmp_path)
