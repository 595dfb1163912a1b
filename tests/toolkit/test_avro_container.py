"""The walk over block headers: it finds every cut and every damaged header before a row is delivered."""

from __future__ import annotations

import zlib
from pathlib import Path

import fastavro
import pyarrow as pa
import pytest

from lockstitch.core.errors import SourceDataError
from lockstitch.testing.heap_bucket import BLOCK_ROWS, Codec, write_avro
from lockstitch.toolkit.avro_container import CODECS, MOST_BYTES, MOST_ROWS, header_bytes, read_header, survey

ROWS = pa.table({"event_id": pa.array(range(3 * BLOCK_ROWS + 7), pa.int64()), "page": ["p"] * (3 * BLOCK_ROWS + 7)})


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest) -> Codec:
    return request.param


def written(path: Path, codec: Codec = "deflate", rows: pa.Table = ROWS) -> bytes:
    write_avro(path, rows, codec=codec)
    return path.read_bytes()


def test_rows_are_counted_without_decoding(tmp_path: Path, codec: Codec) -> None:
    path = tmp_path / "x.avro"
    written(path, codec)
    surveyed = survey(path, "x")
    assert surveyed.rows == ROWS.num_rows
    assert surveyed.header.codec == codec
    assert [field["name"] for field in surveyed.header.fields] == ["event_id", "page"]


def test_a_file_of_another_writer_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "x.avro"
    schema = {"type": "record", "name": "r", "fields": [{"name": "n", "type": "long"}]}
    with path.open("wb") as file:
        fastavro.writer(file, schema, [{"n": number} for number in range(5000)], codec="deflate", sync_interval=100)
    assert survey(path, "x").rows == 5000


def test_a_header_is_read_as_soon_as_it_is_whole(tmp_path: Path) -> None:
    data = written(tmp_path / "x.avro")
    header = read_header(data, "x")
    assert header is not None
    assert header_bytes(header.schema, header.codec, header.sync) == data[: header.size]
    for size in range(4, header.size):
        assert read_header(data[:size], "x") is None


def test_every_cut_but_one_between_blocks_is_found(tmp_path: Path) -> None:
    data = written(tmp_path / "whole.avro")
    header = read_header(data, "x")
    assert header is not None
    ends = {header.size, *(end for end in range(header.size, len(data) + 1) if data[:end].endswith(header.sync))}
    path = tmp_path / "cut.avro"
    for size in [*range(0, len(data), 97), *(end + step for end in sorted(ends) for step in (-17, -16, -1, 1, 2))]:
        if not 0 <= size < len(data) or size in ends:
            continue
        path.write_bytes(data[:size])
        with pytest.raises(SourceDataError, match=r"cut short|no Avro file"):
            survey(path, "cut")


DAMAGE = {
    "magic": (0, "no Avro file"),
    "sync marker": (-1, "does not end with the file's sync marker"),
}


@pytest.mark.parametrize(("at", "message"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_and_its_place_named(tmp_path: Path, at: int, message: str) -> None:
    data = bytearray(written(tmp_path / "x.avro"))
    data[at] ^= 0xFF
    (tmp_path / "x.avro").write_bytes(data)
    with pytest.raises(SourceDataError, match=message) as caught:
        survey(tmp_path / "x.avro", "bucket/x.avro")
    assert "bucket/x.avro" in caught.value.message
    assert caught.value.hint is not None


@pytest.mark.parametrize("tail", [b"garbagegarbage", b"\0" * 100, b"\x01\x02", b"\xff" * 30])
def test_what_follows_the_last_block_is_found(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "x.avro"
    path.write_bytes(written(path) + tail)
    with pytest.raises(SourceDataError, match=r"damaged|cut short"):
        survey(path, "x")


def test_an_unknown_codec_and_a_schema_that_is_no_record_are_refused() -> None:
    with pytest.raises(SourceDataError, match="codec 'lz77'") as caught:
        read_header(header_bytes({"type": "record", "name": "r", "fields": []}, "lz77", b"s" * 16), "x")
    assert "zstandard" in (caught.value.hint or "")
    with pytest.raises(SourceDataError, match="no record"):
        read_header(header_bytes({"type": "string"}, "null", b"s" * 16), "x")


def test_small_rows_are_decoded_many_at_once(tmp_path: Path, codec: Codec) -> None:
    written(tmp_path / "x.avro", codec)
    assert survey(tmp_path / "x.avro", "x").batch_rows == MOST_ROWS


def test_wide_rows_are_decoded_few_at_once(tmp_path: Path, codec: Codec) -> None:
    """Each row is a megabyte that packs to next to nothing, in a block of its own, as writers do with such rows."""
    schema = {"type": "record", "name": "r", "fields": [{"name": "text", "type": "string"}]}
    path = tmp_path / "x.avro"
    with path.open("wb") as file:
        fastavro.writer(file, schema, [{"text": "x" * (1 << 20)}] * 64, codec=codec, sync_interval=1)
    assert survey(path, "x").batch_rows * (1 << 20) <= MOST_BYTES


def test_one_wide_row_does_not_slow_the_others(tmp_path: Path) -> None:
    schema = {"type": "record", "name": "r", "fields": [{"name": "text", "type": "string"}]}
    path = tmp_path / "x.avro"
    rows = [{"text": "x"}] * 20_000
    rows[10_000] = {"text": "x" * (5 << 20)}
    with path.open("wb") as file:
        fastavro.writer(file, schema, rows, codec="null")
    assert survey(path, "x").batch_rows == MOST_ROWS


def test_a_damaged_payload_does_not_break_the_measuring(tmp_path: Path) -> None:
    header = header_bytes({"type": "record", "name": "r", "fields": []}, "deflate", b"s" * 16)
    packed = zlib.compress(b"x" * 100)[5:]
    path = tmp_path / "x.avro"
    path.write_bytes(header + bytes([2, 2 * len(packed)]) + packed + b"s" * 16)
    assert survey(path, "x").rows == 1
