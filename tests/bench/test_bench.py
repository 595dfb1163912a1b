"""Every work of the benchmarks runs at a tiny size, and its tables are those expected."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

#: Each unit, and each destination; the others are `long`.
SHORT = ("first-duckdb", "upsert-postgres", "memory-postgres")
LONG = (
    "first-postgres",
    "nothing-new-duckdb",
    "nested-upsert-duckdb",
    "upsert-duckdb",
    "nothing-new-postgres",
    "memory-duckdb",
    "nested-duckdb",
    "nested-postgres",
    "nested-upsert-postgres",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def measured(folder: Path, work: str) -> tuple[dict[str, Any], str]:
    """Return what a tiny run of a work says, for machines and for people."""
    done = bench(work, "--rows", 400, "--repeat", 1, "--folder", folder)
    assert done.returncode == 0, done.stderr
    line, table = done.stdout.split("\n", 1)
    return json.loads(line), table


@pytest.mark.parametrize("work", [*SHORT, *(pytest.param(work, marks=pytest.mark.long) for work in LONG)])
def test_a_work_says_what_it_took(folder: Path, work: str) -> None:
    said, table = measured(folder, work)
    assert said["work"] == work
    assert said["destination"].startswith("DuckDB" if work.endswith("duckdb") else "PostgreSQL")
    kinds: Sequence[dict[str, Any]] = [said["ours"], *([said["floor"]] if said["floor"] else [])]
    for numbers in kinds:
        assert numbers["wall"] > 0
        assert numbers["cpu"] > 0
        assert numbers["peak_mb"] > 20
    assert said["reached"] == (said["value"] <= said["target"]) or said["unit"] == "MB"
    assert (said["floor"] is not None) == (said["unit"] == "x")
    if said["unit"] == "x":
        assert said["value"] == pytest.approx(
            said["ours"]["wall"] / said["floor"]["wall"], rel=0.02
        )  # walls are rounded
    if said["unit"] == "MB":
        assert list(said["peaks_mb"]) == ["400", "2000"]
    assert table.splitlines()[2].split()[0] == work


#: Works of the server, each with a tiny size.
SERVER_SHORT = {"server-ready": 3, "server-pushes": 1500}
SERVER_LONG = {
    "server-lists": 3,
    "server-ticks": 2,
    "server-idle-memory": 3,
    "server-idle-cpu": 3,
    "server-nothing-new": 2,
    "server-pushes-postgres": 1500,
}


@pytest.mark.parametrize(
    ("work", "rows"),
    [*SERVER_SHORT.items(), *(pytest.param(*one, marks=pytest.mark.long) for one in SERVER_LONG.items())],
)
def test_a_work_of_the_server_says_what_it_found(folder: Path, work: str, rows: int) -> None:
    done = bench(work, "--rows", rows, "--folder", folder)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[0])
    assert (said["work"], said["rows"]) == (work, rows)
    assert said["value"] > 0
    more_is_better = said["unit"] == "records/s"
    assert said["reached"] == ((said["value"] >= said["target"]) if more_is_better else said["value"] <= said["target"])


def test_the_works_are_all_tested() -> None:
    names = [line.split()[0] for line in bench("--help").stdout.partition("works:\n")[2].splitlines()]
    assert sorted(names) == sorted([*SHORT, *LONG, *SERVER_SHORT, *SERVER_LONG])


def test_an_unknown_work_is_refused() -> None:
    done = bench("first-oracle")
    assert done.returncode == 2
    assert "first-duckdb" in done.stderr


def test_a_profile_names_our_functions(folder: Path) -> None:
    done = bench("nothing-new-duckdb", "--profile", "--folder", folder)
    assert done.returncode == 0, done.stderr
    assert "MainThread" in done.stdout
    assert re.search(r"(cli|engine|sources|destinations)/\S+\.py", done.stdout)
