"""Children of a worker: started, heard, stopped, killed, and gone without a trace."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lockstitch.control import process
from lockstitch.control.messages import Assignment, Committed, Done, Ended, Logged, Message
from lockstitch.control.process import Killed, carry_out
from lockstitch.core.model import StreamChoice


@pytest.fixture(scope="module", autouse=True)
def _forked(acme_site: Path) -> Generator[None]:
    """Let children find Acme's connector: the process that forks them has this one's path."""
    sys.path.insert(0, str(acme_site))
    process.start_server()
    yield
    sys.path.remove(str(acme_site))


def assignment(folder: Path, **properties: Any) -> Assignment:
    return Assignment(
        kind="run",
        home=str(folder / "home"),
        connection="c",
        schema="acme",
        source_type="acme.things",
        source_properties={"host": "h", "token": "s3cret", **properties},
        destination_type="duckdb",
        destination_properties={"path": str(folder / "warehouse.duckdb")},
        selection={"others": StreamChoice(frozenset({"name"}))},
    )


def test_a_child_tells_in_order_how_its_run_went(tmp_path: Path):
    heard: list[Message] = []
    assert carry_out(assignment(tmp_path), heard.append, lambda: None) == Done()
    ends = [one for one in heard if isinstance(one, Ended)]
    assert ends == [Ended("discovery"), Ended("tap"), Ended("target")]
    (loaded,) = [one for one in heard if isinstance(one, Committed)]
    assert sum(row.read for row in loaded.tables) == 6
    last = heard[-1]
    assert isinstance(last, Logged)
    assert last.text == "Exit status is: Discovery succeeded. Tap succeeded. Target succeeded."


def test_a_bug_is_told_with_its_traceback_and_without_the_secret(tmp_path: Path):
    heard: list[Message] = []
    assert carry_out(assignment(tmp_path, host="broken"), heard.append, lambda: None) == Done("bug")
    text = "\n".join(one.text for one in heard if isinstance(one, Logged))
    assert "Traceback" in text
    assert "RuntimeError" in text
    assert "s3cret" not in text


def test_a_child_that_does_not_stop_in_time_is_killed(tmp_path: Path):
    begun, heard = time.monotonic(), list[Message]()

    def grace() -> float | None:
        return 0.5 if any("Reading" in one.text for one in heard if isinstance(one, Logged)) else None

    with pytest.raises(Killed) as killed:
        carry_out(assignment(tmp_path, pause=60), heard.append, grace)
    assert killed.value.exit_code == -9
    assert time.monotonic() - begun < 20


def test_what_the_hearer_raises_comes_through_and_ends_the_child(tmp_path: Path):
    def hear(_: Message) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        carry_out(assignment(tmp_path, pause=60), hear, lambda: None)


def test_children_leave_no_file_descriptor_and_no_zombie_behind(tmp_path: Path):
    def open_now() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    carry_out(assignment(tmp_path), lambda _: None, lambda: None)
    before = open_now()
    for _ in range(5):
        carry_out(assignment(tmp_path), lambda _: None, lambda: None)
        with pytest.raises(Killed):
            carry_out(assignment(tmp_path, pause=60, checkpoints=4), lambda _: None, lambda: 0.0)
    assert open_now() <= before
    found = psutil.Process().children(recursive=True)
    assert [one for one in found if one.status() == psutil.STATUS_ZOMBIE] == []
