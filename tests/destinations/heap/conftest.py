"""A fake of Heap for each test, and a sender to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.destinations.heap.sending import Sender

from lockstitch.testing.vendors.heap_api import HeapServer


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Sender]:
    with HeapServer() as server:
        server.minute = 0.5
        yield Sender(server, tmp_path)
