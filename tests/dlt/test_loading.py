"""Sources of ours into destinations of dlt's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

import dlt
import lockstitch
from lockstitch.core.errors import LockstitchError, SettingsError

ROWS: list[dict[str, Any]] = [{"id": 1, "at": 1, "tags": ["a"]}, {"id": 2, "at": 2, "tags": []}]


@lockstitch.stream(key="id", cursor="at")
def orders(since: int | None) -> Iterator[Any]:
    yield [row for row in ROWS if since is None or row["at"] >= since]


def test_into_files_each_change_is_a_row_and_that_is_told_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = dlt.destinations.filesystem((folder / "lake").as_uri())
    told: list[str] = []
    lockstitch.dlt.load(orders, lake, dataset="shop", tell=told.append)
    assert "filesystem cannot merge: of a stream with a key, each change of a row" in "\n".join(told)
    monkeypatch.setattr("tests.dlt.test_loading.ROWS", [*ROWS, {"id": 2, "at": 3, "tags": None}])
    lockstitch.dlt.load(orders, lake, dataset="shop", tell=told.append)
    tables = [pq.read_table(path) for path in sorted((folder / "lake" / "shop" / "orders").glob("*.parquet"))]
    assert sorted((row["id"], row["at"]) for table in tables for row in table.to_pylist()) == [(1, 1), (2, 2), (2, 3)]
    assert tables[0].column("tags").to_pylist() == ['["a"]', "[]"]


def test_into_a_database_rows_are_merged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = dlt.pipeline("mine", pipelines_dir=str(folder / "pipes"))
    database = dlt.destinations.duckdb(str(folder / "own.duckdb"))
    for _ in range(2):
        lockstitch.dlt.load(orders, database, dataset="shop")
    said = capsys.readouterr().err
    assert "not Stitch's layout" in said
    assert "cannot merge" not in said
    with duckdb.connect(str(folder / "own.duckdb")) as db:
        assert db.sql("select id from shop.orders order by id").fetchall() == [(1,), (2,)]
    assert dlt.current.pipeline() is own
    own.deactivate()


def test_what_fails_is_an_error_of_ours(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(LockstitchError, match="loading by dlt"):
        lockstitch.dlt.load(
            orders, dlt.destinations.duckdb(str(folder / "file" / "x.duckdb")), dataset="shop", tell=print
        )


def test_what_dlt_cannot_use_is_a_wrong_setting(folder: Path) -> None:
    with pytest.raises(SettingsError, match="no_such_place"):
        lockstitch.dlt.load(orders, "no_such_place", dataset="shop", tell=print)
    own: Any = dlt.resource([{"a": 1}], name="rows")  # as a program without types gives it
    lake = dlt.destinations.filesystem((folder / "lake").as_uri())
    with pytest.raises(SettingsError, match="dlt's own"):
        lockstitch.dlt.load(own, lake, dataset="shop", tell=print)
