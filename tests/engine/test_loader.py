"""How long the loader waits for a destination that does not answer."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import cast

import pytest

from lockstitch.core.errors import TransientError
from lockstitch.core.loads import Load
from lockstitch.core.model import Mark
from lockstitch.core.protocols import Destination, Writer
from lockstitch.engine.load import ReadyLoad
from lockstitch.engine.loader import Loader


class Failing:
    """Fails so many times, then refuses to be asked."""

    def __init__(self, times: int) -> None:
        self.left = times

    @contextmanager
    def begin(self, load: Load, after: Mark | None) -> Generator[Writer]:
        if self.left > 0:
            self.left -= 1
            raise TransientError("the server is down")
        raise AssertionError(f"asked once too often, for {load.lane}")
        yield

    def marks(self, connection: str) -> Mapping[str, Mark]:
        raise TransientError("the server is down")


def load_of(lane: str) -> ReadyLoad:
    return ReadyLoad(Load("c1", lane, ()), None, Mark(1, 1, None), (), (), (), datetime.now(UTC))


def test_what_one_lane_has_waited_for_is_not_waited_for_by_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockstitch.engine.patience.WAITS", (0.0, 0.0))
    destination = Failing(5)
    loader = Loader(cast("Destination", destination), lambda *_: None, lambda _: None)
    for lane in ("a", "b", "c"):
        loader.submit(load_of(lane))
    loader.finish()
    loader.close()
    assert destination.left == 0
    assert {str(loader.failure(lane)) for lane in ("a", "b", "c")} == {"the server is down"}
