"""A program's own streams keep every promise of a source, whichever way they are read and whatever their pages are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import lockstitch
from lockstitch.core.protocols import Source
from lockstitch.library.own_source import own_source
from lockstitch.testing.source_contract import SourceContract

FIRST = datetime(2026, 1, 1, tzinfo=UTC)

#: Four values of a cursor, each of three rows, in their order.
CURSORS: dict[str, list[Any]] = {
    "whole numbers": [1, 2, 2**62, 2**63 - 1],
    "floats": [-1.5, 0.0, 0.1, 1e300],
    "decimals": [Decimal("-0.10"), Decimal("0.1"), Decimal("12345678901234567890.5"), Decimal("1e30")],
    "times": [FIRST + timedelta(microseconds=each) for each in range(4)],
    "dates": [date(2026, 1, day) for day in (1, 2, 3, 4)],
    "texts": ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "ä", "🧵"],
}

ROWS: list[dict[str, Any]] = [
    {"id": each, "at": each // 3, "what": {"tags": ["a", each]} if each % 2 else None} for each in range(12)
]


def rows(cursor: str = "whole numbers") -> list[dict[str, Any]]:
    return [{**row, "at": CURSORS[cursor][row["at"]]} for row in ROWS]


def opened(*streams: lockstitch.OwnStream) -> Callable[[], Source]:
    return own_source(streams)


class TestWholeTables(SourceContract):
    @pytest.fixture
    def open_source(self) -> Callable[[], Source]:
        @lockstitch.stream(key="id")
        def keyed() -> list[dict[str, Any]]:
            return rows()

        @lockstitch.stream
        def keyless() -> Iterator[dict[str, Any]]:
            yield from rows()

        @lockstitch.stream
        def empty() -> None:
            return None

        return opened(keyed, keyless, empty)


class TestAdded(SourceContract):
    @pytest.fixture
    def open_source(self) -> Callable[[], Source]:
        @lockstitch.stream(append=True, key="id")
        def added() -> list[dict[str, Any]]:
            return rows()

        return opened(added)


@pytest.mark.parametrize("cursor", CURSORS)
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("key", ["id", ()])
class TestCursors(SourceContract):
    @pytest.fixture
    def open_source(self, cursor: str, ordered: bool, key: str | tuple[()]) -> Callable[[], Source]:
        @lockstitch.stream(key=key, cursor="at", ordered=ordered)
        def orders(since: Any) -> Iterator[list[dict[str, Any]]]:
            found = [row for row in rows(cursor) if since is None or row["at"] >= since]
            if not ordered:
                found.reverse()
            for start in range(0, len(found), 4):
                yield found[start : start + 4]

        return opened(orders)


def as_json(page: list[dict[str, Any]]) -> bytes:
    return json.dumps(page).encode()


def as_lines(page: list[dict[str, Any]]) -> str:
    return "\n".join(map(json.dumps, page))


def as_batch(page: list[dict[str, Any]]) -> pa.RecordBatch:
    simple = [{"id": row["id"], "at": row["at"]} for row in page]
    return pa.RecordBatch.from_pylist(simple)


def as_table(page: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_batches([as_batch(page)])


def as_reader(page: list[dict[str, Any]]) -> pa.RecordBatchReader:
    return as_table(page).to_reader()


def as_frame(page: list[dict[str, Any]]) -> Any:
    return pl.from_arrow(as_table(page))


@pytest.mark.parametrize("page", [as_json, as_lines, as_batch, as_table, as_reader, as_frame])
@pytest.mark.parametrize("key", ["id", ()])
class TestPages(SourceContract):
    @pytest.fixture
    def open_source(self, page: Callable[[Any], Any], key: str | tuple[()]) -> Callable[[], Source]:
        @lockstitch.stream(key=key, cursor="at", ordered=True)
        def orders(since: Any) -> Iterator[Any]:
            found = [row for row in rows() if since is None or row["at"] >= since]
            for start in range(0, len(found), 5):
                yield page(found[start : start + 5])

        return opened(orders)
