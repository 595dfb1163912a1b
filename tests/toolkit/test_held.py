"""Who waits for the file learns for whom, and what goes wrong is told as what it is."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from lockstitch.core.errors import AccessError, TransientError
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


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match=r"the folder of .* does not exist"), held(tmp_path / "none" / "file"):
        pass


@pytest.mark.parametrize("error", [FileNotFoundError("another file"), PermissionError("another file")], ids=repr)
def test_what_fails_while_the_file_is_held_stays_what_it_is(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(OSError, match="another file") as raised, held(tmp_path / "file"):
        raise error
    assert raised.value is error
