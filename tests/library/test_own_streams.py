"""A program's own functions as a source: run again, with changed rows, with mistakes, and killed in the middle."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import lockstitch
from lockstitch.library import position

THEN = datetime(2026, 1, 1, tzinfo=UTC)


def at(hour: int) -> datetime:
    return THEN + timedelta(hours=hour)


def ids(pipeline: lockstitch.Pipeline, table: str) -> list[Any]:
    return sorted(pipeline.dataset()[table].arrow()["id"].to_pylist())


class Shop:
    """What a vendor would hold, and what was asked of it."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = [{"id": each, "at": at(each // 2), "price": each} for each in range(6)]
        self.asked: list[datetime | None] = []

    def since(self, since: datetime | None) -> list[dict[str, Any]]:
        self.asked.append(since)
        return [row for row in self.rows if since is None or row["at"] >= since]


def test_changed_rows_replace_themselves_by_their_key() -> None:
    shop = Shop()
    orders = lockstitch.stream(key="id", cursor="at", name="orders")(shop.since)
    pipeline = lockstitch.pipeline("shop", source=orders)
    assert pipeline.run().tables["orders"]["inserted"] == 6
    assert pipeline.run().tables == {}
    shop.rows[0] |= {"at": at(3), "price": 100}
    shop.rows.append({"id": 6, "at": at(2), "price": 6})  # at the last value that was read
    counts = pipeline.run().tables["orders"]
    assert (counts["read"], counts["inserted"], counts["updated"]) == (2, 1, 1)
    assert shop.asked == [None, at(2), at(2)]
    assert ids(pipeline, "orders") == list(range(7))
    assert pipeline.dataset().query("select price from orders where id = 0").arrow()["price"].to_pylist() == [100]


def test_without_a_key_each_row_lands_once() -> None:
    shop = Shop()
    orders = lockstitch.stream(cursor="at", name="orders")(shop.since)
    pipeline = lockstitch.pipeline("shop", source=[orders])
    pipeline.run()
    shop.rows.append({"id": 6, "at": at(2), "price": 6})
    shop.rows.append(dict(shop.rows[5]))  # the very same row once more: two of them have happened
    assert pipeline.run().tables["orders"]["inserted"] == 2
    assert pipeline.run().tables == {}
    assert ids(pipeline, "orders") == [0, 1, 2, 3, 4, 5, 5, 6]


def test_a_row_is_known_again_whatever_types_its_batch_has() -> None:
    pages: list[list[dict[str, Any]]] = [[{"at": 1, "n": 1}], [{"at": 1, "n": 1.0, "more": None}, {"at": 1, "n": 1.5}]]

    @lockstitch.stream(cursor="at")
    def numbers(since: int | None) -> list[dict[str, Any]]:
        return pages[0] if since is None else pages[1]

    pipeline = lockstitch.pipeline("shop", source=numbers)
    assert pipeline.run().rows == 1
    assert pipeline.run().rows == 1


