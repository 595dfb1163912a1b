"""`reset`, `adopt` and `verify` as processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Site


def test_a_reset_stream_is_read_from_its_beginning(site: Site) -> None:
    site.call("run")
    done = site.call("reset", "things")
    assert done.code == 0, done.err
    assert done.out == "things: the next run reads it from its beginning; until then its table stays as it is\n"
    assert site.query("select count(*) from things.things") == [(4,)]
    told = json.loads(site.call("run", "--json").out)
    assert {lane["lane"]: lane["rows"] for lane in told["lanes"]} == {"things": 6, "others": 0}
    assert site.query("select count(*) from things.things") == [(4,)]


def test_reset_answers_machines(site: Site) -> None:
    site.call("run")
    done = site.call("reset", "things", "pipeline.toml", "--json")
    assert json.loads(done.out) == {"command": "reset", "lane": "things", "streams": ["things"]}


@pytest.mark.parametrize(
    ("stream", "message"),
    [("thing", "no selected stream is called 'thing'"), ("things", "was never replicated by this connection")],
)
def test_reset_refuses_what_it_cannot_do(site: Site, stream: str, message: str) -> None:
    done = site.call("reset", stream)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "\nhint: " in done.err


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_taps_state_is_taken_over(site: Site, wrapped: bool) -> None:
    state = {"bookmarks": {"things": {"page": 2}, "unknown": {"page": 9}}}
    (site.folder / "state.json").write_text(json.dumps({"type": "STATE", "value": state} if wrapped else state))
    done = site.call("adopt", "--state", "state.json")
    assert done.code == 0, done.err
    assert done.out == "things: the next run goes on after 2\n"
    told = json.loads(site.call("run", "--json").out)
    assert {lane["lane"]: lane["rows"] for lane in told["lanes"]} == {"things": 2, "others": 6}
    again = site.call("adopt", "--state", "state.json", "--json")
    assert again.code == 2
    assert json.loads(again.err)["error"]["message"] == "replicated by this connection already: things"


def test_adopt_answers_machines(site: Site) -> None:
    (site.folder / "state.json").write_text('{"bookmarks": {"things": {"page": 2}}}')
    done = site.call("adopt", "pipeline.toml", "--state", "state.json", "--json")
    assert json.loads(done.out) == {"command": "adopt", "lanes": [{"lane": "things", "cursor": 2}]}


@pytest.mark.parametrize("text", [None, "", "no json", "[1]", '{"type": "STATE", "value": 5}'])
def test_a_state_that_is_none_is_refused(site: Site, text: str | None) -> None:
    path: Path = site.folder / "state.json"
    if text is not None:
        path.write_text(text)
    done = site.call("adopt", "--state", str(path))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {path}")
    assert "\nhint: " in done.err


def test_verify_holds_after_a_run(site: Site) -> None:
    assert site.call("verify").out == "nothing to compare: this pipeline has not brought any table yet\n"
    site.call("run")
    done = site.call("verify")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "table   grade   rows  finding",
        "things  ledger     4  holds",
        "others  ledger     6  holds",
    ]


def test_verify_before_the_first_run_makes_nothing(site: Site) -> None:
    site.call("verify")
    assert not (site.folder / "warehouse.duckdb").exists()


def test_verify_finds_a_lost_table(site: Site) -> None:
    import duckdb

    site.call("run")
    with duckdb.connect(str(site.folder / "warehouse.duckdb")) as db:
        db.execute("drop table things.things")
    done = site.call("verify")
    assert done.code == 3
    assert "things  ledger     0  4 rows expected (the table is not there)" in done.out.splitlines()


def test_verify_finds_a_lost_row(site: Site) -> None:
    import duckdb

    site.call("run")
    with duckdb.connect(str(site.folder / "warehouse.duckdb")) as db:
        db.execute("delete from things.things where id = 3")
    done = site.call("verify")
    assert done.code == 3
    assert "things  ledger     3  4 rows expected" in done.out.splitlines()
    told = json.loads(site.call("verify", "--json").out)
    assert told["holds"] is False
    assert [(table["table"], table["holds"], table["rows"], table["expected"]) for table in told["tables"]] == [
        ("things", False, 3, 4),
        ("others", True, 6, 6),
    ]
