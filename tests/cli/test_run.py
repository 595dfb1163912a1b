"""`lockstitch run` as a process: what it prints, where, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from cli.conftest import Site


def test_a_run_prints_its_summary_on_stdout_and_its_progress_on_stderr(site: Site) -> None:
    done = site.call("run")
    assert done.code == 0, done.err
    assert done.out.splitlines()[:3] == [
        "table   read  inserted  updated  superseded  rejected  adjusted",
        "others     6         6        0           0         0         0",
        "things     6         4        0           2         0         0",
    ]
    assert done.out.splitlines()[-1].startswith("12 rows read, 2 loads committed (")
    assert "things: load 1 committed, things 4 rows" in done.err.splitlines()
    assert site.query("select count(*) from things.things") == [(4,)]


def test_a_second_run_has_nothing_to_say(site: Site) -> None:
    site.call("run")
    done = site.call("run")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("nothing new (")


def test_json_is_one_document_with_stable_keys(site: Site) -> None:
    done = site.call("run", "--json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert set(told) == {
        "command", "verdict", "connection", "schema", "seconds", "stopped_by", "loads", "tables", "lanes"
    }  # fmt: skip
    assert (told["command"], told["verdict"], told["schema"], told["loads"]) == ("run", "ok", "things", 2)
    assert told["tables"][1] == {
        "table": "things", "read": 6, "inserted": 4, "updated": 0, "superseded": 2, "rejected": 0, "adjusted": 0
    }  # fmt: skip
    assert told["lanes"][1] == {
        "lane": "others", "rows": 6, "rejected": 0, "adjusted": 0, "loads": 1, "error": None
    }  # fmt: skip


def test_events_come_as_json_lines(site: Site) -> None:
    done = site.call("run", "--json", "--progress", "json")
    events = [json.loads(line) for line in done.err.splitlines()]
    assert [event["event"] for event in events if event.get("lane") == "others"] == [
        "lane_started",
        "progress",
        "progress",
        "progress",
        "load_committed",
        "lane_finished",
    ]


def test_one_lanes_error_ends_it_alone_and_hides_the_secret(site: Site) -> None:
    site.write("fails_at = 1")
    done = site.call("run")
    assert done.code == 2
    assert done.err.splitlines()[-4:] == [
        "error: things: page 1 is cut, said ***",
        "hint: mend the page",
        "error: others: page 1 is cut, said ***",
        "hint: mend the page",
    ]
    told = json.loads(site.call("run", "--json").out)
    assert told["verdict"] == "user"
    assert told["lanes"][0]["error"] == {
        "verdict": "user",
        "message": "page 1 is cut, said ***",
        "hint": "mend the page",
    }


def test_an_unset_variable_and_a_stream_that_is_not_there(site: Site) -> None:
    site.write(streams='{thing = "*"}')
    done = site.call("run", "--json")
    assert (done.code, done.out) == (2, "")
    assert json.loads(done.err)["error"] == {
        "verdict": "user",
        "message": "there is no stream 'thing' in the source",
        "hint": "did you mean 'things'?",
    }


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_commits_up_to_the_last_checkpoint(site: Site, number: signal.Signals, code: int) -> None:
    site.write("checkpoints = 1", streams='{things = "*"}')
    site.call("run")  # a first fill is only seen once it is complete; what comes after it, load by load
    site.write("checkpoints = 1000\npause = 0.02", streams='{things = "*"}')
    with site.start(["run", "--progress", "json"]) as process:
        assert process.stderr is not None
        while json.loads(process.stderr.readline())["event"] != "progress":
            pass
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "stopping: what is read up to the last checkpoint is being committed" in err
    assert "Traceback" not in err
    assert f"stopped by {number.name}: 1 load committed; the next run goes on from there" in out
    ((rows,),) = site.query("select count(*) from things.things")
    assert 2 <= rows < 1000
    site.write(f"checkpoints = {rows}", streams='{things = "*"}')
    told = json.loads(site.call("run", "--json").out)
    assert told["lanes"][0]["rows"] == 2, "the next run reads the one checkpoint that was left"
    assert site.query("select count(*), count(distinct id) from things.things") == [(rows + 1, rows + 1)]


def test_a_second_signal_ends_it_at_once(site: Site) -> None:
    site.write("checkpoints = 1000\npause = 30", streams='{things = "*"}')
    with site.start(["run", "--progress", "json"]) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline().startswith("stopping: ")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert (process.returncode, out) == (130, "")
    assert err.startswith("stopped at once; ")


def test_a_terminal_sees_a_live_table_and_the_summary(site: Site) -> None:
    site.write("pause = 0.3", streams='{things = "*"}')
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "lockstitch", "run"],
        cwd=site.folder,
        env={**site.environment, "TERM": "xterm", "COLUMNS": "100"},
        stdout=slave,
        stderr=slave,
    ) as process:
        os.close(slave)
        shown = b""
        while process.poll() is None or shown[-1:] != b"\n":
            try:
                shown += os.read(master, 65536)
            except OSError:  # Linux reports the closed other side as EIO
                break
    os.close(master)
    text = shown.decode()
    assert process.returncode == 0
    assert "files left" in text
    assert "rows/s" in text
    assert "6 rows read, 1 load committed" in text
