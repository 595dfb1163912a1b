"""Replication jobs, their logs and what they loaded, as stored and as the API tells them (sections 11 to 13)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from lockstitch.control import connections, sources
from lockstitch.control.connections import Row
from lockstitch.control.refusals import typed
from lockstitch.control.store.database import Store
from lockstitch.control.store.tables import connections as connection_table
from lockstitch.control.store.tables import loads, run_log, runs
from lockstitch.control.times import told
from lockstitch.core.loads import LedgerRow

#: How long reports and logs are shown and kept.
KEPT = timedelta(days=60)
PAGE = 100

TERMINATED = "Terminated"
TIMED_OUT = (
    "The process was terminated. Most often this occurs because the job has exceeded its allotted runtime. The next "
    "job will run based on the integration's schedule."
)


# --- starting and stopping --------------------------------------------------------------------------------------------


def start(db: sa.Connection, insert_new: Any, account_id: int, source_id: int, now: datetime) -> dict[str, Any]:
    """Ask for a run by hand; return section 11's answer. A paused source stays paused."""
    row = _source(db, account_id, source_id)
    if not _can_run(row):
        raise typed("generic", f"Could not create job for client-id: {account_id}; connection-id: {source_id}")
    name = begin(db, insert_new, row, now)
    if name is None:
        text = f"Did not create job for client-id: {account_id}; connection-id: {source_id} because one already exists"
        return {"error": {"type": "already_running", "message": text}}
    return {"job_name": name}


def begin(db: sa.Connection, insert_new: Any, source: Row, now: datetime, tick: datetime | None = None) -> str | None:
    """Write a run down, for whoever dispatches work; return its name, or None where the source has one already."""
    name = f"{source.account_id}.{source.id}.sync.{_job_id(source, tick)}"
    values = {
        "name": name,
        "account_id": source.account_id,
        "source_id": source.id,
        "active_source_id": source.id,
        "tick": tick,
        "created_at": now,
    }
    # Not by rowcount, which PostgreSQL's driver forgets after an INSERT.
    return db.execute(insert_new(runs).values(values).returning(runs.c.name)).scalar()


def _job_id(source: Row, tick: datetime | None) -> uuid.UUID:
    """A tick's run has the same name on every machine and after every restart, so that it can only exist once."""
    if tick is None:
        return uuid.uuid1()
    return uuid.uuid5(uuid.UUID(source.mark_id), f"tick {tick.isoformat()}")


def _can_run(row: Row) -> bool:
    if sources.is_pushed(row.type) or row.destination_id is None:
        return False
    return connections.card_of(row).step == "fully_configured"


def stop(db: sa.Connection, account_id: int, source_id: int, now: datetime) -> None:
    """Ask the source's run, if there is one, to stop reading; what it has read is still loaded."""
    _source(db, account_id, source_id)
    db.execute(
        sa.update(runs)
        .where(runs.c.active_source_id == source_id, runs.c.stop_requested_at.is_(None))
        .values(stop_requested_at=now)
    )


def _source(db: sa.Connection, account_id: int, source_id: int) -> Row:
    row = connections.one(db, account_id, "source", source_id)
    if row is None:
        raise typed("invalid_source", f"Unable to locate source({source_id}) for client ({account_id})")
    if row.deleted_at is not None:
        raise typed("invalid_source", "Integration is deleted.")
    return row


# --- what a worker writes down ----------------------------------------------------------------------------------------


def waiting(db: sa.Connection) -> Sequence[Row]:
    """Return name, attempt and source_id of all runs that have not ended, the oldest first."""
    query = sa.select(runs.c.name, runs.c.attempt, runs.c.source_id)
    # Not "is not null": SQLite finds these few by an index only as a range.
    return db.execute(query.where(runs.c.active_source_id > 0).order_by(runs.c.created_at)).all()


def take(db: sa.Connection, name: str, owner: str, now: datetime) -> Row | None:
    """Make a run this owner's; None where it has ended. What the owner before writes of it from now on is void.

    Each taking needs an owner's name of its own: a worker that was taken for dead may be handed its own run.
    """
    query = sa.select(runs).where(runs.c.name == name, runs.c.completion_time.is_(None))
    row = db.execute(query.with_for_update()).first()
    if row is None:
        return None
    start_time = row.start_time or now
    db.execute(sa.update(runs).where(runs.c.name == name).values(worker=owner, start_time=start_time))
    if row.tick is None:
        # A start by hand moves the grid of a plain interval (section 8.3); a tick has moved it when it fired.
        moved = sa.update(connection_table).where(connection_table.c.id == row.source_id)
        db.execute(moved.values(last_start_at=start_time))
    return row


