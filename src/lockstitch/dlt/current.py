"""dlt has one current pipeline for the whole program: ours must not stay it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from dlt.common.pipeline import current_pipeline

if TYPE_CHECKING:
    from dlt import Pipeline


@contextmanager
def current_kept() -> Generator[None]:
    """Let the pipeline be the current one again that was it before."""
    before = _current()
    try:
        yield
    finally:
        now = _current()
        if now is not None and now is not before:
            now.deactivate()
        if before is not None:
            before.activate()


def _current() -> Pipeline | None:
    return cast("Pipeline | None", current_pipeline())
