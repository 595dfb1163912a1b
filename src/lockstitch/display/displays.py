"""How a run's events are shown while it goes, always on stderr: a live table, plain lines, JSON lines or nothing."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, Protocol

import click

from lockstitch.display.errors import document
from lockstitch.display.logs import warnings_told
from lockstitch.display.tally import StreamTally, Tally
from lockstitch.display.text import clock, count, json_text, size
from lockstitch.engine.events import (
    Event,
    LaneFinished,
    LaneStarted,
    LoadCommitted,
    Progress,
    SchemaChanged,
    SourceDiscovered,
    Waiting,
    Warned,
)

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

Style = Literal["auto", "live", "plain", "json", "none"]

#: Between two lines about the same stream, in seconds.
_QUIET = 10.0


class Display(Protocol):
    """Shows events one by one; never called by two threads at once."""

    def show(self, event: Event) -> None: ...

    def close(self) -> None: ...


def display_for(style: Style, tally: Tally, *, as_json: bool) -> Display:
    """Return the display for a style; "auto" looks at whether anyone watches."""
    if style == "auto":
        style = "none" if as_json else "live" if sys.stderr.isatty() else "plain"
    match style:
        case "live":
            return LiveTable(tally)
        case "plain":
            return PlainLines(tally)
        case "json":
            return JsonLines()
        case _:
            return Silent()


@contextmanager
def watched(
    display: Display, tally: Tally, *, also: Callable[[Event], None] | None = None
) -> Generator[Callable[[Event], None]]:
    """Yield what adds a run's events up and shows them, one by one; they may come from several threads.

    What connectors log is shown among them, unless nothing is shown at all. `also` gets each event, too. The display
    is closed at the end.
    """
    lock = threading.Lock()

    def show(event: Event) -> None:
        with lock:
            tally.add(event)
            display.show(event)
            if also is not None:
                also(event)

    with nullcontext() if isinstance(display, Silent) else warnings_told(lambda text: show(Warned(text))):
        try:
            yield show
        finally:
            display.close()


class Silent:
    """Shows nothing."""

    def show(self, event: Event) -> None:
        pass

    def close(self) -> None:
        pass


class JsonLines:
    """One JSON object an event; `event` is its name, the other keys its fields."""

    def show(self, event: Event) -> None:
        click.echo(json_text({"event": _event_name(event), **self._fields(event)}), err=True)

    def _fields(self, event: Event) -> dict[str, Any]:
        match event:
            case SourceDiscovered(streams):
                return {"streams": [stream.name for stream in streams]}
            case LaneFinished(lane, error):
                return {"lane": lane, "error": error and document(error)}
            case _:
                return asdict(event)

    def close(self) -> None:
        pass


def _event_name(event: Event) -> str:
    """Return LaneStarted as lane_started."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in type(event).__name__).lstrip("_")


def _on_stderr(line: str) -> None:
    click.echo(line, err=True)


class PlainLines:
    """Lines for a log: a lane's start and end, each load, and now and then how far a stream is.

    A lane with nothing new says nothing. `tell` takes each line; without it, they go to stderr.
    """

    def __init__(self, tally: Tally, tell: Callable[[str], None] = _on_stderr) -> None:
        self._tally = tally
        self._tell = tell
        self._told: dict[str, float] = {}
        self._begun: set[str] = set()

    def show(self, event: Event) -> None:
        for line in self._lines(event):
            self._tell(line)

    def close(self) -> None:
        pass

    def _lines(self, event: Event) -> list[str]:
        match event:
            case Progress():
                return self._begin(event.lane) + self._progress(event)
            case LoadCommitted():
                return [*self._begin(event.lane), f"{event.lane}: load {event.number} committed, {landed(event)}"]
            case LaneFinished():
                if event.error is None:
                    return [f"{event.lane}: done"] if event.lane in self._begun else []
                return [f"{event.lane}: stopped by an error"]
            case SourceDiscovered() | LaneStarted():
                return []
            case _:
                return [remark(event)]

    def _begin(self, lane: str) -> list[str]:
        if lane in self._begun:
            return []
        self._begun.add(lane)
        tally = self._tally.lanes.get(lane)
        files = tally.files_left if tally else None
        return [f"{lane}: reading" + (f" {count(files, 'file')}" if files else "")]

    def _progress(self, event: Progress) -> list[str]:
        now = monotonic()
        if now - self._told.setdefault(event.stream, now) < _QUIET:
            return []
        self._told[event.stream] = now
        stream = self._tally.streams[event.stream]
        cells = [cell for cell in stream_cells(stream, now)[1:] if cell]
        return [f"{event.stream}: {', '.join(cells)}"]


class LiveTable:
    """A table that changes in place, one row a stream. Loads rich only when the first rows have come."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._live: Live | None = None

    def show(self, event: Event) -> None:
        match event:
            case SourceDiscovered() | LaneStarted() | LoadCommitted() | LaneFinished():
                pass
            case Progress():
                self._start()
            case _ if self._live is None:
                click.echo(remark(event), err=True)
            case _:
                self._live.console.print(remark(event), markup=False, highlight=False)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _start(self) -> None:
        if self._live is not None:
            return
        from rich.console import Console
        from rich.live import Live

        self._live = Live(
            console=Console(stderr=True), get_renderable=self._table, refresh_per_second=4, transient=True
        )
        self._live.start()

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading in HEADINGS:
            table.add_column(heading, justify="left" if heading == "stream" else "right")
        now = monotonic()
        for stream in list(self._tally.streams.values()):
            table.add_row(*map(Text, live_cells(stream, now)))
        return table


HEADINGS = ("stream", "rows", "rows/s", "read", "files left", "time left")


def live_cells(stream: StreamTally, now: float) -> list[str]:
    """Return what there is to say of a stream below each of the headings."""
    return [stream.stream, f"{stream.rows:,}", *_rates(stream, now)]


def _rates(stream: StreamTally, now: float) -> list[str]:
    """Return rows per second, bytes, files left and time left; "" where not known or over."""
    lane = stream.lane
    end = now if lane.finished is None else lane.finished
    left = lane.seconds_left(now)
    return [
        f"{stream.rows_per_second(end):,.0f}",
        size(stream.bytes),
        "" if lane.files_left is None else f"{lane.files_left:,}",
        "failed" if lane.failed else "done" if lane.finished is not None else "" if left is None else clock(left),
    ]


def stream_cells(stream: StreamTally, now: float) -> list[str]:
    """Return what there is to say of a stream on one line."""
    rate, read, files, left = _rates(stream, now)
    return [
        stream.stream,
        count(stream.rows, "row"),
        f"{rate} rows/s",
        read,
        f"{files} files left" if files else "",
        f"{left} left" if left else "",
    ]


def landed(event: LoadCommitted) -> str:
    """Say how many rows a load brought, by table."""
    rows = [f"{row.table} {count(row.inserted + row.updated, 'row')}" for row in event.tables]
    return ", ".join(rows) or "no rows"


def remark(event: SchemaChanged | Warned | Waiting) -> str:
    """Return an event that is but a text as one line."""
    match event:
        case SchemaChanged():
            return f"{event.table}: {event.text}"
        case Warned():
            return f"warning: {event.text}"
        case Waiting():
            return f"waiting: {event.text}"