def failed_since(db: sa.Connection, source_id: int, moment: datetime) -> bool:
    """Tell whether a run of the source has failed since then."""
    query = sa.select(runs.c.name).where(runs.c.source_id == source_id, runs.c.completion_time > moment)
    return db.execute(query.where(runs.c.verdict.is_not(None)).limit(1)).first() is not None


def is_owned(db: sa.Connection, name: str, owner: str) -> bool:
    """Tell whether a run is still this owner's, and keep it so until the transaction ends."""
    return db.execute(sa.select(runs.c.name).where(*_owned(name, owner)).with_for_update()).first() is not None


def _owned(name: str, owner: str) -> tuple[Any, ...]:
    return runs.c.name == name, runs.c.worker == owner, runs.c.completion_time.is_(None)


#: Why a run is not to go on: it is another owner's, someone asked for its end, or one of its ends was deleted.
Halt = Literal["lost", "stopped", "deleted"]


def halt(db: sa.Connection, name: str, owner: str) -> Halt | None:
    """Tell whether a run is to end, and why."""
    source, destination = connection_table.alias("source"), connection_table.alias("destination")
    deleted = sa.or_(source.c.deleted_at.is_not(None), destination.c.deleted_at.is_not(None))
    query = (
        sa.select(runs.c.stop_requested_at, deleted.label("deleted"))
        .join(source, source.c.id == runs.c.source_id)
        .outerjoin(destination, destination.c.id == source.c.destination_id)
    )
    row = db.execute(query.where(*_owned(name, owner))).first()
    if row is None:
        return "lost"
    if row.stop_requested_at is not None:
        return "stopped"
    return "deleted" if row.deleted else None


def hand_over(db: sa.Connection, name: str, owner: str) -> None:
    """Give up a run of this owner's that is not at its end, so that another one goes on with it."""
    db.execute(sa.update(runs).where(*_owned(name, owner)).values(worker=None, attempt=runs.c.attempt + 1))


def ask_again(db: sa.Connection, name: str, attempt: int) -> None:
    """Have a run that was given up at this attempt carried out anew; asking twice is asking once."""
    given_up = (runs.c.name == name, runs.c.attempt == attempt, runs.c.active_source_id > 0)
    db.execute(sa.update(runs).where(*given_up).values(attempt=attempt + 1))


def append_log(db: sa.Connection, name: str, lines: Sequence[str]) -> None:
    last = db.execute(sa.select(sa.func.max(run_log.c.piece)).where(run_log.c.run_name == name)).scalar()
    piece = 0 if last is None else last + 1
    db.execute(sa.insert(run_log).values(run_name=name, piece=piece, text="".join(f"{line}\n" for line in lines)))


def log_pieces(db: sa.Connection, name: str) -> Sequence[str]:
    """Return the pieces of a run's log in their order."""
    query = sa.select(run_log.c.text).where(run_log.c.run_name == name).order_by(run_log.c.piece)
    return list(db.execute(query).scalars())


def note_loaded(db: sa.Connection, store: Store, run: Row, tables: Sequence[LedgerRow], now: datetime) -> None:
    """Take note of a load that has landed; tables' names are what the API calls streams here."""
    for table in tables:
        values = {
            "account_id": run.account_id,
            "source_id": run.source_id,
            "stream_name": table.table,
            "last_batch_loaded_at": now,
            "attempted_at": now,
            "error_state": None,
            "rows": table.inserted + table.updated,
            "rejected": table.rejected,
        }
        db.execute(store.upsert(loads, values, ("source_id", "stream_name")))
    read = sum(table.read for table in tables)
    db.execute(sa.update(runs).where(runs.c.name == run.name).values(rows=runs.c.rows + read))


def note_not_loaded(
    db: sa.Connection, store: Store, run: Row, streams: Sequence[str], message: str, now: datetime
) -> None:
    """Take note of a load that failed, for the report of section 13."""
    state = _error_state(message)
    for name in streams:
        values = {
            "account_id": run.account_id,
            "source_id": run.source_id,
            "stream_name": name,
            "last_batch_loaded_at": None,
            "attempted_at": now,
            "error_state": state,
        }
        db.execute(store.upsert(loads, values, ("source_id", "stream_name")))


