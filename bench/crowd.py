"""Fills a server's control store as years of use would. Its functions run in a process of their own: see measure.py."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

STREAMS_EACH, LOADS_EACH, FIELDS_EACH = 20, 5, 50


def fill_with_reports(home: Path, sources: int, runs_each: int) -> None:
    """Make sources with a schedule, with streams, loads and past runs, for the server's first account."""
    from lockstitch.control import tokens

    with _writing(home) as db:
        account_id = tokens.first_account(db)
        assert account_id is not None, "make a token first"
        add_sources(db, account_id, sources, runs_each)


def add_sources(db: Any, account_id: int, sources: int, runs_each: int) -> None:
    """Add them to an account of an open store."""
    import sqlalchemy as sa

    from lockstitch.control.store.tables import connections, loads, runs, streams

    moment = _now()
    source = {
        "account_id": account_id,
        "kind": "source",
        "type": "platform.heap",
        "properties": _PROPERTIES,
        "secrets": {"aws_secret_access_key": "encrypted"},
        "created_at": moment,
        "updated_at": moment,
        "discovered_at": moment,
        "next_fire_at": moment + timedelta(hours=1),
        "last_start_at": moment,
        "has_selection": True,
    }
    named = [
        {"name": f"n{one}", "display_name": f"N {one}", "mark_id": f"{account_id}.{one}"} for one in range(sources)
    ]
    insert = sa.insert(connections).returning(connections.c.id)
    ids = list(db.execute(insert, [{**source, **one} for one in named]).scalars())
    db.execute(sa.insert(runs), [_run(account_id, one, number) for one in ids for number in range(runs_each)])
    stream = {"metadata": {"": {}, **{f"f{one}": {} for one in range(FIELDS_EACH)}}, "chosen": {}, "schema": {}}
    names = [f"s{number}" for number in range(STREAMS_EACH)]
    db.execute(
        sa.insert(streams),
        [{**stream, "source_id": one, "tap_stream_id": name, "stream_name": name} for one in ids for name in names],
    )
    load = {"account_id": account_id, "last_batch_loaded_at": moment, "attempted_at": moment, "error_state": None}
    db.execute(
        sa.insert(loads),
        [{**load, "source_id": one, "stream_name": name} for one in ids for name in names[:LOADS_EACH]],
    )


_PROPERTIES = {
    "bucket": "heap-rs3-acme",
    "account_id": "123456789012",
    "external_id": "stitch_connection_1",
    "role_name": "stitch_heap",
    "start_date": "2026-01-01T00:00:00Z",
    "image_version": "1.latest",
    "product": "pipeline",
    "frequency_in_minutes": "60",
}


def _run(account_id: int, source_id: int, number: int) -> dict[str, Any]:
    ended = _now() - timedelta(hours=number)
    return {
        "name": f"{account_id}.{source_id}.sync.{number}",
        "account_id": account_id,
        "source_id": source_id,
        "created_at": ended,
        "start_time": ended,
        "completion_time": ended,
        "tap_exit_status": 0,
    }


def multiply(home: Path, source_id: int, times: int, due_in: float) -> None:
    """Copy a source that has run, its selection, and its DuckDB file with marks and all; all copies are due together.

    The source itself is paused.
    """
    import sqlalchemy as sa

    from lockstitch.control.store.tables import connections, streams

    with _writing(home) as db:
        source = _row(db, connections, source_id)
        destination = _row(db, connections, source["destination_id"])
        chosen = [
            dict(row) for row in db.execute(sa.select(streams).where(streams.c.source_id == source_id)).mappings()
        ]
        db.execute(sa.update(connections).values(paused_at="2026-01-01T00:00:00Z", next_fire_at=None))
        copies: list[int] = []
        for number in range(times):
            mark_ids = (uuid.uuid4().hex, uuid.uuid4().hex)
            path = _copied(Path(destination["properties"]["path"]), number, source["mark_id"], mark_ids[0])
            into = _inserted(db, connections, destination, mark_id=mark_ids[1], properties={"path": str(path)})
            copies.append(_inserted(db, connections, source, mark_id=mark_ids[0], destination_id=into))
            for stream in chosen:
                _inserted(db, streams, stream, source_id=copies[-1])
        due = {"paused_at": None, "next_fire_at": _now() + timedelta(seconds=due_in)}
        db.execute(sa.update(connections).where(connections.c.id.in_(copies)).values(due))


def _row(db: Any, table: Any, row_id: int) -> dict[str, Any]:
    import sqlalchemy as sa

    return dict(db.execute(sa.select(table).where(table.c.id == row_id)).mappings().one())


def _inserted(db: Any, table: Any, row: dict[str, Any], **changed: Any) -> int:
    import sqlalchemy as sa

    values = {name: value for name, value in {**row, **changed}.items() if name != "id"}
    return db.execute(sa.insert(table).values(values).returning(table.c.id)).scalar_one()


def _copied(path: Path, number: int, before: str, after: str) -> Path:
    """Copy a DuckDB file for another source, whose marks are told by its own id."""
    import duckdb

    copy = path.with_name(f"copy-{number}.duckdb")
    shutil.copyfile(path, copy)
    with duckdb.connect(str(copy)) as db:
        for table in ("marks", "ledger"):
            db.execute(f"update _lockstitch.{table} set connection = ? where connection = ?", [after, before])
    return copy


@contextmanager
def _writing(home: Path) -> Generator[Any]:
    from lockstitch.control.server import Settings, open_server

    server = open_server(Settings(home))
    try:
        with server.write() as db:
            yield db
    finally:
        server.store.close()


def _now() -> datetime:
    return datetime.now(UTC)
