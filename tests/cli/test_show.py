"""`lockstitch show`: what is in the destination, without asking the source."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import duckdb

from cli.conftest import Site


def shown(site: Site) -> dict[str, list[dict[str, object]]]:
    called = site.call("show", "--json")
    assert called.code == 0, called.err
    return json.loads(called.out)


def test_tables_loads_and_marks_are_told(site: Site) -> None:
    site.call("run")
    text = site.call("show").out
    tables, loads, marks = text.split("\n\n")
    assert tables.splitlines()[0] == "others  (6 rows; no key)"
    assert "things  (4 rows; key id)\n    id BIGINT, at VARCHAR, _sdc_batched_at TIMESTAMP WITH TIME ZONE" in tables
    assert tables.splitlines()[-1] == "2 tables"
    assert loads.splitlines()[0].split() == (
        ["committed", "lane", "load", "table", "read", "inserted", "updated", "superseded", "rejected", "adjusted"]
    )
    assert [line.split()[2:] for line in loads.splitlines()[1:]] == [
        ["things", "1", "things", "6", "4", "0", "2", "0", "0"],
        ["others", "1", "others", "6", "6", "0", "0", "0", "0"],
    ]
    assert [line.split() for line in marks.splitlines()] == [
        ["mark", "of", "epoch", "load", "cursor"],
        ["others", "1", "1", "3"],
        ["things", "1", "1", "3"],
    ]


def test_as_json(site: Site) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    site.call("run")
    told = shown(site)
    assert [(one["table"], one["rows"], one["expected"], one["key"]) for one in told["tables"]] == [
        ("others", 6, 6, []),
        ("things", 4, 4, ["id"]),
    ]
    assert told["tables"][1]["columns"][0] == {"name": "id", "type": "integer", "native": "BIGINT"}  # pyright: ignore[reportIndexIssue]
    assert [(one["lane"], one["epoch"], one["number"], one["cursor"]) for one in told["marks"]] == [
        ("others", 1, 1, 3),
        ("things", 1, 1, 3),
    ]
    (load,) = [one for one in told["loads"] if one["lane"] == "things"]
    assert (load["number"], load["table"], load["read"], load["inserted"], load["superseded"]) == (1, "things", 6, 4, 2)
    assert before <= datetime.fromisoformat(str(load["committed_at"])) <= datetime.now(UTC)
    assert told["rejected"] == 0


def test_the_source_is_not_asked(site: Site) -> None:
    site.call("run")
    site.write('mode = "fast"')
    text = (site.folder / "pipeline.toml").read_text()
    (site.folder / "pipeline.toml").write_text(text.replace('host = "h"', 'host = "broken"'))
    assert len(shown(site)["tables"]) == 2


def test_rows_that_are_not_there_any_more_are_told(site: Site) -> None:
    site.call("run")
    with duckdb.connect(str(site.folder / "warehouse.duckdb")) as db:
        db.execute("delete from things.things where id = 1")
        db.execute("create table things.mine (note varchar, moment time)")
        db.execute("insert into things._sdc_rejected (reason) values ('x')")
    text = site.call("show").out
    assert "things  (3 rows; key id; 4 expected by its loads: see `lockstitch verify`)" in text
    assert "mine  (0 rows; no key)\n    note VARCHAR, moment (a type of your own)" in text
    assert "1 record in things._sdc_rejected, with the reasons" in text


def test_a_long_history_is_cut_for_people_alone(site: Site) -> None:
    site.write("checkpoints = 24", streams='{others = "*"}')
    with (site.folder / "pipeline.toml").open("a") as file:
        file.write("[load]\nrows = 1\n")
    site.call("run")
    assert "(5 lines before; --json has all)" in site.call("show").out
    assert [one["number"] for one in shown(site)["loads"]] == [*range(1, 26)]


def test_nothing_is_made_where_nothing_has_landed(site: Site) -> None:
    assert site.call("show").out == "things: nothing has landed yet\n"
    assert shown(site)["tables"] == []
    assert not (site.folder / "warehouse.duckdb").exists()
