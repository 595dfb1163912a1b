"""The inbox keeps the promises of sources."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.sources.import_api.house import House

from lockstitch.core.protocols import Source
from lockstitch.sources.import_api import source as source_module
from lockstitch.testing.source_contract import SourceContract


class TestImportApi(SourceContract):
    @pytest.fixture
    def open_source(self, house: House, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Source]:
        """Tables with and without keys, versions shown, filling, completed and late; a checkpoint after few rows."""
        monkeypatch.setattr(source_module, "CHECKPOINT_ROWS", 4)
        for number in range(6):
            rows = [(10 * number + n, {"id": n, "at": number, "tags": ["a"] * n, "of": {"x": n}}) for n in range(3)]
            house.push("orders", *rows)
            house.batch("events", (number, {"n": number}), (number, {"n": str(number)}))
        house.batch("users", (1, {"id": 1}), (2, {"id": 2}), key_names=["id"], table_version=100)
        house.batch("users", (3, {"id": 1}), (4, {"id": 3}), key_names=["id"], table_version=200)
        house.push("orders", *((100 + n, {"id": n, "at": None}) for n in range(5)))
        house.batch("users", (5, {"id": 4}), key_names=["id"], table_version=200)
        house.batch("users", (5, {"id": 5}), key_names=["id"], table_version=100)
        house.batch("events", (9, {"n": 9.5}))
        house.batch("users", (6, None), key_names=["id"], table_version=200)
        house.push("orders", *((200 + n, {"id": n, "at": None}) for n in range(5)))
        house.batch("users", (7, {"id": 6}), key_names=["id"], table_version=300)
        house.push("orders", *((300 + n, {"id": n, "at": None}) for n in range(5)))
        house.batch("users", (8, {"id": 7}), key_names=["id"], table_version=300)
        return house.source
