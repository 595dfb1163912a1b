"""How a run shows that it goes on: a live table in a terminal and in a notebook, elsewhere nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Literal, get_args

from lockstitch.core.errors import SettingsError
from lockstitch.display.displays import HEADINGS, Display, LiveTable, PlainLines, Silent, live_cells, remark, watched
from lockstitch.display.tally import Tally
from lockstitch.engine.events import Event, LaneFinished, Waiting, Warned
from lockstitch.library.html import line_html, table_html

Progress = Literal["auto", "live", "plain", "none"]

Show = Callable[[Event], None]

#: Seconds between two changes of a notebook's table.
_QUIET = 0.25


@contextmanager
def following(progress: Progress, events: Show | None) -> Generator[tuple[Tally, Show]]:
    """Yield what adds a run's events up, and what takes them; `events` gets each of them, too."""
    tally = Tally()
    with watched(_display(progress, tally), tally, also=events) as show:
        yield tally, show


def _display(progress: Progress, tally: Tally) -> Display:
    if progress not in get_args(Progress):
        raise SettingsError(f"progress is {progress!r}", hint=f"use one of {', '.join(get_args(Progress))}")
    if progress in ("auto", "live") and _in_notebook():
        return NotebookTable(tally)
    if progress == "live" or (progress == "auto" and sys.stderr.isatty()):
        return LiveTable(tally)
    return PlainLines(tally) if progress == "plain" else Silent()


def _in_notebook() -> bool:
    """Tell whether a kernel runs us: IPython is then there already, and its shell is one that has a kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


class NotebookTable:
    """A table below the cell that changes in place, one row a stream, with warnings below it."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._handle: Any = None
        self._remarks: list[str] = []
        self._drawn = 0.0

    def show(self, event: Event) -> None:
        if isinstance(event, Warned | Waiting):
            self._remarks.append(remark(event))
        if isinstance(event, LaneFinished) or monotonic() - self._drawn >= _QUIET:
            self._draw()

    def close(self) -> None:
        self._draw()

    def _draw(self) -> None:
        if not self._tally.streams and not self._remarks:
            return
        from IPython.display import HTML, display

        self._drawn = monotonic()
        rows = [live_cells(stream, self._drawn) for stream in list(self._tally.streams.values())]
        page = HTML(table_html(HEADINGS, rows) + "".join(map(line_html, self._remarks)))
        if self._handle is None:
            self._handle = display(page, display_id=True)
        else:
            self._handle.update(page)
