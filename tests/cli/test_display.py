"""What a run shows while it goes, from its events alone."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from lockstitch.core.errors import AccessError
from lockstitch.core.loads import LedgerRow
from lockstitch.display.displays import JsonLines, LiveTable, PlainLines, Silent, display_for
from lockstitch.display.tally import Tally, table_rows
from lockstitch.display.text import clock, columns, count, size
from lockstitch.engine.events import (
    Event,
    LaneFinished,
    LaneStarted,
    LoadCommitted,
    Progress,
    SchemaChanged,
    Waiting,
    Warned,
)

RUN: list[Event] = [
    Warned("orders: no key"),
    LaneStarted("users", ("users",), 4, 1000),
    Progress("users", "users", 100, 5000, 3, 800),
    SchemaChanged("users", "created"),
    LoadCommitted("users", 1, (LedgerRow("users", read=100, inserted=90, superseded=10),)),
    Progress("users", "users", 200, 9000, 1, 200),
    Waiting("process 42 holds warehouse.duckdb"),
    LoadCommitted("users", 2, (LedgerRow("users", read=100, inserted=50, updated=50, rejected=1, adjusted=2),)),
    LaneFinished("users"),
    LaneStarted("idle", ("idle",), 0, 0),
    LaneFinished("idle"),
    LaneFinished("closed", AccessError("no", hint="ask")),
]


def shown(kind: type[PlainLines | LiveTable], events: list[Event]) -> Tally:
    """Show events as a run does, and return what they added up to."""
    tally = Tally()
    display = kind(tally)
    for event in events:
        tally.add(event)
        display.show(event)
    display.close()
    return tally


def test_a_tally_adds_loads_up_by_table() -> None:
    tally = shown(PlainLines, RUN)
    assert tally.loads == 2
    assert table_rows(tally.tables) == [
        {"table": "users", "read": 200, "inserted": 140, "updated": 50, "superseded": 10, "rejected": 1, "adjusted": 2}
    ]


def test_a_tally_tells_speed_and_time_left() -> None:
    tally = Tally()
    tally.add(LaneStarted("users", ("users",), 4, 1000), now=10.0)
    assert tally.lanes["users"].seconds_left(12.0) is None
    tally.add(Progress("users", "users", 300, 5000, 3, 750), now=12.0)
    assert tally.lanes["users"].seconds_left(13.0) == 9.0
    assert tally.streams["users"].rows_per_second(13.0) == 100.0
    tally.add(LaneFinished("users"), now=14.0)
    assert tally.lanes["users"].seconds_left(15.0) is None


def test_plain_lines_tell_starts_loads_and_ends_and_nothing_of_an_idle_lane(capsys: pytest.CaptureFixture[str]) -> None:
    shown(PlainLines, RUN)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "warning: orders: no key",
        "users: reading 3 files",
        "users: created",
        "users: load 1 committed, users 90 rows",
        "waiting: process 42 holds warehouse.duckdb",
        "users: load 2 committed, users 100 rows",
        "users: done",
        "closed: stopped by an error",
    ]


def test_plain_lines_come_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("lockstitch.display.displays.monotonic", lambda: now)
    tally = Tally(began=0.0)
    display = PlainLines(tally)
    tally.add(LaneStarted("users", ("users",), 100, 100), now=0.0)
    for second in range(25):
        now = float(second)
        event = Progress("users", "users", second * 10, second * 1000, 100 - second, 100 - second)
        tally.add(event, now=now)
        display.show(event)
    assert capsys.readouterr().err.splitlines()[1:] == [
        "users: 100 rows, 10 rows/s, 10.0 kB, 90 files left, 1:30 left",
        "users: 200 rows, 10 rows/s, 20.0 kB, 80 files left, 1:20 left",
    ]


def test_the_live_table_shows_each_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    tally = Tally()
    display = LiveTable(tally)
    for event in RUN:
        tally.add(event)
        display.show(event)
    display.close()
    text = stream.getvalue()
    assert "files left" in text
    assert "warning: orders: no key" in text
    assert "200" in text


def test_the_live_table_loads_rich_with_the_first_rows() -> None:
    code = """
import sys
from lockstitch.display.displays import LiveTable
from lockstitch.display.tally import Tally
from lockstitch.engine.events import LaneFinished, LaneStarted, Progress, Warned
tally = Tally()
display = LiveTable(tally)
for event in [Warned("no key"), LaneStarted("a", ("a",), 0, 0), LaneFinished("a"), Progress("b", "b", 1, 1)]:
    print("rich" in sys.modules)
    tally.add(event)
    display.show(event)
print("rich" in sys.modules)
display.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"] * 4 + ["True"]
    assert done.stderr.startswith("warning: no key\n")


def test_json_lines_hold_every_event(capsys: pytest.CaptureFixture[str]) -> None:
    display = JsonLines()
    for event in RUN:
        display.show(event)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines[:3]] == ["warned", "lane_started", "progress"]
    assert lines[2] == {
        "event": "progress",
        "lane": "users",
        "stream": "users",
        "rows": 100,
        "bytes": 5000,
        "files_left": 3,
        "bytes_left": 800,
    }
    assert lines[4]["tables"][0]["superseded"] == 10
    assert lines[8] == {"event": "lane_finished", "lane": "users", "error": None}
    assert lines[-1]["error"] == {"verdict": "user", "message": "no", "hint": "ask"}


def test_auto_is_plain_off_a_terminal_and_silent_with_json() -> None:
    assert isinstance(display_for("auto", Tally(), as_json=False), PlainLines)
    assert isinstance(display_for("auto", Tally(), as_json=True), Silent)
    assert isinstance(display_for("json", Tally(), as_json=True), JsonLines)
    assert isinstance(display_for("none", Tally(), as_json=False), Silent)
    assert isinstance(display_for("live", Tally(), as_json=False), LiveTable)


def test_columns_align_text_left_and_numbers_right() -> None:
    assert (
        columns(["table", "read"], [["users", 1234567], ["a", 5]])
        == "table       read\nusers  1,234,567\na              5"
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (123456, "123 kB"),
        (5_400_000_000, "5.4 GB"),
        (10**16, "10,000.0 TB"),
    ],
)
def test_size(number: int, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "0:00"), (65, "1:05"), (3599.6, "1:00:00"), (90061, "25:01:01")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_count() -> None:
    assert (count(1, "row"), count(0, "row"), count(12345, "row")) == ("1 row", "0 rows", "12,345 rows")
