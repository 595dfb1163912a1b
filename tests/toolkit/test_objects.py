"""A folder that stands for a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from lockstitch.toolkit.objects import Folder, ObjectInfo, StoreError, at_once


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    for key in ("manifests/a.json", "manifests/deep/b.json", "sync_1/t/c.avro", "other"):
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(key.encode())
    return Folder(tmp_path)


def info(folder: Folder, key: str) -> ObjectInfo:
    return next(info for info in folder.list(key.rpartition("/")[0] + "/") if info.key == key)


def test_keys_are_listed_by_prefix(folder: Folder) -> None:
    assert sorted(info.key for info in folder.list("manifests/")) == ["manifests/a.json", "manifests/deep/b.json"]
    assert list(folder.list("nothing/")) == []


def test_objects_are_read_whole_or_in_part(folder: Folder) -> None:
    assert folder.read("sync_1/t/c.avro") == b"sync_1/t/c.avro"
    assert folder.read("sync_1/t/c.avro", 4) == b"sync"


def test_a_file_is_used_where_it_lies(folder: Folder, tmp_path: Path) -> None:
    found = info(folder, "sync_1/t/c.avro")
    assert found.size == 15
    with folder.local(found) as path:
        assert path == tmp_path / "sync_1/t/c.avro"
    assert path.exists()


def test_a_change_changes_the_etag(folder: Folder, tmp_path: Path) -> None:
    before = info(folder, "manifests/a.json").etag
    (tmp_path / "manifests/a.json").write_bytes(b"longer than it was")
    assert info(folder, "manifests/a.json").etag != before


@pytest.mark.parametrize("key", ["nowhere", "manifests", "other/x", "../outside", "/etc/passwd", "a/../../b"])
def test_what_is_no_object_is_told(folder: Folder, key: str) -> None:
    with pytest.raises(StoreError) as caught:
        folder.read(key)
    assert caught.value.code == "NoSuchKey"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="NoSuchBucket"):
        list(Folder(tmp_path / "nowhere").list("manifests/"))


def test_calls_at_once_keep_the_order(folder: Folder) -> None:
    class Wide(Folder):
        parallel: ClassVar[int] = 4

    assert at_once(folder, str, range(5)) == at_once(Wide(folder.root), str, range(5)) == ("0", "1", "2", "3", "4")
