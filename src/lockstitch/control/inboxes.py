"""Where pushed records wait: an inbox for each Import API source, in the server's home or in a store that is shared."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from lockstitch.control.store.database import Store
from lockstitch.control.store.tables import connections, runs
from lockstitch.control.store.tables import inbox as entries
from lockstitch.control.store.tables import inbox_state as states
from lockstitch.core.errors import TransientError
from lockstitch.core.model import Json
from lockstitch.toolkit.inbox.inbox import Full, Inbox

log = logging.getLogger(__name__)

#: What one source's inbox may hold, in bytes, and how long it goes on taking more while nothing of it is loaded.
LARGEST = 10 * 2**30
OLDEST = timedelta(days=30)


class Inboxes(Protocol):
    """The inboxes of all sources. May be used by several threads."""

    def append(self, source_id: int, payloads: list[bytes]) -> bool:
        """Keep the entries of one accepted request; they are durable when this returns, all or none.

        Tells whether nothing waited before. Raises Full, and TransientError where the disk or the database fails.
        """
        ...

    def unread(self) -> list[int]:
        """Return the sources whose inboxes hold something that is not loaded."""
        ...

    def properties(self, source_id: int) -> dict[str, Json]:
        """Return what the source's connector must know."""
        ...

    def kept(self) -> set[int]:
        """Return the sources that have an inbox, be it an empty one."""
        ...

    def remove(self, source_ids: Iterable[int]) -> None:
        """Remove inboxes with all that waits in them."""
        ...

    def close(self) -> None: ...


def open_inboxes(store: Store, home: Path) -> Inboxes:
    """Return the inboxes of a server: where several machines share the store, they lie in it."""
    return SharedInboxes(store) if store.is_shared else FolderInboxes(home)


def warn_of_forgotten(store: Store, home: Path) -> None:
    """Tell of records in a folder that no server reads any more, as the store has become PostgreSQL."""
    forgotten = FolderInboxes(home).unread() if store.is_shared else []
    if forgotten:
        log.warning(
            "%s/inbox holds records that were pushed to the sources %s and are not loaded. With PostgreSQL no server"
            " reads that folder: load them by a server without --database-url, or push them again",
            home,
            ", ".join(map(str, forgotten)),
        )


def remove_deleted(inboxes: Inboxes, store: Store) -> None:
    """Remove the inboxes of deleted sources, unless a run still reads them."""
    kept = inboxes.kept()
    busy = sa.select(runs.c.active_source_id).where(runs.c.active_source_id > 0)
    with store.read() as db:
        deleted = db.scalars(
            sa.select(connections.c.id).where(connections.c.deleted_at.is_not(None), connections.c.id.not_in(busy))
        ).all()
    inboxes.remove([source_id for source_id in deleted if source_id in kept])


class FolderInboxes:
    """Inboxes below the home folder, each opened when first needed; one process writes."""

    def __init__(self, home: Path) -> None:
        self._root = home / "inbox"
        self._open: dict[int, Inbox] = {}
        self._stirred = self.kept()
        self._lock = threading.Lock()

    def append(self, source_id: int, payloads: list[bytes]) -> bool:
        with self._lock:
            if source_id not in self._open:
                self._open[source_id] = Inbox(self._folder(source_id), LARGEST, OLDEST.total_seconds())
            inbox = self._open[source_id]
        inbox.append(*payloads)
        is_news = source_id not in self._stirred
        self._stirred.add(source_id)
        return is_news

    def unread(self) -> list[int]:
        found: list[int] = []
        for source_id in sorted(self._stirred):
            # Taken off first, so that what is pushed meanwhile puts it back.
            self._stirred.discard(source_id)
            inbox = Inbox(self._folder(source_id))
            if inbox.size(inbox.committed()) > 0:
                self._stirred.add(source_id)
                found.append(source_id)
        return found

    def properties(self, source_id: int) -> dict[str, Json]:
        return {"inbox": str(self._folder(source_id))}

    def kept(self) -> set[int]:
        return {int(one.name) for one in self._root.glob("*") if one.name.isdecimal()}

    def remove(self, source_ids: Iterable[int]) -> None:
        for source_id in source_ids:
            with self._lock:
                inbox = self._open.pop(source_id, None)
            if inbox is not None:
                inbox.close()
            shutil.rmtree(self._folder(source_id))

    def close(self) -> None:
        for inbox in self._open.values():
            inbox.close()

    def _folder(self, source_id: int) -> Path:
        return self._root / str(source_id)


