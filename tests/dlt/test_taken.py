"""Sources of dlt's in pipelines of ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas
import pyarrow as pa
import pytest

import dlt
import lockstitch
from lockstitch.core.errors import AccessError, LockstitchError, SettingsError, SourceDataError, TransientError
from lockstitch.core.model import Batch, Selected
from lockstitch.core.protocols import Source
from lockstitch.dlt.taken import taken_source
from lockstitch.testing.source_contract import SourceContract


def landed(name: str, source: Any, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """Run a pipeline, and return a table's rows in these columns, sorted."""
    dataset = lockstitch.pipeline(name, source=source).run().dataset()
    rows = dataset.query(f'select {", ".join(map(_quoted, columns))} from "{table}" order by all').arrow().to_pylist()
    return [tuple(row.values()) for row in rows]


def _quoted(column: str) -> str:
    return f'"{column}"'


DAY = datetime(2024, 1, 1, tzinfo=UTC)
ORDERS: list[dict[str, Any]] = [
    {"orderId": 1, "at": DAY, "total": Decimal("1.10"), "lines": [{"sku": "a"}, {"sku": "b"}]},
    {"orderId": 2, "at": DAY, "total": Decimal("2.25"), "lines": []},
]


@dlt.source(name="shop")
def shop() -> Any:
    """Orders by a cursor, what is derived from them, and a table in full."""

    @dlt.resource(primary_key="orderId", write_disposition="merge")
    def orders(at: Any = dlt.sources.incremental("at", initial_value=DAY)) -> Iterator[Any]:
        yield [row for row in ORDERS if row["at"] >= at.last_value]

    @dlt.transformer(data_from=orders, primary_key=("orderId", "sku"), write_disposition="merge", parallelized=True)
    def lines(page: list[dict[str, Any]]) -> Iterator[Any]:
        for order in page:
            yield [{"orderId": order["orderId"], **line} for line in order["lines"]]

    @dlt.resource(write_disposition="replace")
    def countries() -> Iterator[Any]:
        yield {"code": "FR"}
        yield {"code": "DE"}

    return orders, lines, countries


class TestShop(SourceContract):
    @pytest.fixture
    def open_source(self) -> Callable[[], Source]:
        return taken_source(shop)


class TestAppended(SourceContract):
    @pytest.fixture
    def open_source(self) -> Callable[[], Source]:
        @dlt.resource(columns={"at": {"data_type": "timestamp"}})
        def events(at: Any = dlt.sources.incremental("at", initial_value=DAY)) -> Iterator[Any]:
            del at  # dlt itself leaves out what was read before
            yield pa.table({"at": [DAY, datetime(2024, 1, 2, tzinfo=UTC)]})

        return taken_source(events)


# --- what becomes of the rows -----------------------------------------------------------------------------------------


def test_a_source_lands_with_its_state_in_our_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = lockstitch.pipeline("shop", source=shop)
    run = pipeline.run()
    assert run.tables["orders"]["inserted"] == 2
    assert run.tables["countries"]["inserted"] == 2
    later = {"orderId": 2, "at": datetime(2024, 1, 3, tzinfo=UTC), "total": Decimal("3.5"), "lines": [{"sku": "c"}]}
    monkeypatch.setattr("tests.dlt.test_taken.ORDERS", [*ORDERS, later])
    run = pipeline.run()
    assert (run.tables["orders"]["read"], run.tables["orders"]["updated"]) == (1, 1)
    assert [row["total"] for row in run.dataset().orders.arrow().sort_by("orderId").to_pylist()] == [
        Decimal("1.10"),
        Decimal("3.5"),
    ]
    assert run.dataset().lines.arrow().num_rows == 3
    assert run.dataset().countries.arrow().num_rows == 2


def test_a_resource_is_added_to_replaced_or_merged_as_it_says() -> None:
    given: list[Any] = [{"id": 1, "gone": False}, {"id": 2, "gone": False}]

    @dlt.resource
    def added() -> Iterator[Any]:
        yield given

    @dlt.resource(write_disposition="replace")
    def replaced() -> Iterator[Any]:
        yield given

    @dlt.resource(
        write_disposition={"disposition": "merge", "strategy": "upsert"},
        primary_key="id",
        columns={"gone": {"hard_delete": True}},
    )
    def merged() -> Iterator[Any]:
        yield given

    @dlt.source
    def three() -> Any:
        return added, replaced, merged

    pipeline = lockstitch.pipeline("three", source=three)
    pipeline.run()
    given[:] = [{"id": 2, "gone": True}, {"id": 3, "gone": None}]
    dataset = pipeline.run().dataset()
    assert sorted(dataset.added.df()["id"]) == [1, 2, 2, 3]
    assert sorted(dataset.replaced.df()["id"]) == [2, 3]
    merged_rows = dataset.query("select id, _sdc_deleted_at is not null from merged order by id").arrow().to_pylist()
    assert [tuple(row.values()) for row in merged_rows] == [(1, False), (2, True), (3, False)]
    given[:] = []
    assert pipeline.run().dataset().replaced.arrow().num_rows == 0


