"""The Close source keeps the promises of every source."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lockstitch.core.protocols import Source
from lockstitch.testing.source_contract import OpenSource, SourceContract
from lockstitch.testing.vendors.close_account import add_events, make_account
from sources.closeio.account import Account


class TestClose(SourceContract):
    unknown_cursors = (
        {"unknown": "cursor"},
        "unknown",
        17,
        {"began": "yesterday"},
        {"began": "2026-06-01T00:00:00Z", "streams": {"leads": {"at": None}}},
    )

    @pytest.fixture
    def open_source(self, tmp_path: Path) -> Iterator[OpenSource]:
        data = make_account(seed=3, leads=12, activities=24, tasks=9)
        add_events(data, 20)
        for kind in ("leads", "tasks", "activities"):
            data.clock.advance(timedelta(minutes=10))
            data.delete(kind, next(iter(data.records(kind))))
        opened: list[Source] = []

        def one_more() -> Source:
            opened.append(server.source())
            return opened[-1]

        with Account(tmp_path, data) as server:
            yield one_more
            for source in opened:
                source.close()