#: One statement, so that the state's row is locked only once all payloads have come, and no longer than its commit.
#: Positions begin at the time in nanoseconds: none is given twice, also where the store was brought back from a copy.
_APPEND = sa.text("""
    WITH state AS (
        UPDATE inbox_state SET
            last_position = greatest(last_position, (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint)
                + :count,
            bytes = bytes + :bytes
        WHERE source_id = :source_id AND bytes + :bytes <= :largest AND coalesce((
            SELECT created_at FROM inbox WHERE source_id = :source_id ORDER BY position LIMIT 1
        ) >= clock_timestamp() - cast(:oldest AS interval), true)
        RETURNING last_position, bytes
    )
    INSERT INTO inbox (source_id, position, payload, size, created_at)
    SELECT :source_id, last_position - :count + given.number, payload, octet_length(payload), clock_timestamp()
    FROM state, unnest(cast(:payloads AS bytea[])) WITH ORDINALITY AS given (payload, number)
    RETURNING (SELECT bytes FROM state)
""")


class SharedInboxes:
    """Inboxes in a PostgreSQL control store: any machine may take a push in, and any may load it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def append(self, source_id: int, payloads: list[bytes]) -> bool:
        size = sum(map(len, payloads))
        try:
            # Each statement commits by itself: no lock waits for a machine that has vanished before its commit.
            with self._store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
                held = self._append(db, source_id, payloads, size)
                if held is None:
                    db.execute(self._store.insert_new(states).values(source_id=source_id))
                    held = self._append(db, source_id, payloads, size)
        except (InterfaceError, InternalError, OperationalError, NoConnection) as error:
            # The driver's own text: SQLAlchemy's would show what was pushed.
            told = getattr(error, "orig", None) or error
            raise TransientError(f"cannot write to the inbox of source {source_id}: {told}") from error
        if held is None:
            raise Full(
                f"the inbox of source {source_id} takes no {size} bytes more: it holds at most {LARGEST} bytes, and"
                f" takes nothing while something waits for more than {OLDEST.days} days",
                hint="look why its source does not load: the last run's errors tell",
            )
        return held == size

    def _append(self, db: sa.Connection, source_id: int, payloads: list[bytes], size: int) -> int | None:
        """Return what the inbox holds now, in bytes; None where it has no state yet or takes nothing more."""
        values = {
            "source_id": source_id,
            "count": len(payloads),
            "bytes": size,
            "payloads": payloads,
            "largest": LARGEST,
            "oldest": OLDEST,
        }
        return db.execute(_APPEND, values).scalar()

    def unread(self) -> list[int]:
        with self._store.read() as db:
            return list(
                db.scalars(sa.select(states.c.source_id).where(states.c.bytes > 0).order_by(states.c.source_id))
            )

    def properties(self, source_id: int) -> dict[str, Json]:
        from psycopg.conninfo import make_conninfo

        engine = self._store.engine
        # In the driver's own form: addresses with several hosts, say, are written otherwise in SQLAlchemy's.
        _, values = engine.dialect.create_connect_args(engine.url)
        values.pop("context", None)  # SQLAlchemy's own
        return {"database": make_conninfo(**values), "source_id": source_id}

    def kept(self) -> set[int]:
        with self._store.read() as db:
            return set(db.scalars(sa.select(states.c.source_id)))

    def remove(self, source_ids: Iterable[int]) -> None:
        with self._store.begin() as db:
            db.execute(sa.delete(entries).where(entries.c.source_id.in_(source_ids)))
            db.execute(sa.delete(states).where(states.c.source_id.in_(source_ids)))

    def close(self) -> None:
        """The store is closed by whoever has opened it."""
