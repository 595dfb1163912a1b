"""Connection checks (`spec/connect-api.md` section 9): begun by a change, carried out by a worker."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from lockstitch.control.refusals import not_found
from lockstitch.control.store.database import Row
from lockstitch.control.store.tables import checks
from lockstitch.control.times import told


def start(db: sa.Connection, account_id: int, connection_id: int, now: datetime) -> str:
    """Ask for a check; return its name. Whoever dispatches work finds it in the store.

    One that waits already is the one to come: it will know the present properties. So a client that changes a
    connection again and again leaves no queue of checks behind.
    """
    waiting = (checks.c.connection_id == connection_id, checks.c.begun_at.is_(None), checks.c.completion_time.is_(None))
    # Whoever begins it right now waits for our change, or we see that it has begun.
    found = db.execute(sa.select(checks.c.name).where(*waiting).with_for_update()).scalar()
    if found is not None:
        return found
    name = f"{account_id}.{connection_id}.check.{uuid.uuid1()}"
    db.execute(sa.insert(checks).values(name=name, connection_id=connection_id, start_time=now))
    return name


def waiting(db: sa.Connection) -> Sequence[Row]:
    """Return name and attempt of the checks that have not ended."""
    return db.execute(sa.select(checks.c.name, checks.c.attempt).where(checks.c.completion_time.is_(None))).all()


def begin(db: sa.Connection, name: str, now: datetime) -> Row | None:
    """Note that a check begins, before its connection is read; return connection_id and attempt, or None at its end."""
    begun = sa.update(checks).where(checks.c.name == name, checks.c.completion_time.is_(None)).values(begun_at=now)
    return db.execute(begun.returning(checks.c.connection_id, checks.c.attempt)).first()


def is_outdated(db: sa.Connection, name: str) -> bool:
    """Tell whether a check of the same connection has begun after this one, so with newer properties."""
    this, later = checks.alias("this"), checks.alias("later")
    newer = sa.select(later.c.name).where(
        this.c.name == name, later.c.connection_id == this.c.connection_id, later.c.begun_at > this.c.begun_at
    )
    return db.execute(sa.select(newer.exists())).scalar_one()


def ask_again(db: sa.Connection, name: str, attempt: int) -> None:
    """Have a check that was given up at this attempt carried out anew; asking twice is asking once."""
    given_up = (checks.c.name == name, checks.c.attempt == attempt, checks.c.completion_time.is_(None))
    db.execute(sa.update(checks).where(*given_up).values(attempt=attempt + 1, begun_at=None))


def clean(db: sa.Connection, before: datetime) -> int:
    """Delete checks that ended before then, but each connection's newest; return how many."""
    later = checks.alias("later")
    outdated = sa.exists().where(
        later.c.connection_id == checks.c.connection_id, later.c.start_time > checks.c.start_time
    )
    return db.execute(sa.delete(checks).where(checks.c.completion_time < before, outdated)).rowcount


def finish(
    db: sa.Connection, name: str, *, check: int | None, discovery: int | None, message: str | None, now: datetime
) -> bool:
    """Write down how a check ended, unless that has been done; exit statuses are 0, 1 or None for not reached."""
    values = {
        "completion_time": now,
        "check_exit_status": check,
        "discovery_exit_status": discovery,
        "message": message,
    }
    ended = sa.update(checks).where(checks.c.name == name, checks.c.completion_time.is_(None)).values(values)
    return db.execute(ended).rowcount == 1


def last(db: sa.Connection, connection_id: int) -> dict[str, Any]:
    """Return the newest check of a connection as section 9's object."""
    query = sa.select(checks).where(checks.c.connection_id == connection_id)
    row = db.execute(query.order_by(checks.c.start_time.desc(), checks.c.name.desc()).limit(1)).first()
    if row is None:
        raise not_found(f"no connection check of {connection_id} yet")
    failed = row.message is not None or any((row.check_exit_status, row.discovery_exit_status))
    done = row.completion_time is not None
    return {
        "target_exit_status": None,
        "tap_error_message": None,
        "check_exit_status": row.check_exit_status,
        "name": row.name,
        "start_time": told(row.start_time),
        "mode": "check",
        "tap_exit_status": None,
        "target_error_message": None,
        "discovery_exit_status": row.discovery_exit_status,
        "status": ("failed" if failed else "succeeded") if done else "running",
        "completion_time": told(row.completion_time),
        "error": failed,
        "discovery_error_message": row.message,
    }
