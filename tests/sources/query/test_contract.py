"""Tables and queries keep the promises of every source, in each kind of database."""

from __future__ import annotations

import pytest

from lockstitch.testing.source_contract import OpenSource, SourceContract
from sources.query.asked import Shop


class TestQuery(SourceContract):
    unknown_cursors = ({"unknown": "cursor"}, "unknown", 17, {"after": 5, "seen": []}, {"version": "1"})

    @pytest.fixture
    def open_source(self, shop: Shop) -> OpenSource:
        return shop.source
