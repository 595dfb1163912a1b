"""The view for Heap's merged users, as docs/sources/heap.md gives it, over loads that replace what is below it."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

from cli.conftest import Site
from cli.test_heap import PIPELINE
from cli.test_postgres import into
from lockstitch.testing.heap_bucket import DumpTable, write_dump

DOCS = Path(__file__).parents[2] / "docs" / "sources" / "heap.md"


def dump(bucket: Path, number: int, moves: dict[int, int]) -> None:
    events = pa.table({"event_id": [number * 10 + user for user in (1, 2, 3, 4)], "user_id": [1, 2, 3, 4]})
    migrations = pa.table({"from_user_id": list(moves), "to_user_id": list(moves.values())})
    tables = {
        "sign_up": DumpTable(events, incremental=number > 100),
        "user_migrations": DumpTable(migrations, incremental=False),
    }
    write_dump(bucket, number, tables)


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_the_view_follows_users_wherever_they_moved(kind: str, tmp_path: Path, request: pytest.FixtureRequest):
    site, bucket = Site(tmp_path), tmp_path / "bucket"
    bucket.mkdir()
    (tmp_path / "pipeline.toml").write_text(PIPELINE.format(bucket=bucket.as_uri(), folder=tmp_path))
    query = site.query
    if kind == "postgres":
        database = request.getfixturevalue("postgres")
        into(site, database.properties)
        query = database.query
    found = re.search(r"```sql\n(create view.*?)```", DOCS.read_text(), re.DOTALL)
    assert found is not None
    resolved = "select user_id, resolved_user_id from heap.sign_up_resolved order by event_id"

    dump(bucket, 100, {1: 2, 2: 3})
    assert site.call("run").code == 0
    execute(kind, site, request, found[1])
    assert query(resolved) == [(1, 3), (2, 3), (3, 3), (4, 4)]

    dump(bucket, 101, {1: 2, 2: 3, 3: 4, 4: 1})
    assert site.call("run").code == 0
    assert len(query(resolved)) == 8  # also where the moves go round in a circle each event is there once


def execute(kind: str, site: Site, request: pytest.FixtureRequest, sql: str) -> None:
    if kind == "postgres":
        request.getfixturevalue("postgres").run(sql)
        return
    import duckdb

    with duckdb.connect(str(site.folder / "warehouse.duckdb")) as db:
        db.execute(sql)
