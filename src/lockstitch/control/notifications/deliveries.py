"""The outbox: what is to be sent, written in the transaction that is its cause, until it was delivered or given up.

A delivery that is under way is due again after a while: if its process dies, another one sends it. So a message may
arrive twice, which its number tells, but is never forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from lockstitch.control.store.database import Store
from lockstitch.control.store.tables import connections, deliveries, notifications

Kind = Literal["hook", "mail"]

#: Seconds from a failed attempt to the next one; after the last of them a delivery is given up.
DELAYS: Mapping[Kind, tuple[int, ...]] = {
    "hook": (10, 30, 90, 270, 810),
    "mail": (60, 300, 900, 3600, 14400),
}
#: How long an attempt may be under way before it is taken for lost; any is over long before.
LEASE = timedelta(minutes=10)
#: A mail that nobody could send for so long would only puzzle its readers.
STALE = timedelta(days=1)
KEPT = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Claim:
    """One attempt at a delivery, the `attempt`th. Only its holder writes down how it went."""

    id: int
    kind: Kind
    account_id: int
    hook_id: int | None
    notification_id: int | None
    content: Any
    attempt: int


def add_hook_call(db: sa.Connection, account_id: int, hook_id: int, content: Mapping[str, Any], now: datetime) -> None:
    values = {
        "account_id": account_id,
        "kind": "hook",
        "hook_id": hook_id,
        "content": dict(content),
        "created_at": now,
        "due_at": now,
    }
    db.execute(sa.insert(deliveries).values(values))


def add_mail(db: sa.Connection, account_id: int, notification_id: int, now: datetime, *, due_at: datetime) -> None:
    values = {
        "account_id": account_id,
        "kind": "mail",
        "notification_id": notification_id,
        "created_at": now,
        "due_at": due_at,
    }
    db.execute(sa.insert(deliveries).values(values))


def take_back_mail(db: sa.Connection, notification_id: int, now: datetime) -> None:
    """Let a notification's mail stay unsent, if it still is."""
    unsent = (deliveries.c.notification_id == notification_id, deliveries.c.due_at.is_not(None))
    db.execute(sa.update(deliveries).where(*unsent).values(due_at=None, given_up_at=now, last_error="no longer true"))


def claim(store: Store, kinds: Collection[Kind], busy_hooks: Collection[int], now: datetime) -> Claim | None:
    """Take the delivery that is due the longest, for this caller alone; None where none is due."""
    due = sa.select(deliveries).where(
        deliveries.c.due_at <= now,
        deliveries.c.kind.in_(kinds),
        sa.or_(deliveries.c.hook_id.is_(None), deliveries.c.hook_id.not_in(busy_hooks)),
    )
    with store.read() as db:
        rows = db.execute(due.order_by(deliveries.c.due_at, deliveries.c.id).limit(10)).all()
    for row in rows:
        # Whoever counts the attempt has it: another process that read the same row changes none.
        taken = (
            sa.update(deliveries)
            .where(deliveries.c.id == row.id, deliveries.c.attempts == row.attempts, deliveries.c.due_at <= now)
            .values(attempts=row.attempts + 1, due_at=now + LEASE)
        )
        with store.begin() as db:
            if db.execute(taken).rowcount == 1:
                return Claim(
                    row.id,
                    row.kind,
                    row.account_id,
                    row.hook_id,
                    row.notification_id,
                    row.content,
                    row.attempts + 1,
                )
    return None


def is_last(claimed: Claim) -> bool:
    """Tell whether a delivery is given up if this attempt fails."""
    return claimed.attempt > len(DELAYS[claimed.kind])


def is_spent(claimed: Claim) -> bool:
    """Tell whether all attempts were made already: the process of the last one died."""
    return claimed.attempt > len(DELAYS[claimed.kind]) + 1


def delivered(db: sa.Connection, claimed: Claim, now: datetime, note: str | None) -> bool:
    return _note(db, claimed, due_at=None, delivered_at=now, last_error=note)


def failed(db: sa.Connection, claimed: Claim, error: str, now: datetime) -> bool:
    """Write down that an attempt that was not the last one failed."""
    wait = timedelta(seconds=DELAYS[claimed.kind][claimed.attempt - 1])
    return _note(db, claimed, due_at=now + wait, last_error=error)


def given_up(db: sa.Connection, claimed: Claim, error: str, now: datetime) -> bool:
    return _note(db, claimed, due_at=None, given_up_at=now, last_error=error)


def _note(db: sa.Connection, claimed: Claim, **values: Any) -> bool:
    """Write down how an attempt went; False where it took so long that another one has begun."""
    own = (
        deliveries.c.id == claimed.id,
        deliveries.c.attempts == claimed.attempt,
        deliveries.c.due_at.is_not(None),
    )
    return db.execute(sa.update(deliveries).where(*own).values(values)).rowcount == 1


def clean(db: sa.Connection, now: datetime) -> None:
    """Give up mails that are overdue for long, end the trouble of what is deleted, and delete what is over for long."""
    gone = sa.select(connections.c.id).where(connections.c.deleted_at.is_not(None))
    pointless = (notifications.c.open_topic.is_not(None), notifications.c.connection_id.in_(gone))
    db.execute(sa.update(notifications).where(*pointless).values(open_topic=None, resolved_at=now))
    stale = (deliveries.c.kind == "mail", deliveries.c.due_at < now - STALE)
    db.execute(sa.update(deliveries).where(*stale).values(due_at=None, given_up_at=now, last_error="never sent"))
    over = (deliveries.c.due_at.is_(None), deliveries.c.created_at < now - KEPT)
    db.execute(sa.delete(deliveries).where(*over))
    db.execute(sa.delete(notifications).where(notifications.c.resolved_at < now - KEPT))
