"""Who waits for the file learns for whom."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from lockstitch.core.errors import TransientError
from lockstitch.toolkit.held import held


def test_a_run_that_waits_names_the_one_that_holds_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "warehouse.duckdb"
    caplog.set_level(logging.WARNING)
    own = f"process {os.getpid()}"
    with (
        held(path),
        pytest.raises(TransientError, match=rf"warehouse\.duckdb has been in use by other runs for 2 s, now by {own}"),
        held(path, patience=2.3),
    ):
        pass
    assert [record.getMessage() for record in caplog.records] == [
        f"waiting for {path}, which is in use by another run, {own}"
    ]
    with held(path, patience=0.0):
        pass  # whoever let go can be followed at once, even by one that has no patience
