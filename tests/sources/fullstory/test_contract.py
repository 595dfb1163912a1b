"""FullStory keeps the promises of every source, whichever way its events come."""

from __future__ import annotations

import pytest

from lockstitch.sources.fullstory import bundles, tables
from lockstitch.testing.source_contract import OpenSource, SourceContract
from sources.fullstory.account import Account


class TestDataExport(SourceContract):
    @pytest.fixture
    def open_source(self, small: Account, monkeypatch: pytest.MonkeyPatch) -> OpenSource:
        # So that there are cursors within bundles, and within tables of several pages.
        monkeypatch.setattr(bundles, "CHECKPOINT_BYTES", 1)
        monkeypatch.setattr("lockstitch.sources.fullstory.delivery.PIECE_BYTES", 2000)
        monkeypatch.setattr("lockstitch.sources.fullstory.api.LIMIT", 2)
        return small.source


class TestSegmentExport(SourceContract):
    @pytest.fixture
    def open_source(self, small: Account, monkeypatch: pytest.MonkeyPatch) -> OpenSource:
        small.server.exports.polls = 1
        # A table of which nobody waits to see whether it has changed.
        monkeypatch.setattr(tables, "HELD_BYTES", 1)
        monkeypatch.setattr("lockstitch.sources.fullstory.api.LIMIT", 2)
        return lambda: small.source(events_api="segment_export", extra_fields=True, start_date="2026-06-11")
