"""The demo: what it says is what lies in the destination, row by row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lockstitch.demo import run_demo
from lockstitch.demo.flights import INSTALL
from lockstitch.demo.shop import COLUMNS, NEW_PROPERTY, dumps
from lockstitch.testing.heap_bucket import DumpTable

KEYS = {"users": "user_id", "user_migrations": "from_user_id"}
Rows = dict[int, dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def said(folder: Path) -> str:
    """What the shop's part of the demo prints, with the data set of flights out of reach."""
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lockstitch.demo.flights.PACKAGE", "a_package_nobody_has")
        patch.setenv("LOCKSTITCH_HOME", str(folder / "home"))
        assert run_demo(folder, once=True, echo=lines.append) == 0
    return "\n".join(lines)


def content(table: DumpTable) -> list[dict[str, Any]]:
    assert isinstance(table.rows, pa.Table)
    return table.rows.to_pylist()


def folded() -> Mapping[str, Rows]:
    """Return what the tables must hold after all dumps: a full one replaces, an incremental one updates by key."""
    tables: dict[str, Rows] = {}
    for dump in dumps():
        for name, table in dump.tables.items():
            rows = {row[KEYS.get(name, "event_id")]: row for row in content(table)}
            tables[name] = {**tables.get(name, {}), **rows} if table.incremental else rows
    return tables


def test_every_row_of_every_dump_lands_once(folder: Path, said: str) -> None:
    assert said
    with duckdb.connect(folder / "demo.duckdb", read_only=True) as connection:
        for name, expected in folded().items():
            columns = [*COLUMNS[name], *(NEW_PROPERTY if name == "click_add_to_cart" else ())]
            names = ", ".join(f'"{column}"' for column in columns)
            rows = connection.execute(f"SELECT {names} FROM heap.{name}").fetchall()
            landed = sorted(tuple(row) for row in rows)
            assert landed == sorted(tuple(row[column] for column in columns) for row in expected.values())


def test_it_prints_counts_a_question_and_what_comes_next(said: str) -> None:
    tables = folded()
    last = said[said.index("dump 102") : said.index("once more")]
    for name, rows in tables.items():
        assert re.search(rf"heap\.{name} +│ +{len(rows)} │", last)
    assert "nothing new" in said
    assert "GROUP BY ALL" in said
    assert "What to try next" in said


def test_the_readme_shows_what_it_prints(said: str) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    (shown,) = re.findall(r"^```\n(dump .*?)\n```$", readme, re.DOTALL | re.MULTILINE)
    assert shown in said


def test_it_says_how_to_get_the_flights(said: str) -> None:
    assert INSTALL in said


def test_the_shop_is_the_same_at_every_call() -> None:
    def everything() -> list[tuple[int, str, list[dict[str, Any]]]]:
        return [(dump.number, name, content(table)) for dump in dumps() for name, table in dump.tables.items()]

    assert everything() == everything()


def test_the_dumps_are_those_of_the_acceptance_fixture() -> None:
    delivered = {dump.number: {name: table.incremental for name, table in dump.tables.items()} for dump in dumps()}
    every_night = {"users", "sessions", "pageviews", "click_add_to_cart", "user_migrations"}
    assert delivered[100] == dict.fromkeys(every_night, False)
    assert delivered[101] == dict.fromkeys(every_night, True) | {"user_migrations": False}
    resynced = {"user_migrations": False, "click_add_to_cart": False, "order_completed": False}
    assert delivered[102] == dict.fromkeys(every_night, True) | resynced
