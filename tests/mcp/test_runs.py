"""Runs that are cancelled, that follow each other, and their log."""

from __future__ import annotations

from pathlib import Path
from time import monotonic, sleep

import pytest
from tests.mcp.conftest import Assistant

import acme
from lockstitch.mcp import runs
from lockstitch.mcp.hiding import Secrets

PIPELINE = """
[source]
type = "acme.things"
name = "Some things"
streams = {{ things = "*" }}
[source.properties]
host = "h"
token = "not told"
pause = {pause}
checkpoints = 40
[destination]
type = "duckdb"
[destination.properties]
path = "things.duckdb"
"""


@pytest.fixture
def things(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline of another author's source, of forty pages, each after a pause."""
    monkeypatch.syspath_prepend(acme.install(tmp_path / "site"))
    path = folder / "things.toml"
    path.write_text(PIPELINE.format(pause=0.1))
    return path


def test_a_cancelled_run_commits_what_it_has_read(assistant: Assistant, things: Path) -> None:
    assistant.cancel("run", 1.5, connection="things")
    deadline = monotonic() + 10
    while "stopped by" not in assistant.call("read_log", connection="things"):
        assert monotonic() < deadline
        sleep(0.05)
    assert "stopped by the assistant: 1 load committed" in assistant.call("read_log", connection="things")
    things.write_text(PIPELINE.format(pause=0))
    ran = assistant.call("run", connection="things")
    assert (ran["verdict"], ran["stopped_by"]) == ("ok", None)
    assert 0 < ran["tables"][0]["read"] < 80
    assert assistant.call("query", connection="things", sql="select count(*) from things")["rows"] == [[41]]


def test_a_log_does_not_grow_without_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MOST_OF_A_LOG", 1000)
    told: list[str] = []
    log = runs.RunLog(folder / "things.toml", Secrets(), told.append)
    assert "no run yet" in log.read(5)
    for at in range(50):
        log.write(f"line {at}\nof two")
    log.shorten()
    assert log.path.read_text().splitlines()[0].endswith("line 25")
    assert [line[21:] for line in log.read(2).splitlines()] == ["line 49", "of two"]
    assert told[-2:] == ["line 49", "of two"]
    assert log.path.stat().st_mode & 0o777 == 0o600
    assert log.path != runs.RunLog(folder.parent / "things.toml", Secrets()).path