def test_values_of_every_kind_stay_what_they_are() -> None:
    row = {
        "whole": 2**62,
        "exact": Decimal("0.1000000000000000000000001"),
        "moment": datetime(2024, 2, 29, 1, 2, 3, 4, UTC),
        "text": "snow \N{SNOWMAN} \0 2024-01-01",
        "mixed": 1,
        "nested": {"deep": {"n": 1.5}},
    }
    resource = dlt.resource([row, {"mixed": "one"}], name="values")
    (found, other) = lockstitch.pipeline("v", source=resource).run().dataset()["values"].arrow().to_pylist()
    if found["whole"] is None:
        found, other = other, found
    assert found["whole"] == 2**62
    assert found["exact"] == row["exact"]
    assert found["moment"] == row["moment"]
    assert found["text"] == row["text"]
    assert found["nested__deep__n"] == 1.5
    assert {found["mixed"], other["mixed__st"]} == {1, "one"}


def test_rows_come_as_arrow_and_pandas_too() -> None:
    @dlt.resource(primary_key="rowId", write_disposition="merge")
    def frames() -> Iterator[Any]:
        yield pa.table({"rowId": [1], "aValue": ["x"]})
        yield pandas.DataFrame({"rowId": [2], "aValue": ["y"]})

    assert landed("f", frames, "frames", "rowId", "a_value") == [(1, "x"), (2, "y")]


def test_column_hints_give_types_where_the_value_allows() -> None:
    hints: Any = {"at": {"data_type": "timestamp"}, "n": {"data_type": "decimal"}}
    resource = dlt.resource([{"at": "2024-01-01T00:00:00Z", "n": "1.5"}, {"at": "soon", "n": 2}], name="hinted")
    rows = landed("h", resource.apply_hints(columns=hints), "hinted", "at", "at__st", "n")
    assert rows == [(DAY, None, Decimal("1.5")), (None, "soon", Decimal(2))]


def test_maps_filters_and_chosen_streams_work_as_in_dlt() -> None:
    source = shop()
    source.orders.add_filter(lambda row: row["orderId"] == 1).add_map(lambda row: {**row, "seen": True})
    run = lockstitch.pipeline("m", source=source, streams={"orders": ["seen"]}).run()
    assert set(run.tables) == {"orders"}
    assert landed("m", source, "orders", "orderId", "seen") == [(1, True)]


def test_a_reset_begins_without_state() -> None:
    pipeline = lockstitch.pipeline("shop", source=shop())
    pipeline.run()
    assert "orders" not in pipeline.run().tables
    pipeline.reset("orders")
    assert pipeline.run().tables["orders"]["read"] == 2
    assert pipeline.dataset().orders.arrow().num_rows == 2


def test_the_programs_own_pipeline_stays_the_current_one(folder: Path) -> None:
    own = dlt.pipeline("mine", pipelines_dir=str(folder / "pipes"))
    lockstitch.pipeline("shop", source=shop).run()
    assert dlt.current.pipeline() is own
    own.deactivate()


# --- what is refused, and what fails ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hints", "said"),
    [
        ({"write_disposition": "merge"}, "no primary_key"),
        ({"write_disposition": "merge", "merge_key": "day"}, "merges by merge_key"),
        ({"write_disposition": {"disposition": "merge", "strategy": "scd2"}}, "merges by scd2"),
        ({"table_name": lambda row: row["kind"]}, "only with its rows"),
    ],
)
def test_what_lockstitch_does_not_do_is_refused_before_reading(hints: dict[str, Any], said: str) -> None:
    @dlt.resource(**hints)
    def things() -> Iterator[Any]:
        raise AssertionError("read")
        yield {}

    with pytest.raises(SettingsError, match=said) as refused:
        lockstitch.pipeline("r", source=things).discover()
    assert refused.value.hint


def test_a_table_that_nobody_told_of_is_refused() -> None:
    @dlt.resource
    def things() -> Iterator[Any]:
        yield dlt.mark.with_table_name({"a": 1}, "elsewhere")

    with pytest.raises(SourceDataError, match="'elsewhere', which no resource tells of"):
        lockstitch.pipeline("r", source=things).run()


def test_rows_that_change_how_their_table_is_filled_are_refused() -> None:
    @dlt.resource
    def things() -> Iterator[Any]:
        yield dlt.mark.with_hints({"id": 1}, dlt.mark.make_hints(write_disposition="merge", primary_key="id"))

    pipeline = lockstitch.pipeline("r", source=things)
    with pytest.raises(SourceDataError, match="changed the write_disposition or key of the table 'things'"):
        pipeline.run()
    assert pipeline.dataset().tables == ()


