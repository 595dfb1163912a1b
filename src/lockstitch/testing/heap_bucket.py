"""Writes buckets in Heap's exact layout (`spec/source-heap.md` sections 3 to 5), for tests, demo and benchmarks.

write_dump(
    Path("bucket"),
    100,
    {
        "users": DumpTable(arrow_table, incremental=False, files=2),
        "click": DumpTable([{"event_id": 1, "time": "2026-01-01"}], schema=avro_record, codec="null"),
    },
)
"""

from __future__ import annotations

import bz2
import itertools
import json
import lzma
import struct
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Codec = Literal["null", "deflate", "snappy", "zstandard", "bzip2", "xz"]
AvroSchema = Mapping[str, Any]
Row = Mapping[str, Any]

#: The bucket name that manifests carry, unless another is given.
BUCKET = "heap-rs3-demo"
#: Rows of an Arrow table that become one Avro block.
BLOCK_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class DumpTable:
    """One table of one dump.

    `rows` is a pyarrow Table, or rows together with the Avro record `schema` that they follow. An Arrow table's schema
    is inferred: int64, string, double, bool and timestamp (as timestamp-micros), all nullable. `incremental` false is
    a full resync. The rows are dealt to `files` files in their order; zero files is a manifest without data files.
    `columns` are the manifest's; the default is those of the schema.
    """

    rows: pa.Table | Sequence[Row]
    schema: AvroSchema | None = None
    incremental: bool = True
    codec: Codec = "snappy"
    files: int = 1
    columns: Sequence[str] | None = None


def write_dump(root: Path, dump_id: int, tables: Mapping[str, DumpTable], *, bucket: str = BUCKET) -> Path:
    """Write one dump below the folder `root` and return its manifest, which is written last, as Heap does.

    Writing the same dump again writes the same names. An S3 bucket is filled by uploading the folder.
    """
    entries = [_write_table(root, dump_id, name, table, bucket) for name, table in tables.items()]
    manifest = {"dump_id": dump_id, "tables": entries, "property_definitions": {}}
    path = root / "manifests" / f"sync_{dump_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(manifest, indent=1))
    return path


def file_key(dump_id: int, table: str, number: int) -> str:
    """Return the key that `write_dump` gives to a table's file, relative to the bucket."""
    token = uuid.uuid5(uuid.NAMESPACE_URL, f"{dump_id}/{table}/{number}")
    return f"sync_{dump_id}/{table}/part-{number:05}-{token}-c000.avro"


