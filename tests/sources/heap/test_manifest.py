"""What is tolerated in manifests and what is not: `spec/source-heap.md` sections 3 and 4."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lockstitch.core.errors import SourceDataError
from lockstitch.sources.heap.manifest import Manifest, Manifests, parse
from lockstitch.sources.heap.selection import Delivery
from lockstitch.toolkit.objects import Folder, ObjectInfo

WHOLE: dict[str, Any] = {
    "dump_id": 124,
    "tables": [
        {
            "name": "users",
            "columns": ["user_id", "email"],
            "files": ["s3://heap-rs3-acme/sync_124/users/part-0.avro"],
            "incremental": False,
        }
    ],
    "property_definitions": {"users": [{"anything": 1}]},
}
USERS = Delivery(124, "users", ("sync_124/users/part-0.avro",), incremental=False, columns=("user_id", "email"))


def info(key: str = "manifests/sync_124.json") -> ObjectInfo:
    return ObjectInfo(key, 1, "etag", datetime(2026, 1, 1, tzinfo=UTC))


def parsed(body: Any, key: str = "manifests/sync_124.json") -> Manifest:
    return parse(info(key), json.dumps(body).encode())


def test_a_whole_manifest() -> None:
    manifest = parsed(WHOLE)
    assert manifest.dump == 124
    assert manifest.deliveries == (USERS,)


def table(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (WHOLE["tables"][0] | changes).items() if value != "left out"}


TOLERATED: dict[str, tuple[dict[str, Any], Delivery]] = {
    "no incremental": (
        table(incremental="left out"),
        Delivery(124, "users", USERS.files, incremental=True, columns=USERS.columns),
    ),
    "null incremental": (
        table(incremental=None),
        Delivery(124, "users", USERS.files, incremental=True, columns=USERS.columns),
    ),
    "no columns": (table(columns="left out"), Delivery(124, "users", USERS.files, incremental=False)),
    "null columns": (table(columns=None), Delivery(124, "users", USERS.files, incremental=False)),
    "no files": (table(files="left out"), Delivery(124, "users", (), incremental=False, columns=USERS.columns)),
    "null files": (table(files=None), Delivery(124, "users", (), incremental=False, columns=USERS.columns)),
    "an unknown field": (table(rows=7), USERS),
    "another scheme": (table(files=["s3a://elsewhere/sync_124/users/part-0.avro"]), USERS),
    "a bare key": (table(files=["sync_124/users/part-0.avro"]), USERS),
}


@pytest.mark.parametrize(("entry", "delivery"), TOLERATED.values(), ids=TOLERATED)
def test_what_is_tolerated(entry: dict[str, Any], delivery: Delivery) -> None:
    assert parsed({"dump_id": 124, "tables": [entry]}).deliveries == (delivery,)


@pytest.mark.parametrize("dump_id", [1008461850, "1008461850"])
def test_a_dump_id_may_be_large_or_text(dump_id: Any) -> None:
    assert parsed({"dump_id": dump_id, "tables": []}).dump == 1008461850


def test_a_missing_dump_id_is_taken_from_the_name() -> None:
    assert parsed({"tables": []}, "manifests/sync_77.json").dump == 77
    with pytest.raises(SourceDataError, match=r"manifests/x\.json has no dump_id"):
        parsed({"tables": []}, "manifests/x.json")


def test_event_metadata_is_skipped() -> None:
    assert parsed({"dump_id": 1, "tables": [table(name="_event_metadata"), table()]}).deliveries == (
        Delivery(1, "users", USERS.files, incremental=False, columns=USERS.columns),
    )


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b"null", b'{"dump_id": 1}', b'{"tables": [{"files": []}]}', b'{"tables": "x"}', b"\xff\xfe{}"]
)
def test_what_is_no_manifest_is_told_with_its_key(data: bytes) -> None:
    with pytest.raises(SourceDataError, match=r"the manifest manifests/sync_124\.json cannot be read") as caught:
        parse(info(), data)
    assert caught.value.hint is not None


class Counting(Folder):
    """A folder that counts what is read."""

    parallel: ClassVar[int] = 3

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[str] = []

    def read(self, key: str, size: int | None = None) -> bytes:
        self.reads.append(key)
        return super().read(key, size)


@pytest.fixture
def folder(tmp_path: Path) -> Counting:
    (tmp_path / "manifests").mkdir()
    return Counting(tmp_path)


def put(folder: Folder, name: str, dump: int | None, modified: float, **more: Any) -> None:
    path = folder.root / "manifests" / name
    path.write_bytes(b"" if dump is None else json.dumps({"dump_id": dump, "tables": [], **more}).encode())
    os.utime(path, (modified, modified))


def test_only_manifests_are_read(folder: Counting) -> None:
    put(folder, "sync_10.json", 10, 1)
    put(folder, "sync_9.json", 9, 2)
    put(folder, "empty.json", None, 3)
    put(folder, "note.txt", None, 3)
    (folder.root / "imported_manifests").mkdir()
    (folder.root / "imported_manifests" / "sync_11.json").write_text("{")
    assert [manifest.dump for manifest in Manifests(folder).load()] == [9, 10]


def test_a_manifest_is_read_once_unless_it_changes(folder: Counting) -> None:
    put(folder, "sync_1.json", 1, 1)
    put(folder, "sync_2.json", 2, 1)
    manifests = Manifests(folder)
    manifests.load()
    manifests.load()
    assert sorted(folder.reads) == ["manifests/sync_1.json", "manifests/sync_2.json"]
    put(folder, "sync_2.json", 2, 5, property_definitions={})
    manifests.load()
    assert folder.reads[2:] == ["manifests/sync_2.json"]


def test_of_two_manifests_of_a_dump_the_newer_counts(folder: Counting, caplog: pytest.LogCaptureFixture) -> None:
    put(folder, "sync_1.json", 1, 20, tables=[table()])
    put(folder, "sync_1_again.json", 1, 10)
    with caplog.at_level(logging.WARNING):
        (manifest,) = Manifests(folder).load()
    assert manifest.key == "manifests/sync_1.json"
    assert "both of dump 1" in caplog.text