def test_a_function_that_does_not_look_at_since_is_told(caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop()

    @lockstitch.stream(cursor="at")
    def orders(since: datetime | None) -> list[dict[str, Any]]:  # noqa: ARG001
        return shop.rows

    pipeline = lockstitch.pipeline("shop", source=orders)
    pipeline.run()
    shop.rows.append({"id": 6, "at": at(9), "price": 6})
    assert pipeline.run().rows == 1
    assert "stream orders: 4 rows with at before 2026-01-01 02:00:00+00:00 were left out" in caplog.text


def test_a_whole_table_is_replaced() -> None:
    held = [{"id": 1}, {"id": 2}]

    @lockstitch.stream
    def countries() -> list[dict[str, Any]]:
        return held

    pipeline = lockstitch.pipeline("shop", source=countries)
    assert pipeline.run().warnings == ()
    held[:] = [{"id": 2}, {"id": 3}, {"id": 4}]
    pipeline.run()
    assert ids(pipeline, "countries") == [2, 3, 4]
    held.clear()
    pipeline.run()
    assert ids(pipeline, "countries") == []
    assert all(verdict.holds for verdict in pipeline.verify())


def test_rows_are_added_where_it_is_asked_for() -> None:
    @lockstitch.stream(append=True)
    def readings() -> dict[str, Any]:
        return {"id": 1}

    pipeline = lockstitch.pipeline("shop", source=readings)
    assert "readings has no key: rows can land twice" in pipeline.run().warnings[0]
    pipeline.run()
    assert ids(pipeline, "readings") == [1, 1]


def test_fields_can_be_chosen() -> None:
    shop = Shop()
    orders = lockstitch.stream(key="id", cursor="at", name="orders")(shop.since)
    pipeline = lockstitch.pipeline("shop", source=orders, streams={"orders": ["price"]})
    pipeline.run()
    assert pipeline.run().rows == 0
    columns = [name for name in pipeline.dataset().orders.arrow().column_names if not name.startswith("_sdc")]
    assert columns == ["id", "price"]


def test_a_reset_stream_is_asked_from_its_beginning() -> None:
    shop = Shop()
    orders = lockstitch.stream(key="id", cursor="at", name="orders")(shop.since)
    pipeline = lockstitch.pipeline("shop", source=orders)
    pipeline.run()
    pipeline.reset("orders")
    shop.rows.pop()
    pipeline.run()
    assert shop.asked == [None, None]
    assert ids(pipeline, "orders") == [0, 1, 2, 3, 4]


# --- mistakes ---------------------------------------------------------------------------------------------------------


def test_an_error_of_the_function_is_told_as_its_own() -> None:
    closed: list[bool] = []

    @lockstitch.stream(key="id", cursor="id", ordered=True)
    def orders(since: int | None) -> Iterator[list[dict[str, Any]]]:
        try:
            yield [{"id": each} for each in range(since or 0, 150)]
            raise ZeroDivisionError("one by none")
        finally:
            closed.append(True)

    @lockstitch.stream
    def others() -> list[dict[str, Any]]:
        return [{"id": 1}]

    pipeline = lockstitch.pipeline("shop", source=[orders, others])
    with pytest.raises(lockstitch.SourceDataError) as failed:
        pipeline.run()
    assert failed.value.message == "stream orders: ZeroDivisionError: one by none"
    assert "mend orders (" in str(failed.value.hint)
    assert isinstance(failed.value.__cause__, ZeroDivisionError)
    assert closed
    assert ids(pipeline, "others") == [1]


def stream_of(page: Any, **settings: Any) -> lockstitch.OwnStream:
    if "cursor" in settings:
        return lockstitch.stream(name="orders", **settings)(lambda since: page)  # noqa: ARG005
    return lockstitch.stream(name="orders", **settings)(lambda: page)


@pytest.mark.parametrize(
    ("page", "settings", "message"),
    [
        (7, {}, "gave a page of the Python type int"),
        (pa.chunked_array([[1, 2]]), {}, "gave a page of the Python type pyarrow.lib.ChunkedArray"),
        ([{"a": {"b": [1j]}}], {}, "field a.b: a value is of the Python type builtins.complex"),
        ([{"a": {1: 2}}], {}, "a field's name is 1, which is no text"),
        (b"[1]", {}, "which is no JSON object"),
        (b'[{"a": 1', {}, "a page is no JSON"),
        ([{"id": 1}], {"cursor": "at"}, "the cursor at is not in a page"),
        ([{"at": 1}, {"at": None}], {"cursor": "at"}, "the cursor at is missing in a row"),
        ([{"at": 1}, {"at": "x"}], {"cursor": "at"}, "which has no order"),
        ([{"at": [1]}], {"cursor": "at"}, "which has no order"),
        ([{"at": 1.5}, {"at": float("nan")}], {"cursor": "at"}, "the cursor at is NaN or infinite in a row"),
        (pa.table({"at": pa.array([2**64 - 1], pa.uint64())}), {"cursor": "at"}, "a value that is too large"),
        ([{"at": 2}, {"at": 1}], {"cursor": "at", "ordered": True}, "the cursor at does not grow from row to row"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(page: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(lockstitch.SourceDataError) as refused:
        lockstitch.pipeline("shop", source=stream_of(page, **settings)).run()
    assert message in refused.value.message
    assert refused.value.message.startswith("stream orders")
    assert refused.value.hint


async def _awaited() -> None: ...


@pytest.mark.parametrize(
    ("function", "settings", "message"),
    [
        (lambda: None, {}, "the function has no name"),
        (lambda since: None, {"name": "x"}, "there is no cursor"),  # noqa: ARG005
        (lambda: None, {"name": "x", "cursor": "at"}, "cursor is 'at'"),
        (lambda since: None, {"name": "x", "cursor": "at", "append": True}, "append is for streams"),  # noqa: ARG005
        (lambda: None, {"name": "x", "ordered": True}, "no cursor to be in the order of"),
        (lambda: None, {"name": "x", "key": 5}, "5 names no field"),
        (lambda since: None, {"name": "x", "cursor": ["at"]}, r"\['at'\] names no field"),  # noqa: ARG005
        (_awaited, {"name": "x"}, "the function is async"),
    ],
)
def test_a_stream_that_makes_no_sense_is_refused(function: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(lockstitch.SettingsError, match=message) as refused:
        lockstitch.stream(**settings)(function)
    assert refused.value.hint


def test_sources_that_make_no_sense_are_refused() -> None:
    one = stream_of([])
    wrong: Any = [len]
    cases: list[tuple[Any, str]] = [([one, one], "two streams 'orders'"), ([], "no stream"), (wrong, "is no stream")]
    cases += [(len, "is no stream"), (None, "None, which is no stream")]
    for source, message in cases:
        with pytest.raises(lockstitch.SettingsError, match=message):
            lockstitch.pipeline("shop", source=source)
    with pytest.raises(lockstitch.SettingsError, match="the source is the program's own"):
        lockstitch.pipeline("shop", source=one, properties={"a": 1})


def test_a_generator_that_has_been_read_does_not_empty_the_table() -> None:
    made = ({"id": each} for each in range(3))
    pipeline = lockstitch.pipeline("shop", source=lockstitch.stream(name="orders")(lambda: made))
    pipeline.run()
    with pytest.raises(lockstitch.SourceDataError, match="a generator that has been read already"):
        pipeline.run()
    assert ids(pipeline, "orders") == [0, 1, 2]


def test_a_chosen_field_that_no_row_has_is_told(caplog: pytest.LogCaptureFixture) -> None:
    one = stream_of([{"id": 1, "a": 1}], key="id")
    lockstitch.pipeline("shop", source=one, streams={"orders": ["a", "b"]}).run()
    assert caplog.messages == ["stream orders: the field b is chosen, and no row has it"]


@pytest.mark.parametrize("choice", [{"replication_method": "FULL_TABLE"}, {"replication_key": "changed"}])
def test_another_way_than_the_streams_own_cannot_be_chosen(choice: dict[str, str]) -> None:
    one = stream_of([{"at": 1}], cursor="at")
    with pytest.raises(lockstitch.SettingsError, match="which is INCREMENTAL by at"):
        lockstitch.pipeline("shop", source=one, streams={"orders": choice}).run()


def test_a_stream_that_is_read_in_another_way_now_says_so() -> None:
    shop = Shop()
    lockstitch.pipeline("shop", source=lockstitch.stream(cursor="at", name="orders")(shop.since)).run()
    for other in (stream_of(shop.rows), stream_of(shop.rows, cursor="id")):
        pipeline = lockstitch.pipeline("shop", source=other)
        with pytest.raises(lockstitch.SettingsError, match="it was read in another way before"):
            pipeline.run()
    pipeline.reset("orders")
    assert pipeline.run().rows == 6


def test_too_many_rows_of_one_value_are_refused_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(position, "MOST", 3)
    rows = [{"id": each, "day": 1} for each in range(4)]
    with pytest.raises(lockstitch.SourceDataError, match="more than 3 rows have day 1"):
        lockstitch.pipeline("shop", source=stream_of(rows, cursor="day")).run()
    pipeline = lockstitch.pipeline("keyed", source=stream_of(rows, cursor="day", key="id"))
    pipeline.run()
    assert pipeline.run().tables["orders"]["updated"] == 4


# --- bounds and kills -------------------------------------------------------------------------------------------------


def test_batches_are_bounded_whatever_the_rows_weigh() -> None:
    sizes: list[int] = []

    @lockstitch.stream(append=True, key="id")
    def blobs() -> Iterator[dict[str, Any]]:
        for each in range(400):
            yield {"id": each, "blob": b"\xff" * 200_000}

    from lockstitch.library.pages import Pages

    sizes = [batch.nbytes for batch in Pages("blobs").of(blobs())]
    assert sum(sizes) > 400 * 200_000
    assert max(sizes[1:]) < 20 * 2**20


KILLED = """
import os, signal
import lockstitch
from lockstitch.core.points import listen

passed = 0
def kill(point):
    global passed
    passed += point == "{point}"
    if passed == {times}:
        os.kill(os.getpid(), signal.SIGKILL)

listen(kill)

def rows(since):
    for each in range(since or 0, 2000):
        for twin in range(2):
            yield {{"id": each, "twin": twin}}

ordered = lockstitch.stream(cursor="id", ordered=True, name="ordered")(rows)
keyed = lockstitch.stream(key=["id", "twin"], cursor="id", ordered=True, name="keyed")(rows)
unordered = lockstitch.stream(cursor="id", name="unordered")(rows)
whole = lockstitch.stream(name="whole")(lambda: rows(0))
lockstitch.pipeline(
    "shop", source=[ordered, keyed, unordered, whole], limits=lockstitch.LoadLimits(rows=700)
).run()
"""


@pytest.mark.parametrize(
    ("point", "times"),
    [("load cut", 2), ("rows staged", 3), ("mark written", 2), ("load committed", 1), ("load committed", 4)],
)
def test_a_run_that_is_killed_leaves_each_row_once(point: str, times: int, folder: Path) -> None:
    program = textwrap.dedent(KILLED)
    killed = subprocess.run(
        [sys.executable, "-c", program.format(point=point, times=times)], check=False, capture_output=True, cwd=folder
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = subprocess.run([sys.executable, "-c", program.format(point="", times=-1)], capture_output=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    dataset = lockstitch.pipeline("shop", source=stream_of([])).dataset()
    for table in ("ordered", "keyed", "unordered", "whole"):
        query = f"select count(*) as rows, count(distinct (id, twin)) as kinds from {table}"
        assert dataset.query(query).arrow().to_pylist() == [{"rows": 4000, "kinds": 4000}], table
