"""The making of the file: what a kill or a full disk leaves half done is no obstacle to the next run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from lockstitch.core.errors import AccessError
from lockstitch.destinations.duckdb.destination import DuckDB

OPEN = """
import resource, sys
from lockstitch.destinations.duckdb.destination import DuckDB
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
DuckDB(sys.argv[1]).open("connection", "shop")
"""


@pytest.mark.parametrize("limit", [0, 4096, 8192])
def test_half_a_file_is_never_in_its_place(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "warehouse.duckdb"
    done = subprocess.run([sys.executable, "-c", OPEN, path, str(limit)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"TransientError: {path} has reached the size that a file may have here" in done.stderr
    assert not path.exists()
    DuckDB(path).open("connection", "shop")
    assert DuckDB(path).marks("connection") == {}


def test_a_file_that_was_removed_is_made_anew_without_its_log(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    code = f"import duckdb, os; db = duckdb.connect({str(path)!r}); db.execute('create table t (i int)'); os._exit(0)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert path.with_name("warehouse.duckdb.wal").exists()
    path.unlink()
    DuckDB(path).open("connection", "shop")
    with duckdb.connect(str(path)) as db:
        assert db.execute("select table_name from duckdb_tables() where table_name = 't'").fetchall() == []


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    duckdb.connect(str(path)).close()
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(AccessError, match=r"warehouse\.duckdb is damaged: it ends before its content does"):
        DuckDB(path).open("connection", "shop")
