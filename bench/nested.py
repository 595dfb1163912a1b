"""Nested records out of an HTTP API: each load writes six tables, against the databases' own load of their rows."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.floors import FloorJob, FloorTable
from bench.leads import SUMS, Expected, drawn
from bench.loads import Bench, into, must_equal
from bench.measure import Medians, Usage, run
from bench.report import Result
from bench.sides import SCHEMA, Side
from bench.task import Work

TOP, KEY = "leads", "id"
_PARENT_KEY = f"_sdc_source_key_{KEY}"


def first(bench: Bench) -> Result:
    """Fill tables that are not there yet."""
    pages, expected = drawn(bench.task.data, bench.task.rows)
    return _contest(bench, pages, expected, bench.side.begin, "first")


def upsert(bench: Bench) -> Result:
    """Load records of the same ids with other values into the filled tables."""
    side, task = bench.side, bench.task
    filled, before = drawn(task.data, task.rows)
    pages, expected = drawn(task.data, task.rows, changed=True)
    side.begin()
    _load(bench, filled)
    must_equal(_sums(side), before, "the tables to change")
    side.keep_as_base()
    return _contest(bench, pages, expected, lambda: side.begin(from_base=True), "upsert")


def _contest(bench: Bench, pages: Path, expected: Expected, begin: Callable[[], None], kind: str) -> Result:
    """Load the pages and the floor's rows in turn. The floor loads what a run of ours has made."""
    side, task = bench.side, bench.task

    def ours() -> Usage:
        begin()
        return _load(bench, pages)

    def floor() -> Usage:
        begin()
        return bench.floor(job.command(f"{kind}_{side.name}"))

    ours()
    must_equal(_sums(side), expected, "what landed")
    job = _prepared(side)
    floor()
    runs: dict[str, list[Usage]] = {"ours": [], "the floor": []}
    for number in range(1, task.settings.repeat + 1):
        for name, one in (("ours", ours), ("the floor", floor)):
            runs[name].append(one())
            must_equal(_sums(side), expected, f"the tables that {name} made")
        task.say(f"  {number}: " + ", ".join(f"{name} {taken[-1].wall:.2f} s" for name, taken in runs.items()))
    pair = Medians(runs["ours"]), Medians(runs["the floor"])
    return Result.against_floor(task.work.name, side.title, task.rows, task.work.target, pair)


def _prepared(side: Side) -> FloorJob:
    """Write down the rows of all tables; each of a subtable belongs to a parent, by which an upsert replaces it."""
    rows = {table: side.export(table) for table in SUMS}
    return side.job(
        *(
            FloorTable(
                rows[table],
                f"{SCHEMA}.{table}",
                KEY if table == TOP else _PARENT_KEY,
                tuple(side.columns(table)),
                side.constraint(table),
                None if table == TOP else (rows[TOP], KEY),
            )
            for table in SUMS
        )
    )


def _sums(side: Side) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for table, terms in SUMS.items():
        (values,) = side.query(f"select {', '.join(terms)} from {SCHEMA}.{table}")
        found[table] = {term: int(value or 0) for term, value in zip(terms, values, strict=True)}
    return found


def _load(bench: Bench, pages: Path) -> Usage:
    """Run our program against a server of the pages; the server's CPU is the vendor's, and not counted."""
    home = bench.task.folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    properties = json.dumps(bench.side.destination_properties())
    with _served(pages) as address:
        usage, printed = run(
            [*_program(bench), address, bench.side.name, properties],
            folder=bench.task.folder,
            environment={"LOCKSTITCH_HOME": str(home)},
            other_cpu=bench.side.other_cpu,
        )
    bench.printed.append(printed)
    return usage


def _program(bench: Bench) -> list[str]:
    return ["-m", "bench.profiled", "bench.nested_run"] if bench.task.settings.profile else ["-m", "bench.nested_run"]


@contextmanager
def _served(pages: Path) -> Generator[str]:
    root = Path(__file__).parents[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.pages", str(pages)], cwd=root, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        psutil.Process(server.pid).kill()
        server.communicate()


NESTED = (
    Work("nested-duckdb", "first load of nested records into six tables", into("duckdb", first), 500_000, 2.5),
    Work("nested-postgres", "first load of nested records into six tables", into("postgres", first), 500_000, 1.5),
    Work("nested-upsert-duckdb", "change all of them", into("duckdb", upsert), 500_000, 4),
    Work("nested-upsert-postgres", "change all of them", into("postgres", upsert), 500_000, 2),
)
