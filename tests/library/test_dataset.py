"""What has landed is read as Arrow, pandas and Polars, each value as it is."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import lockstitch


@pytest.fixture
def dataset(heap: lockstitch.Pipeline) -> lockstitch.Dataset:
    return heap.run().dataset()


def test_a_table_in_each_form(dataset: lockstitch.Dataset) -> None:
    arrow = dataset.users.arrow().sort_by("user_id")
    assert arrow.select(["user_id", "visits"]).to_pydict() == {"user_id": [1, 2, 3, 4], "visits": [7, None, 2**62, 0]}
    assert dataset.users.pl().sort("user_id")["visits"].to_list() == [7, None, 2**62, 0]
    frame = dataset.users.df().sort_values("user_id")
    assert str(frame["visits"].dtype) == "Int64"
    assert [None if each is pd.NA else each for each in frame["visits"]] == [7, None, 2**62, 0]
    assert sum(batch.num_rows for batch in dataset["users"].batches()) == 4
    assert isinstance(dataset["users"].pl(), pl.DataFrame)


def test_times_and_decimals_stay_exact(dataset: lockstitch.Dataset) -> None:
    sql = "select timestamptz '2026-03-29 01:30:00.123456+00' as t, 1.10::decimal(38,9) as d, true as b, null as n"
    (row,) = dataset.query(sql).df().to_dict("records")
    assert (row["t"], row["d"], row["b"]) == (pd.Timestamp("2026-03-29T01:30:00.123456Z"), Decimal("1.1"), True)
    assert dataset.query(sql).arrow().schema.field("t").type == pa.timestamp("us", "UTC")


def test_a_query(dataset: lockstitch.Dataset) -> None:
    rows = dataset.query("select country, count(*) as n from sessions group by all order by all")
    assert rows.pl().rows() == [("DE", 1), ("FR", 2)]
    assert rows.arrow().num_rows == 2
    with pytest.raises(lockstitch.SettingsError, match="ordres"):
        dataset.query("select * from ordres").df()


def test_a_query_that_fails_while_its_answer_comes_is_a_wrong_setting(dataset: lockstitch.Dataset) -> None:
    sql = "select (if(range = 150000, 'x', '1'))::int as n from range(200000)"
    with pytest.raises(lockstitch.SettingsError, match="Could not convert string 'x'") as failed:
        dataset.query(sql).arrow()
    assert failed.value.hint


def test_a_variable_of_ours_is_no_table(dataset: lockstitch.Dataset) -> None:
    with pytest.raises(lockstitch.SettingsError, match="relation"):
        dataset.query("select * from relation").arrow()


def test_tables_are_attributes_and_items(dataset: lockstitch.Dataset) -> None:
    assert dataset.tables == ("sessions", "users")
    assert dataset._sdc_rejected.arrow().num_rows == 0
    assert {"sessions", "users", "query"} <= set(dir(dataset))
    assert dataset._ipython_key_completions_() == ["sessions", "users"]
    assert repr(dataset) == "<dataset heap_data: sessions, users>"
    with pytest.raises(AttributeError, match="did you mean 'users'"):
        _ = dataset.usrs
    with pytest.raises(lockstitch.SettingsError, match="dataset heap_data has no table 'usrs'"):
        _ = dataset["usrs"]


def test_nothing_is_made_where_nothing_has_landed(heap: lockstitch.Pipeline, folder: Path) -> None:
    dataset = heap.dataset()
    assert dataset.tables == ()
    assert repr(dataset) == "<dataset heap_data: no tables yet>"
    with pytest.raises(lockstitch.SettingsError, match="holds nothing yet"):
        _ = dataset["users"]
    with pytest.raises(lockstitch.SettingsError, match="holds nothing yet"):
        dataset.query("select 1").arrow()
    assert not (folder / "heap.duckdb").exists()


def test_a_reader_that_stops_lets_go_of_the_file(dataset: lockstitch.Dataset) -> None:
    batches = dataset.users.batches()
    next(batches)
    command = [sys.executable, "-c", "import duckdb; duckdb.connect('heap.duckdb')"]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 1
    batches.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize(("name", "read"), [("pandas", "df"), ("polars", "pl")])
def test_a_library_that_is_not_there_is_told_with_its_mend(
    name: str, read: str, dataset: lockstitch.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(lockstitch.SettingsError, match=f"{name} is not installed") as missing:
        getattr(dataset.users, read)()
    assert missing.value.hint == f"pip install {name}, or read by .arrow()"
