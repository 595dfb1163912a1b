"""A working directory, a home and a dlt of a test's own, which tells nobody what it does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.dlt.landing import MakePipeline

if TYPE_CHECKING:
    from dlt import Pipeline


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCKSTITCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    return tmp_path


@pytest.fixture
def make_pipeline(folder: Path) -> Iterator[MakePipeline]:
    """What makes a pipeline of dlt's, each time as another process would."""
    import dlt

    def make(name: str = "shop", destination: Any = "duckdb") -> Pipeline:
        return dlt.pipeline(name, destination=destination, dataset_name="landed", pipelines_dir=str(folder / "pipes"))

    yield make
    active = dlt.current.pipeline()
    if active.is_active:
        active.deactivate()
