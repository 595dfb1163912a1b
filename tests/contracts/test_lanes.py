"""The log lane and the tap lane keep the promises of sources, and prove both seams end to end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstitch.core.protocols import Source
from lockstitch.destinations.duckdb.destination import DuckDB
from lockstitch.engine.limits import LoadLimits
from lockstitch.engine.run import Job, run_pipeline
from lockstitch.testing.contract.shop import plain
from lockstitch.testing.lanes import LogLane, TapLane
from lockstitch.testing.source_contract import SourceContract


class TestLogLane(SourceContract):
    @pytest.fixture(params=[0, 1])
    def open_source(self, request: pytest.FixtureRequest) -> Callable[[], Source]:
        return lambda: LogLane(request.param)


class TestTapLane(SourceContract):
    @pytest.fixture(params=[0, 1])
    def open_source(self, request: pytest.FixtureRequest) -> Callable[[], Source]:
        return lambda: TapLane(request.param)


def _run(folder: Path, source: Source, rows: int = 1_000_000) -> DuckDB:
    destination = DuckDB(folder / "warehouse.duckdb")
    result = run_pipeline(source, destination, Job("c", "app", None, folder / "home", LoadLimits(rows=rows)))
    assert [lane.error for lane in result.lanes] == [None]
    return destination


def _held(destination: DuckDB, table: str) -> dict[int, dict[str, Any]]:
    names = [column.name for found in destination.tables() if found.name == table for column in found.columns]
    assert names, f"there is no table {table}"
    return {row["id"]: row for row in plain(destination.read_back(table))}


def _expect_log(destination: DuckDB, log: LogLane) -> None:
    """Rows deleted before the destination first read the table are unknown to it; all others have to be there."""
    for table in log.tables:
        held, rows = _held(destination, table), log.rows_at(table, log.end)
        alive = {key: row for key, row in rows.items() if row is not None}
        assert {key: held[key]["name"] for key in alive} == {key: row["name"] for key, row in alive.items()}
        assert all(held[key]["_sdc_deleted_at"] is None for key in alive)
        for key in held.keys() - alive.keys():
            assert (held[key]["name"], held[key]["amount"]) == (None, None)
            assert held[key]["_sdc_deleted_at"] is not None
        tags = {
            (row["_sdc_source_key_id"], row["_sdc_level_0_id"]): row["value"] for row in _children(destination, table)
        }
        assert tags == {(key, n): tag for key, row in alive.items() for n, tag in enumerate(row["tags"])}


def _children(destination: DuckDB, table: str) -> list[dict[str, Any]]:
    name = f"{table}__tags"
    is_there = any(found.name == name for found in destination.tables())
    return plain(destination.read_back(name)) if is_there else []


@pytest.mark.parametrize("rows", [1, 5, 1_000_000])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_log_lands_as_the_database_stands(tmp_path: Path, seed: int, rows: int) -> None:
    for end in (20, 60, 61, 200):
        log = LogLane(seed, end=end)
        _expect_log(_run(tmp_path, log, rows), log)


@pytest.mark.parametrize("rows", [1, 1_000_000])
def test_a_lost_log_is_healed_by_a_new_version_that_marks_what_is_gone(tmp_path: Path, rows: int) -> None:
    _run(tmp_path, LogLane(5, end=40), rows)
    later = LogLane(5, end=120, retained=80)
    destination = _run(tmp_path, later, rows)
    _expect_log(destination, later)
    before, now = LogLane(5).rows_at("orders", 40), later.rows_at("orders", 120)
    held = _held(destination, "orders")
    vanished = {key for key, row in before.items() if row is not None and now.get(key) is None}
    assert vanished
    assert all(held[key]["_sdc_deleted_at"] is not None for key in vanished)


@pytest.mark.parametrize("rows", [1, 4, 1_000_000])
def test_a_tap_of_two_streams_lands_whole_each_day(tmp_path: Path, rows: int) -> None:
    for day in (1, 2, 3):
        tap = TapLane(5, day)
        destination = _run(tmp_path, tap, rows)
        users = {row["id"]: row["name"] for row in tap.users(day)}
        assert {key: row["name"] for key, row in _held(destination, "users").items()} == users
        assert {row["_sdc_table_version"] for row in _held(destination, "users").values()} == {1_000 + day}
        assert sorted(_held(destination, "events")) == list(range(1, 10 * day + 1))
        assert len(plain(destination.read_back("events"))) == 10 * day