def write_avro(
    path: Path, rows: pa.Table | Sequence[Row], schema: AvroSchema | None = None, codec: Codec = "snappy"
) -> None:
    """Write one Avro object container file: an Arrow table fast and by itself, rows through fastavro."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        if not isinstance(rows, Sequence):
            file.writelines(_container(rows, schema or _schema_of(rows), codec))
            return
        import fastavro

        if schema is None:
            raise TypeError("rows that are no Arrow table need an Avro schema")
        fastavro.writer(file, fastavro.parse_schema(dict(schema)), rows, codec=codec)


def _write_table(root: Path, dump_id: int, name: str, table: DumpTable, bucket: str) -> dict[str, Any]:
    schema = table.schema or _schema_of(table.rows)
    keys = [file_key(dump_id, name, number) for number in range(table.files)]
    for key, rows in zip(keys, _dealt(table.rows, table.files), strict=True):
        write_avro(root / key, rows, schema, table.codec)
    return {
        "name": name,
        "columns": list(table.columns or (field["name"] for field in schema["fields"])),
        "files": [f"s3://{bucket}/{key}" for key in keys],
        "incremental": table.incremental,
    }


def _dealt(rows: pa.Table | Sequence[Row], files: int) -> Iterator[pa.Table | Sequence[Row]]:
    edges = [len(rows) * number // files for number in range(files + 1)] if files else [0]
    for start, end in itertools.pairwise(edges):
        yield rows[start:end]


def _schema_of(rows: pa.Table | Sequence[Row]) -> AvroSchema:
    if isinstance(rows, Sequence):
        raise TypeError("rows that are no Arrow table need an Avro schema")
    fields = [{"name": field.name, "type": ["null", _avro_type(field.type)]} for field in rows.schema]
    return {"type": "record", "name": "topLevelRecord", "fields": fields}


def _avro_type(type_: pa.DataType) -> str | dict[str, str]:
    import pyarrow as pa

    if pa.types.is_timestamp(type_):
        return {"type": "long", "logicalType": "timestamp-micros"}
    names = {pa.int64(): "long", pa.string(): "string", pa.float64(): "double", pa.bool_(): "boolean"}
    if type_ not in names:
        raise TypeError(f"no Avro type for {type_}; give one of {', '.join(map(str, names))}, timestamp, or a schema")
    return names[type_]


def _container(rows: pa.Table, schema: AvroSchema, codec: Codec) -> Iterator[bytes]:
    """Yield the pieces of a container file whose every field is a union of null and a primitive, in that order."""
    sync = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(schema)).bytes
    metadata = {"avro.schema": json.dumps(schema), "avro.codec": codec}
    pairs = b"".join(_text(name) + _text(value) for name, value in metadata.items())
    yield b"Obj\x01" + _long(len(metadata)) + pairs + b"\0" + sync
    for batch in rows.combine_chunks().to_batches(BLOCK_ROWS * 32):
        for count, payload in _blocks(batch):
            packed = _packed(payload, codec)
            yield _long(count) + _long(len(packed)) + packed + sync


def _blocks(batch: pa.RecordBatch) -> Iterator[tuple[int, bytes]]:
    """Yield (rows, Avro-encoded rows) by blocks: the columns are encoded one by one and then joined row by row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    nothing = pa.scalar(b"", pa.large_binary())
    encoded = pc.binary_join_element_wise(*(_encoded(column) for column in batch.columns), nothing)
    _, offsets, data = encoded.buffers()
    ends = pa.Int64Array.from_buffers(pa.int64(), len(encoded) + 1, [None, offsets])
    for start in range(0, len(encoded), BLOCK_ROWS):
        end = min(start + BLOCK_ROWS, len(encoded))
        yield end - start, data[ends[start].as_py() : ends[end].as_py()].to_pybytes()


def _encoded(column: pa.Array) -> pa.Array:
    """Return each value as Avro's bytes of a union [null, type]. Each distinct value is encoded once."""
    import pyarrow as pa

    encode = _text
    if pa.types.is_boolean(column.type):
        column, encode = column.cast(pa.int64()), lambda value: bytes([value])
    elif pa.types.is_floating(column.type):
        column, encode = column.view(pa.int64()), struct.Struct("<q").pack
    elif not pa.types.is_string(column.type):
        micros = column.cast(pa.timestamp("us", column.type.tz)) if pa.types.is_timestamp(column.type) else column
        column, encode = micros.cast(pa.int64()), _long
    distinct = column.dictionary_encode()
    values = pa.array([b"\2" + encode(value) for value in distinct.dictionary.to_pylist()], pa.large_binary())
    return values.take(distinct.indices).fill_null(b"\0")


def _text(value: str) -> bytes:
    raw = value.encode()
    return _long(len(raw)) + raw


def _long(value: int) -> bytes:
    """Return Avro's zigzag variable-length form of a 64-bit integer."""
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _packed(payload: bytes, codec: Codec) -> bytes:
    if codec == "deflate":
        squeeze = zlib.compressobj(level=6, wbits=-15)
        return squeeze.compress(payload) + squeeze.flush()
    if codec == "bzip2":
        return bz2.compress(payload)
    if codec == "xz":
        return lzma.compress(payload)
    if codec == "null":
        return payload
    import cramjam

    if codec == "snappy":
        return bytes(cramjam.snappy.compress_raw(payload)) + zlib.crc32(payload).to_bytes(4, "big")
    return bytes(cramjam.zstd.compress(payload))
