"""`check`, `discover` and `plan` as processes."""

from __future__ import annotations

import json

from cli.conftest import Site


def test_check_tries_both_ends(site: Site) -> None:
    done = site.call("check")
    assert (done.code, done.out, done.err) == (0, "source acme.things: works\ndestination duckdb: works\n", "")
    told = json.loads(site.call("check", "--json").out)
    assert told == {
        "command": "check",
        "ok": True,
        "source": {"type": "acme.things", "ok": True, "error": None},
        "destination": {"type": "duckdb", "ok": True, "error": None},
    }


def test_check_tells_the_destination_also_where_the_source_fails(site: Site) -> None:
    text = (site.folder / "pipeline.toml").read_text()
    (site.folder / "pipeline.toml").write_text(text.replace('host = "h"', 'host = "refused"'))
    done = site.call("check")
    assert done.code == 2
    assert done.out == "destination duckdb: works\n"
    assert done.err == "error: source acme.things: token *** is refused\nhint: not ***\n"
    told = json.loads(site.call("check", "--json").out)
    assert (told["ok"], told["source"]["ok"], told["destination"]["ok"]) == (False, False, True)


def test_discover_lists_streams_fields_and_keys(site: Site) -> None:
    site.write(streams='{things = "*"}')
    done = site.call("discover")
    assert (done.code, done.err) == (0, "")
    assert done.out.replace("\u00a0", " ").splitlines() == [
        "things  (key id)",
        "    id integer, at date-time",
        "others  (no key: rows are appended; not selected)",
        "    name string",
        "2 streams",
    ]
    told = json.loads(site.call("discover", "--json").out)
    assert [(stream["name"], stream["key"], stream["selected"]) for stream in told["streams"]] == [
        ("things", ["id"], True),
        ("others", [], False),
    ]
    assert told["streams"][0]["fields"][1] == {
        "name": "at", "type": "string", "format": "date-time", "inclusion": "available"
    }  # fmt: skip


def test_plan_says_what_a_run_would_do_and_does_nothing(site: Site) -> None:
    done = site.call("plan")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "things",
        "  reads 3 files, 3.0 kB, from its beginning",
        "  creates things.things, upserts by id",
        "  new columns, each with its first value: id, at",
        "others",
        "  reads 3 files, 3.0 kB, from its beginning",
        "  creates things.others",
        "  new columns, each with its first value: name",
        "2 of 2 streams with something new",
        "not promised:",
        "  - others: no key, so rows are only ever added, also where the source sends one again",
    ]
    assert not (site.folder / "warehouse.duckdb").exists()


def test_plan_goes_on_from_the_mark(site: Site) -> None:
    site.write(streams='{things = ["id"]}')
    site.call("run")
    assert site.call("plan").out.splitlines() == ["0 of 1 stream with something new"]
    site.write("checkpoints = 5", streams='{things = "*"}')
    (stream,) = json.loads(site.call("plan", "--json").out)["streams"]
    assert stream == {
        "stream": "things",
        "table": "things",
        "key": ["id"],
        "after": 1,
        "reads": True,
        "files": 2,
        "bytes": 2000,
        "creates": False,
        "replaces": False,
        "columns": ["at"],
    }
