"""Named points that every load passes, in this order, so that a test can stop the process at each of them.

Nothing listens in production: `reach` then costs one look at an empty list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Point = Literal[
    "batch spooled",
    "load cut",
    "load begun",
    "rows staged",
    "mark locked",
    "changes made",
    "step applied",
    "mark written",
    "load committed",
    "load reported",
]

_listeners: list[Callable[[Point], None]] = []


def reach(point: Point) -> None:
    """Tell the listeners, if any, that the point is reached."""
    for listener in _listeners:
        listener(point)


def listen(listener: Callable[[Point], None]) -> None:
    """Call `listener` at every point from now on; for fault tests only."""
    _listeners.append(listener)
