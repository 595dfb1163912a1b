"""The sender to Heap keeps every promise of a destination that only sends."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from lockstitch.destinations.heap.spec import Properties, open_destination
from lockstitch.testing.sender_contract import Database, SenderContract


class TestHeap(SenderContract):
    @pytest.fixture
    def database(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
        monkeypatch.setenv("LOCKSTITCH_HOME", str(tmp_path / "home"))
        self.path = tmp_path / "state" / "state.sqlite"
        properties = Properties(
            app_id="1",
            base_url="http://127.0.0.1:9",  # nobody is there: none of these tests sends anything
            send={"orders": {"as": "track", "event": "Order", "identity": "id"}},
            state=str(self.path.parent),
        )

        def no_sql(statement: str) -> list[tuple[object, ...]]:
            raise AssertionError(f"there is no SQL here: {statement}")

        return Database(lambda: open_destination(properties), no_sql)

    def make_format_newer(self, database: Database) -> None:
        db = sqlite3.connect(self.path)
        db.execute("pragma user_version = 999")
        db.close()
