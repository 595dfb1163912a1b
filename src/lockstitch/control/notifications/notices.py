"""Raises notifications, and resolves them when their trouble is over (`spec/connect-api.md` section 15).

There is one notification per event and topic until it is resolved, and so there is one mail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from lockstitch.control.connections import Row
from lockstitch.control.notifications import deliveries
from lockstitch.control.notifications.events import EVENTS, Event, of_run
from lockstitch.control.store.database import Store
from lockstitch.control.store.tables import connections, notification_settings, notifications
from lockstitch.control.times import told

#: How much of an error's text is kept, in characters.
LONGEST_ERROR = 4000


@dataclass(frozen=True, slots=True)
class Subject:
    """What a notification is about: a source or destination, named as its user knows it, and a topic within it."""

    account_id: int
    connection_id: int
    name: str
    topic: str


def source_topic(source_id: int) -> str:
    return f"source {source_id}"


def after_run(db: sa.Connection, store: Store, source: Row, outcome: Mapping[str, Any], now: datetime) -> None:
    """Raise what a run's outcome calls for, and resolve what it shows to be over. `outcome`: as for `runs.finish`."""
    subject = Subject(source.account_id, source.id, source.display_name or source.name, source_topic(source.id))
    for event, error in of_run(outcome).items():
        if error is None:
            resolve(db, source.account_id, event, subject.topic, now)
        else:
            raise_(db, store, event, subject, error, now)


def raise_(db: sa.Connection, store: Store, event: Event, subject: Subject, error: str | None, now: datetime) -> None:
    """Raise a notification, with its mail after the event's delay. One that is open already only learns the error."""
    key = _open_topic(subject.account_id, event, subject.topic)
    error = error[:LONGEST_ERROR] if error is not None else None
    values = {
        "account_id": subject.account_id,
        "event": event.id,
        "open_topic": key,
        "connection_id": subject.connection_id,
        "subject": event.subject.format(name=subject.name),
        "text": event.advice.format(name=subject.name),
        "error": error,
        "raised_at": now,
    }
    made = db.execute(store.insert_new(notifications).values(values).returning(notifications.c.id)).scalar()
    if made is None:
        db.execute(sa.update(notifications).where(notifications.c.open_topic == key).values(error=error))
    else:
        deliveries.add_mail(db, subject.account_id, made, now, due_at=now + event.delay)


def resolve(db: sa.Connection, account_id: int, event: Event, topic: str, now: datetime) -> None:
    """Close a notification, if there is one open; its mail is taken back if it has not been sent."""
    closed = (
        sa.update(notifications)
        .where(notifications.c.open_topic == _open_topic(account_id, event, topic))
        .values(open_topic=None, resolved_at=now)
        .returning(notifications.c.id)
    )
    found = db.execute(closed).scalar()
    if found is not None:
        deliveries.take_back_mail(db, found, now)


def dismiss(db: sa.Connection, account_id: int, notification_id: int, now: datetime) -> bool:
    """Show a notification to nobody any more; while it is open, its trouble raises no other one."""
    own = (notifications.c.id == notification_id, notifications.c.account_id == account_id)
    found = db.execute(sa.update(notifications).where(*own).values(dismissed_at=now)).rowcount == 1
    if found:
        deliveries.take_back_mail(db, notification_id, now)
    return found


def shown(db: sa.Connection, account_id: int) -> Sequence[Mapping[str, Any]]:
    """Return an account's open notifications, the newest first, as the web app shows them."""
    query = (
        sa.select(notifications)
        .outerjoin(connections, connections.c.id == notifications.c.connection_id)
        .where(
            notifications.c.account_id == account_id,
            notifications.c.open_topic.is_not(None),
            notifications.c.dismissed_at.is_(None),
            connections.c.deleted_at.is_(None),
        )
        .order_by(notifications.c.raised_at.desc(), notifications.c.id.desc())
    )
    return [_told(row) for row in db.execute(query)]


def _told(row: Row) -> dict[str, Any]:
    event = EVENTS[row.event]
    return {
        "id": row.id,
        "event": event.id,
        "level": event.level,
        "category": event.category,
        "connection_id": row.connection_id,
        "subject": row.subject,
        "text": row.text,
        "error": row.error,
        "raised_at": told(row.raised_at),
    }


def _open_topic(account_id: int, event: Event, topic: str) -> str:
    return f"{account_id} {event.id} {topic}"


# --- what an account wants to be told by mail -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wishes:
    """`hides_errors`: mails never quote errors of other systems. `opted_out`: ids of events that send no mail."""

    hides_errors: bool = False
    opted_out: frozenset[str] = frozenset()

    def wants(self, event: Event) -> bool:
        return not (event.may_opt_out and event.id in self.opted_out)


def wishes_of(db: sa.Connection, account_id: int) -> Wishes:
    row = db.execute(sa.select(notification_settings).where(notification_settings.c.account_id == account_id)).first()
    return Wishes() if row is None else Wishes(row.hides_errors, frozenset(row.opted_out))


def keep_wishes(db: sa.Connection, store: Store, account_id: int, wishes: Wishes) -> None:
    values = {
        "account_id": account_id,
        "hides_errors": wishes.hides_errors,
        "opted_out": sorted(wishes.opted_out),
    }
    db.execute(store.upsert(notification_settings, values, ("account_id",)))