def _error_state(message: str) -> dict[str, Any]:
    return {
        "notification_data": {
            "message": message,
            "exception_message": message,
            "warehouse_error_code": None,
            "error": "LOADER_WAREHOUSE_ERROR",
            "new_column": None,
            "status": "ERROR",
            "warehouse_sql_state": None,
            "action": "load",
            "warehouse_message": message,
            "column": None,
        },
        "exception_chain": [{"class": "LockstitchError", "message": message, "chain_sequence_num": 0}],
    }


def finish(db: sa.Connection, name: str, owner: str, outcome: Mapping[str, Any], now: datetime) -> bool:
    """Write down how a run ended, if it is still this owner's."""
    ended = sa.update(runs).where(*_owned(name, owner))
    return db.execute(ended.values({**outcome, "completion_time": now, "active_source_id": None})).rowcount == 1


# --- reports ----------------------------------------------------------------------------------------------------------


def extractions(db: sa.Connection, account_id: int, page: int, now: datetime) -> dict[str, Any]:
    """Return one page of section 12's list: the last completed extraction of each source."""
    newest = (
        sa.select(runs.c.name)
        .where(runs.c.source_id == connection_table.c.id, runs.c.completion_time > now - KEPT)
        .order_by(runs.c.completion_time.desc())
        .limit(1)
        .scalar_subquery()
    )
    own = (connection_table.c.account_id == account_id, connection_table.c.kind == "source")
    # The costly search, once a source; only the page's own runs are read as a whole.
    found = db.execute(sa.select(newest).where(*own).order_by(connection_table.c.id)).scalars()
    names = [name for name in found if name is not None]
    query = sa.select(runs, connection_table.c.type).join(connection_table, connection_table.c.id == runs.c.source_id)
    wanted = query.where(runs.c.name.in_(names[(page - 1) * PAGE : page * PAGE])).order_by(runs.c.source_id)
    return _envelope(
        [_extraction(row) for row in db.execute(wanted)], page, len(names), f"/v4/{account_id}/extractions"
    )


def _extraction(row: Row) -> dict[str, Any]:
    tap = "tap-" + row.type.rpartition(".")[2]
    return {
        "target_exit_status": row.target_exit_status,
        "job_name": row.name,
        "start_time": told(row.start_time or row.created_at),
        "stitch_client_id": row.account_id,
        "tap_exit_status": row.tap_exit_status,
        "source_type": tap,
        "tap_name": tap,
        "target_description": row.target_description,
        "discovery_exit_status": row.discovery_exit_status,
        "discovery_description": row.discovery_description,
        "tap_description": row.tap_description,
        "completion_time": told(row.completion_time),
        "source_id": row.source_id,
    }


def loads_page(db: sa.Connection, account_id: int, page: int, now: datetime) -> dict[str, Any]:
    """Return one page of section 13's list: the latest load attempt of each table."""
    query = (
        sa.select(loads, connection_table.c.name)
        .join(connection_table, connection_table.c.id == loads.c.source_id)
        .where(loads.c.account_id == account_id, loads.c.attempted_at > now - KEPT)
        .order_by(loads.c.stream_name, connection_table.c.name, loads.c.source_id)
    )
    total = db.execute(query.order_by(None).with_only_columns(sa.func.count())).scalar_one()
    first = (page - 1) * PAGE
    rows = db.execute(query.limit(PAGE).offset(first)) if first < total else ()
    return _envelope([_load(row) for row in rows], page, total, f"/v4/{account_id}/loads")


def _load(row: Row) -> dict[str, Any]:
    return {
        "stitch_client_id": row.account_id,
        "source_name": row.name,
        "stream_name": row.stream_name,
        "last_batch_loaded_at": told(row.last_batch_loaded_at),
        "error_state": row.error_state,
    }


def _envelope(data: Sequence[Any], page: int, total: int, path: str) -> dict[str, Any]:
    """Return a page as section 1.6 shows it."""
    pages = max(1, -(-total // PAGE))
    links: dict[str, str] = {}
    if total > PAGE and page < pages:
        links["next"] = f"{path}?page={page + 1}"
    if total > PAGE and page > 1:
        links["previous"] = f"{path}?page={min(page - 1, pages)}"
    return {"data": data, "page": page, "total": total, "links": links}


def is_run_of(db: sa.Connection, account_id: int, name: str) -> bool:
    if "\0" in name:
        return False
    query = sa.select(runs.c.name).where(runs.c.name == name, runs.c.account_id == account_id)
    return db.execute(query).first() is not None


def clean(db: sa.Connection, now: datetime) -> int:
    """Delete runs and logs that are older than what is shown; return how many runs."""
    return db.execute(sa.delete(runs).where(runs.c.completion_time < now - KEPT)).rowcount
