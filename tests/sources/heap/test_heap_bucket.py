"""The bucket that tests, demo and benchmarks are made of, read back by another library."""

from __future__ import annotations

import json
import math
import resource
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest

from lockstitch.core.errors import TransientError
from lockstitch.testing.heap_bucket import BLOCK_ROWS, Codec, DumpTable, file_key, write_avro, write_dump
from lockstitch.toolkit.avro_container import CODECS
from sources.heap.bucket import open_folder, read, values

ROWS = pa.table(
    {
        "event_id": pa.array([2**63 - 1, -(2**63), None, 0, -1, 63, 64, -65], pa.int64()),
        "text": pa.array(["", "\0é😀", None, "x" * 70_000, "y", "y", "y", "y"], pa.string()),
        "value": pa.array([-0.0, 0.0, None, math.inf, -math.inf, 1e-300, 5e-324, 0.1], pa.float64()),
        "flag": pa.array([True, False, None, True, True, True, True, True], pa.bool_()),
        "at": pa.array([datetime(1, 1, 1, tzinfo=UTC)] * 8, pa.timestamp("ms", "UTC")),
        "local": pa.array([datetime(9999, 12, 31)] * 8, pa.timestamp("s")),
    }
)


@pytest.mark.parametrize("codec", CODECS)
def test_an_arrow_table_is_written_as_it_is(tmp_path: Path, codec: Codec) -> None:
    write_avro(tmp_path / "x.avro", ROWS, codec=codec)
    with (tmp_path / "x.avro").open("rb") as file:
        found: list[Any] = list(fastavro.reader(file))
    expected = ROWS.to_pylist()
    for row in expected:
        row["local"] = row["local"].replace(tzinfo=UTC)
    assert found == expected
    assert [math.copysign(1, row["value"]) for row in found[:2]] == [-1, 1]


def test_many_rows_become_many_blocks(tmp_path: Path) -> None:
    count = 40 * BLOCK_ROWS + 1
    write_avro(tmp_path / "x.avro", pa.table({"n": pa.array(range(count), pa.int64())}))
    with (tmp_path / "x.avro").open("rb") as file:
        blocks: list[Any] = list(fastavro.block_reader(file))
        found = [row["n"] for block in blocks for row in block]
    assert len(blocks) == 41
    assert found == list(range(count))


def test_a_dump_has_heaps_layout(tmp_path: Path) -> None:
    manifest = write_dump(
        tmp_path, 100, {"users": DumpTable(ROWS, incremental=False, files=2), "none": DumpTable(ROWS, files=0)}
    )
    assert manifest == tmp_path / "manifests" / "sync_100.json"
    users, none = json.loads(manifest.read_text())["tables"]
    assert users["files"] == [f"s3://heap-rs3-demo/{file_key(100, 'users', part)}" for part in (0, 1)]
    assert users["columns"] == ROWS.schema.names
    assert users["incremental"] is False
    assert none["files"] == []
    assert (tmp_path / file_key(100, "users", 0)).name.startswith("part-00000-")


def test_the_same_dump_is_written_alike_twice(tmp_path: Path) -> None:
    for root in (tmp_path / "one", tmp_path / "two"):
        write_dump(root, 1, {"users": DumpTable(ROWS)})
    one, two = ((root / file_key(1, "users", 0)).read_bytes() for root in (tmp_path / "one", tmp_path / "two"))
    assert one == two


def test_a_type_that_needs_a_schema_says_so(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="no Avro type for date32"):
        write_avro(tmp_path / "x.avro", pa.table({"d": pa.array([], pa.date32())}))


UUIDS = {
    "type": "record",
    "name": "r",
    "fields": [{"name": "event_id", "type": "long"}, {"name": "id", "type": {"type": "string", "logicalType": "uuid"}}],
}


def test_a_disk_that_is_full_may_have_space_later(tmp_path: Path) -> None:
    """A file with uuids is copied on its way; here no file may grow beyond 10 kB."""
    rows = [{"event_id": n, "id": f"00000000-0000-0000-0000-{n:012}"} for n in range(2000)]
    write_dump(tmp_path / "bucket", 1, {"click": DumpTable(rows, UUIDS, codec="null")})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(TransientError, match="cannot be kept on disk") as caught:
            read(open_folder(tmp_path / "bucket"), "click")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "LOCKSTITCH_HOME" in (caught.value.hint or "")
    assert values(read(open_folder(tmp_path / "bucket"), "click"), "id") == [row["id"] for row in rows]
