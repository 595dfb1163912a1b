"""Files that are written as a whole: what others see of them, and what is left when writing fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lockstitch.toolkit.durable_files import write_whole


def test_a_file_is_its_owners_alone_unless_said_otherwise(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_whole(tmp_path / "secret", b"1")
        write_whole(tmp_path / "open", b"2", mode=0o644)
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {"secret": 0o600, "open": 0o644}


def test_a_file_that_is_there_is_replaced_or_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"1")
    with pytest.raises(FileExistsError):
        write_whole(path, b"2", only_new=True)
    assert path.read_bytes() == b"1"
    write_whole(path, b"2")
    write_whole(tmp_path / "another", b"3", only_new=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"2", "another": b"3"}


def test_who_reads_meanwhile_sees_the_old_content_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    seen: list[bytes] = []
    sync = os.fsync

    def look(descriptor: int) -> None:
        seen.append(path.read_bytes())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    write_whole(path, b"new")
    # First the file is made durable, then its name.
    assert seen == [b"old", b"new"]


def test_what_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def full(descriptor: int) -> None:
        del descriptor
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"old"]
