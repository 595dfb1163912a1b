"""Closes every source that a test opened."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sources.heap import bucket


@pytest.fixture(autouse=True)
def closed_sources() -> Iterator[None]:
    yield
    while bucket.opened:
        bucket.opened.pop().close()
