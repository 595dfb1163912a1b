"""What processes that tests start have otherwise than users': waits that are short, and pages that are small.

Python imports this module by itself, before anything else, where its folder is on PYTHONPATH: see `hurried` in
conftest.py.
"""

from __future__ import annotations

from dataclasses import replace

from lockstitch.sources.closeio import api as close
from lockstitch.sources.closeio import reading
from lockstitch.sources.fullstory import api as fullstory
from lockstitch.toolkit.http.client import Patience
from lockstitch.toolkit.http.quota import Rate


def _short(patience: Patience) -> Patience:
    """Return the same patience with short waits; the budget is enough for a Retry-After as a date."""
    return replace(patience, first=0.005, most=0.02, unsaid=0.05, budget=2.5)


close.RATE = Rate(100_000, 1.0, burst=1000)
close.PATIENCE = _short(close.PATIENCE)
reading.LEADS, reading.ACTIVITIES, reading.OTHERS = 15, 15, 4

fullstory.DOWNLOADS = Rate(1000, 1.0)
fullstory._EXPORT_PATIENCE = _short(fullstory._EXPORT_PATIENCE)
fullstory._POLLING_PATIENCE = _short(fullstory._POLLING_PATIENCE)
fullstory._SERVER_PATIENCE = _short(fullstory._SERVER_PATIENCE)
fullstory._POLL_SECONDS = 0.01
fullstory.LIMIT = 3
