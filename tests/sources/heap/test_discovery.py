"""Streams, fields, keys and methods: `spec/source-heap.md` section 7."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lockstitch.core.model import Field, Stream
from lockstitch.sources.heap.types import field_of
from lockstitch.testing.heap_bucket import DumpTable, file_key, write_dump
from sources.heap.bucket import open_folder, rows, write_dumps


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "bucket"


def discovered(root: Path) -> dict[str, Stream]:
    return {stream.name: stream for stream in open_folder(root).discover()}


def test_streams_are_those_of_all_manifests_by_name(root: Path) -> None:
    write_dumps(root, 100, 101, 102)
    assert [stream.name for stream in open_folder(root).discover()] == [
        "checkout",
        "pageviews",
        "sessions",
        "sign_up",
        "user_migrations",
        "users",
    ]


def test_keys_and_methods(root: Path) -> None:
    write_dumps(root, 100, 101, 102)
    found = {name: (stream.key, stream.replication_method) for name, stream in discovered(root).items()}
    assert found == {
        "checkout": (("event_id",), "INCREMENTAL"),
        "pageviews": (("event_id",), "FULL_TABLE"),
        "sessions": (("event_id",), "INCREMENTAL"),
        "sign_up": (("event_id",), "INCREMENTAL"),
        "user_migrations": (("from_user_id",), "FULL_TABLE"),
        "users": (("user_id",), "INCREMENTAL"),
    }


def test_fields_are_those_of_all_dumps_with_the_types_of_the_newest(root: Path) -> None:
    write_dumps(root, 100)
    write_dump(root, 101, {"users": DumpTable(rows([1], "user_id", plan="plan"))})
    assert discovered(root)["users"].fields == (
        Field("user_id", "integer", None, "automatic"),
        Field("email", "string", None, "available"),
        Field("plan", "string", None, "available"),
    )


def test_a_table_without_its_key_column_has_no_key(root: Path) -> None:
    write_dump(root, 1, {"odd": DumpTable(rows([1], "id", x="x"))})
    assert discovered(root)["odd"].key == ()
    assert {field.inclusion for field in discovered(root)["odd"].fields} == {"available"}


@pytest.mark.parametrize("name", ["sign_up___click", "_leading", "Ünïcode Ürl"])
def test_a_name_is_left_as_it_is(root: Path, name: str) -> None:
    write_dump(root, 1, {name: DumpTable(rows([1], x="x"))})
    assert set(discovered(root)) == {name}


def test_columns_that_no_manifest_names_are_taken_from_the_files(root: Path) -> None:
    write_dumps(root, 100, 101)
    for manifest in (root / "manifests").iterdir():
        body = json.loads(manifest.read_text())
        for table in body["tables"]:
            del table["columns"]
        manifest.write_text(json.dumps(body))
    assert [field.name for field in discovered(root)["users"].fields] == ["user_id", "email"]


@pytest.mark.parametrize("content", [None, b"", b"Obj\x01cut", b"no Avro at all"], ids=str)
def test_without_a_readable_file_every_field_is_a_string(root: Path, content: bytes | None) -> None:
    write_dumps(root, 100)
    for part in (0, 1):
        path = root / file_key(100, "users", part)
        path.unlink() if content is None else path.write_bytes(content)
    assert [(field.name, field.type) for field in discovered(root)["users"].fields] == [
        ("user_id", "string"),
        ("email", "string"),
    ]


def test_a_header_of_many_columns_is_read_whole(root: Path) -> None:
    many = {f"property_{number}_{'x' * 200}": "v" for number in range(900)}
    write_dump(root, 1, {"wide": DumpTable(rows([1], **many))})
    fields = discovered(root)["wide"].fields
    assert len(fields) == 901
    assert fields[0].type == "integer"


FIELDS: dict[str, tuple[Any, str, str | None]] = {
    "null": ("null", "string", None),
    "int": (["null", "int"], "integer", None),
    "long": ("long", "integer", None),
    "float": ("float", "number", None),
    "double": (["double", "null"], "number", None),
    "boolean": ("boolean", "boolean", None),
    "string": ("string", "string", None),
    "bytes": ("bytes", "string", None),
    "enum": ({"type": "enum", "name": "E", "symbols": []}, "string", None),
    "fixed": ({"type": "fixed", "name": "F", "size": 2}, "string", None),
    "array": ({"type": "array", "items": "long"}, "array", None),
    "map": ({"type": "map", "values": "long"}, "object", None),
    "record": (["null", {"type": "record", "name": "R", "fields": []}], "object", None),
    "a record by its name": (["null", "R"], "object", None),
    "an object form": ({"type": "long"}, "integer", None),
    "an object form within": ({"type": {"type": "string"}}, "string", None),
    "timestamp": ({"type": "long", "logicalType": "timestamp-micros"}, "string", "date-time"),
    "local timestamp": ({"type": "long", "logicalType": "local-timestamp-millis"}, "string", "date-time"),
    "date": (["null", {"type": "int", "logicalType": "date"}], "string", "date"),
    "time": ({"type": "int", "logicalType": "time-millis"}, "string", "time"),
    "decimal": ({"type": "bytes", "logicalType": "decimal", "precision": 9}, "string", "singer.decimal"),
    "uuid": ({"type": "string", "logicalType": "uuid"}, "string", None),
    "integers and numbers": (["null", "long", "double"], "number", None),
    "a mixture": (["null", "long", "string"], "string", None),
}


@pytest.mark.parametrize(("type_", "word", "format_"), FIELDS.values(), ids=FIELDS)
def test_a_type_has_a_word(type_: Any, word: str, format_: str | None) -> None:
    assert field_of("x", type_, "available") == Field("x", word, format_, "available")
