"""A working directory of a test's own, below a home of its own, with a bucket in Heap's format."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest

import lockstitch
from lockstitch.testing.heap_bucket import DumpTable, write_dump


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder below a home that nobody has used yet, without settings from outside."""
    for name in [name for name in os.environ if name.startswith("LOCKSTITCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    work = tmp_path / "projects" / "shop"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def bucket(folder: Path) -> Path:
    """A bucket with a first, full dump: four users and three sessions."""
    made = folder / "bucket"
    made.mkdir()
    users = pa.table({"user_id": pa.array([1, 2, 3, 4], pa.int64()), "visits": pa.array([7, None, 2**62, 0])})
    sessions = pa.table({"event_id": pa.array([1, 2, 3], pa.int64()), "country": ["FR", "DE", "FR"]})
    tables = {"users": users, "sessions": sessions}
    write_dump(made, 100, {name: DumpTable(table, incremental=False) for name, table in tables.items()})
    return made


@pytest.fixture
def heap(bucket: Path) -> lockstitch.Pipeline:
    """The pipeline of that bucket into a DuckDB file of the default's name."""
    properties = {"bucket_url": bucket.as_uri()}
    return lockstitch.pipeline("heap", source="platform.heap", properties=properties, dataset="heap_data")