def test_hints_without_effect_are_told_before_reading(caplog: pytest.LogCaptureFixture) -> None:
    hints: Any = {"at": {"dedup_sort": "desc"}}
    nested: Any = {"lines": dlt.mark.make_nested_hints(columns={"sku": {"data_type": "text"}})}

    @dlt.resource(
        primary_key="orderId",
        write_disposition="merge",
        columns=hints,
        schema_contract={"columns": "freeze"},
        max_table_nesting=0,
        nested_hints=nested,
    )
    def things() -> Iterator[Any]:
        yield [{"orderId": 1, "at": 2}, {"orderId": 1, "at": 1}]

    pipeline = lockstitch.pipeline("i", source=things)
    pipeline.plan()
    told = "\n".join(caplog.messages)
    for hint in ("dedup_sort on at has", "schema_contract has", "max_table_nesting has", "nested_hints have"):
        assert f"resource things: {hint} no effect" in told
    pipeline.run()
    assert landed("i", things, "things", "orderId", "at") == [(1, 1)]


def test_what_can_be_read_once_is_told_and_replaces_nothing() -> None:
    rows = dlt.resource((row for row in [{"a": 1}]), name="once", write_disposition="replace")
    pipeline = lockstitch.pipeline("o", source=rows)
    pipeline.run()
    with pytest.raises(SettingsError, match="exhausted"):
        pipeline.run()
    assert pipeline.dataset().once.arrow().num_rows == 1


class Refused(Exception):
    """What HTTP libraries raise: an error with a response."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.response = type("Response", (), {"status_code": status})()


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (ValueError("odd"), SourceDataError),
        (TypeError("Integer exceeds 64-bit range"), SourceDataError),
        (Refused(401), AccessError),
        (Refused(429), TransientError),
        (Refused(404), SourceDataError),
        (TransientError("later"), TransientError),
    ],
)
def test_an_error_is_told_by_who_must_act(error: Exception, ours: type[LockstitchError]) -> None:
    @dlt.resource
    def things() -> Iterator[Any]:
        yield {"a": 1}
        raise error

    with pytest.raises(ours, match=str(error).replace("(", "")):
        lockstitch.pipeline("e", source=things).run()


def test_an_error_is_the_one_that_the_resource_raised_and_names_the_resource() -> None:
    @dlt.resource(write_disposition="replace")
    def first() -> Iterator[Any]:
        yield {"a": 1}

    @dlt.resource
    def second() -> Iterator[Any]:
        yield {"a": 1}
        try:
            raise KeyError("being handled")
        except KeyError:
            raise RuntimeError("what failed")  # noqa: B904 - as many a program does

    # dlt meets it while it handles the end of the first resource.
    with pytest.raises(SourceDataError, match="resource second: RuntimeError: what failed"):
        lockstitch.pipeline("e", source=dlt.source(lambda: [first, second], name="two")).run()


def test_a_missing_secret_says_where_dlt_looks() -> None:
    @dlt.source
    def guarded(api_key: str = dlt.secrets.value) -> Any:
        return dlt.resource([{"key": api_key}], name="rows")

    with pytest.raises(SettingsError, match="api_key") as refused:
        lockstitch.pipeline("s", source=guarded).run()
    assert ".dlt/secrets.toml" in str(refused.value)


def test_two_sources_of_one_name_or_table_are_refused() -> None:
    with pytest.raises(SettingsError, match="two dlt sources are called 'shop'"):
        lockstitch.pipeline("t", source=[shop, shop]).discover()
    with pytest.raises(SettingsError, match="fill the table 'orders'"):
        lockstitch.pipeline("t", source=[shop, shop().clone(with_name="other")]).discover()


def test_rows_keep_their_order_over_many_files_whatever_the_disk_says_of_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_WRITER__BUFFER_MAX_ITEMS", "1")
    monkeypatch.setenv("DATA_WRITER__FILE_MAX_ITEMS", "1")
    aged: set[Path] = set()

    @dlt.resource(primary_key="id", write_disposition="merge")
    def changes() -> Iterator[Any]:
        for version in range(30):
            yield {"id": 1, "version": version}
            for path in set((folder / "home").rglob("changes.*")) - aged:
                # Each file is made to look older than the one before it.
                os.utime(path, (1_000_000 - len(aged), 1_000_000 - len(aged)))
                aged.add(path)

    source = taken_source(changes)()
    [lane] = source.lanes([Selected(stream) for stream in source.discover()])
    batches = [one for one in source.read(lane, None) if isinstance(one, Batch)]
    assert [row["version"] for batch in batches for row in batch.rows.to_pylist()] == list(range(30))
    assert len(aged) > 25


def test_all_rows_of_a_batch_keep_their_order_around_deletes() -> None:
    hints: Any = {"gone": {"hard_delete": True}}
    rows = [{"id": 1, "gone": None}, {"id": 1, "gone": True}, {"id": 1, "gone": False}]
    resource = dlt.resource(rows, name="r", primary_key="id", write_disposition="merge", columns=hints)
    source = taken_source(resource)()
    lanes = source.lanes([Selected(stream) for stream in source.discover()])
    read = [one for one in source.read(lanes[0], None) if isinstance(one, Batch)]
    assert [(one.kind, one.rows.num_rows) for one in read] == [("upsert", 1), ("delete", 1), ("upsert", 1)]
