"""The disk fills up, under the spool or under DuckDB's file: the message tells the mend, and nothing is lost.

Where tmpfs can be mounted (as root, on Linux) the disk is full in truth (ENOSPC). Elsewhere no file may exceed a size
(RLIMIT_FSIZE), and writing fails with EFBIG.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from faults.dumps import DUMPS, Delivery
from faults.rig import Rig
from faults.test_rivals import check_verdict
from faults.warehouses import DuckDBFile

PAGE = 4096


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(disk: Path, *, but: int) -> Path:
    """Fill the disk, but for so many bytes; return what to remove to free it."""
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    ballast.write_bytes(bytes(max(0, free - but)))
    return ballast


@pytest.mark.parametrize("pages", [2, *(pytest.param(pages, marks=pytest.mark.long) for pages in (0, 1, 3, 4, 6))])
def test_the_disk_of_the_spool_is_full(rig: Rig, small_disk: Path, pages: int) -> None:
    rig.home = small_disk / "home"
    places: dict[str, int] = {}
    for dump in DUMPS:
        rig.bucket.write(dump)
        ballast = fill(small_disk, but=pages * PAGE)
        ended = rig.start().end()
        check_verdict(ended, 75)
        assert f"no space left for rows that wait for their commit, in {rig.home}" in ended.err
        assert "hint: free some space, or set LOCKSTITCH_HOME" in ended.err
        places = rig.check_between(places)
        ballast.unlink()
        rig.run_to_the_end()
        rig.check()


@pytest.fixture
def full_of_duckdb(tmp_path: Path, small_disk: Path) -> Iterator[Rig]:
    with closing(Rig(tmp_path, DuckDBFile(small_disk / "warehouse.duckdb"))) as rig:
        yield rig


def test_a_full_disk_of_a_duckdb_file_is_waited_for(full_of_duckdb: Rig, small_disk: Path) -> None:
    rig = full_of_duckdb
    for dump in DUMPS:
        rig.bucket.write(dump)
        ballast = fill(small_disk, but=0)
        running = rig.start()
        running.wait_until_it_says(f"waiting: no space left on the disk of {small_disk}")
        rig.check_between({})
        ballast.unlink()
        check_verdict(running.end(), 0)
        rig.check()


@pytest.mark.long
@pytest.mark.parametrize("kilobytes", [0, 16, 300, 1200, 5000, 10000])
def test_a_disk_of_a_duckdb_file_that_stays_full(full_of_duckdb: Rig, small_disk: Path, kilobytes: int) -> None:
    rig = full_of_duckdb
    places: dict[str, int] = {}
    for dump in DUMPS:
        rig.bucket.write(dump)
        ballast = fill(small_disk, but=kilobytes * 1024)
        ended = rig.start().end()
        check_verdict(ended, 0, 75)
        if ended.code:
            assert f"no space left on the disk of {small_disk}" in ended.err
            assert "hint: free some space" in ended.err
        places = rig.check_between(places)
        ballast.unlink()
        rig.run_to_the_end()
        rig.check()


def test_a_file_of_the_spool_must_not_grow(into_postgres: Rig) -> None:
    """For machines on which nobody may mount a disk."""
    rig = into_postgres
    long = [{"user_id": n, "email": "x" * 10_000} for n in range(24)]
    rig.bucket.write(100, {"users": Delivery((tuple(long[:12]), tuple(long[12:])), full=True)})
    ended = rig.start(file_limit=50_000).end()
    check_verdict(ended, 75)
    assert f"cannot write to {rig.home}" in ended.err
    assert "hint: check the folder's disk and rights" in ended.err
    rig.run_to_the_end()
    rig.check()
