"""Real data that nobody here made: 336,776 flights, with the nulls, times and floats they came with.

What the package's files hold is read here with nothing but Python's own csv module.
"""

from __future__ import annotations

import csv
import io
import re
import sys
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from lockstitch.demo import flights, show_flights, showing

Value = int | float | str | datetime | None
Table = dict[str, list[Value]]


@pytest.fixture(scope="module")
def originals() -> dict[str, Table]:
    folder = flights.data_folder()
    assert folder is not None, f"{flights.PACKAGE} is part of the set-up"
    return {name: _table(folder, name) for name in flights.TABLES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flights")


@pytest.fixture(scope="module")
def said(folder: Path) -> str:
    """What the demo prints of the flights."""
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCKSTITCH_HOME", str(folder / "home"))
        with showing(folder, 0, lines.append) as show:
            assert show_flights(show)
    return "\n".join(lines)


@pytest.fixture(scope="module")
def warehouse(folder: Path, said: str) -> Iterator[duckdb.DuckDBPyConnection]:
    assert said
    with duckdb.connect(folder / "demo.duckdb", read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def _table(folder: Path, name: str) -> Table:
    packed = folder / f"{name}.csv.zip"
    plain = zipfile.ZipFile(packed).read(f"{name}.csv") if packed.exists() else (folder / f"{name}.csv").read_bytes()
    rows = csv.reader(io.StringIO(plain.decode()))
    columns: dict[str, list[str]] = {column: [] for column in next(rows)}
    for row in rows:
        for texts, text in zip(columns.values(), row, strict=True):
            texts.append(sys.intern(text))  # six million values, of which few differ: each by itself, they fill 600 MB
    return {column: _values(column, texts) for column, texts in columns.items()}


def _values(column: str, texts: list[str]) -> list[Value]:
    """Return a column's values in the narrowest of int, float and text that holds them all; NA is null."""
    kinds = (datetime.fromisoformat,) if column == "time_hour" else (int, float, str)
    for kind in kinds:
        try:
            values = {text: None if text == "NA" else kind(text) for text in set(texts)}
        except ValueError:
            continue
        return [values[text] for text in texts]
    raise ValueError(f"{column} has values of no known kind")


def test_all_flights_are_there(originals: dict[str, Table], warehouse: duckdb.DuckDBPyConnection) -> None:
    assert len(originals["flights"]["year"]) == 336_776
    assert warehouse.execute("SELECT count(*), count(DISTINCT event_id) FROM flights.flights").fetchall() == [
        (336_776, 336_776)
    ]


@pytest.mark.parametrize("name", flights.TABLES)
def test_every_column_holds_the_values_of_the_files(
    name: str, originals: dict[str, Table], warehouse: duckdb.DuckDBPyConnection
) -> None:
    for column, values in originals[name].items():
        landed = warehouse.sql(f'SELECT "{column}" FROM flights.{name}').to_arrow_table()[column].to_pylist()
        assert Counter(map(_typed, landed)) == Counter(map(_typed, values)), column


def _typed(value: Value) -> tuple[str, Value]:
    """Return a value so that 1, 1.0 and true are three."""
    return type(value).__name__, value


def test_aggregates_over_several_columns(originals: dict[str, Table], warehouse: duckdb.DuckDBPyConnection) -> None:
    table = originals["flights"]
    delays: defaultdict[tuple[Value, Value], list[int]] = defaultdict(list)
    for carrier, month, delay in zip(table["carrier"], table["month"], table["arr_delay"], strict=True):
        if isinstance(delay, int):
            delays[carrier, month].append(delay)
    expected = {group: (len(values), sum(values), max(values)) for group, values in delays.items()}
    landed = warehouse.execute(
        "SELECT carrier, month, count(arr_delay), sum(arr_delay), max(arr_delay) FROM flights.flights "
        "WHERE arr_delay IS NOT NULL GROUP BY ALL"
    ).fetchall()
    assert {(carrier, month): tuple(rest) for carrier, month, *rest in landed} == expected


def test_the_readme_shows_what_the_demo_prints(said: str) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    (shown,) = re.findall(r"^```\n(\d+ of .*?)\n```$", readme, re.DOTALL | re.MULTILINE)
    assert shown in said


def test_a_difference_would_be_told(tmp_path: Path) -> None:
    folder = flights.data_folder()
    assert folder is not None
    changed = tmp_path / "changed.duckdb"
    with duckdb.connect(changed) as connection:
        connection.execute("CREATE SCHEMA flights")
        for name in flights.TABLES:
            connection.register("original", flights.read_csv(folder, name))
            connection.execute(f"CREATE TABLE flights.{name} AS SELECT * FROM original")
    assert flights.compare(changed, folder)[1] == []
    with duckdb.connect(changed) as connection:
        connection.execute("UPDATE flights.weather SET humid = humid + 0.01 WHERE rowid = 7")
    different = flights.compare(changed, folder)[1]
    assert different
    assert all(text.startswith("weather: ") and " humid is " in text for text in different)
