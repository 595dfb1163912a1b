"""The clock of the server: fires schedules, hands written-down work to the workers, and looks after those that died."""

from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from lockstitch.control import checks, connections, runs, sources
from lockstitch.control.durable import Durable
from lockstitch.control.inboxes import Inboxes
from lockstitch.control.store.database import Store
from lockstitch.control.store.tables import connections as table
from lockstitch.control.store.tables import workers
from lockstitch.control.work import now

log = logging.getLogger(__name__)

#: How often the clock is looked at, in seconds; a wake-up comes sooner.
TICK = 1.0
HEARTBEAT = 10.0
#: A worker that was silent for so long is taken for dead.
SILENCE = timedelta(seconds=60)
_CLEANING = 3600.0
#: How often, in seconds, a run may load what was pushed, and how long it waits after one that failed.
INBOX_EVERY = 5.0
INBOX_RETRY = timedelta(seconds=60)


@dataclass(slots=True)
class Dispatcher:
    """A thread of its own. Any number of processes may run one: what each of them does is safe to do twice."""

    store: Store
    durable: Durable
    executor: str
    inboxes: Inboxes
    _wake: threading.Event = field(default_factory=threading.Event)
    _leave: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _asked: set[str] = field(default_factory=set[str])
    _due: dict[str, float] = field(default_factory=dict[str, float])

    def start(self, *, alone: bool) -> None:
        """Take note that this worker lives, and begin. `alone`: whoever else is on the list cannot be alive."""
        if alone:
            with self.store.begin() as db:
                db.execute(sa.delete(workers))
        self._beat(now())
        self._thread = threading.Thread(target=self._work, name="dispatcher", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look for work at once: something was written down."""
        self._wake.set()

    def stop(self) -> None:
        self._leave.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def leave(self) -> None:
        """Take this worker off the list, so that nobody waits for its silence."""
        with self.store.begin() as db:
            db.execute(sa.delete(workers).where(workers.c.executor_id == self.executor))

    def _work(self) -> None:
        while not self._leave.is_set():
            try:
                self.turn(now())
            except Exception:
                log.exception("the dispatcher failed; it goes on")
            self._wake.wait(TICK)
            self._wake.clear()

    def turn(self, moment: datetime) -> None:
        """Do once what is due at this moment."""
        self._fire(moment)
        self._take_in(moment)
        self._hand_out()
        if self._is_due("heartbeat", HEARTBEAT):
            self._beat(moment)
            self._take_over(moment)
        if self._is_due("cleaning", _CLEANING):
            with self.store.begin() as db:
                runs.clean(db, moment)

    def _is_due(self, what: str, every: float) -> bool:
        clock = time.monotonic()
        if clock < self._due.get(what, 0.0):
            return False
        self._due[what] = clock + every
        return True

    # --- schedules -------------------------------------------------------------------------------------------------

    def _fire(self, moment: datetime) -> None:
        with self.store.read() as db:
            due = db.execute(sa.select(table.c.id).where(table.c.next_fire_at <= moment)).scalars().all()
        for source_id in due:
            self._fire_one(source_id, moment)

    def _fire_one(self, source_id: int, moment: datetime) -> None:
        """Begin the run of one tick, on one machine alone: whoever moves the next fire time on has fired."""
        with self.store.begin() as db:
            row = db.execute(sa.select(table).where(table.c.id == source_id).with_for_update()).first()
            if row is None or row.next_fire_at is None or row.next_fire_at > moment:
                return
            tick = row.next_fire_at
            db.execute(sa.update(table).where(table.c.id == source_id).values(last_start_at=tick))
            row = db.execute(sa.select(table).where(table.c.id == source_id)).one()
            sources.reschedule(db, row, moment, fired=True)
            # Where one is still under way, this tick is skipped without a word.
            if not connections.is_inactive(row):
                runs.begin(db, self.store.insert_new, row, moment, tick)

    # --- what was pushed --------------------------------------------------------------------------------------------

    def _take_in(self, moment: datetime) -> None:
        """Begin a run for each inbox that holds something, not oftener than is good for the destination."""
        for source_id in self.inboxes.unread():
            if self._is_due(f"inbox {source_id}", INBOX_EVERY):
                with self.store.begin() as db:
                    row = db.execute(sa.select(table).where(table.c.id == source_id)).first()
                    # A paused source takes nothing more in, but what it has accepted is still loaded.
                    if row is None or row.deleted_at is not None or row.destination_id is None:
                        continue
                    if not runs.failed_since(db, source_id, moment - INBOX_RETRY):
                        runs.begin(db, self.store.insert_new, row, moment)

    # --- handing out -----------------------------------------------------------------------------------------------

    def _hand_out(self) -> None:
        """Ask for all work that is written down. Asking again is harmless, so what was asked is only kept in memory."""
        with self.store.read() as db:
            waiting_runs, waiting_checks = runs.waiting(db), checks.waiting(db)
        wanted = {f"{row.name}#{row.attempt}": row.source_id for row in waiting_runs}
        for name in wanted.keys() - self._asked:
            self.durable.enqueue_run(name, wanted[name])
        for name in set(waiting_checks) - self._asked:
            self.durable.enqueue_check(name)
        self._asked = wanted.keys() | set(waiting_checks)

    # --- the living and the dead -----------------------------------------------------------------------------------

    def _beat(self, moment: datetime) -> None:
        values = {"executor_id": self.executor, "host": socket.gethostname(), "heartbeat_at": moment}
        with self.store.begin() as db:
            beat = sa.update(workers).where(workers.c.executor_id == self.executor).values(values)
            if db.execute(beat).rowcount == 0:
                db.execute(self.store.insert_new(workers).values({**values, "started_at": moment}))

    def _take_over(self, moment: datetime) -> None:
        """Hand over the work of workers that are silent, again and again until none is left."""
        with self.store.begin() as db:
            db.execute(sa.delete(workers).where(workers.c.heartbeat_at < moment - SILENCE))
            alive = set(db.execute(sa.select(workers.c.executor_id)).scalars())
        for executor in self.durable.executors() - alive:
            count = self.durable.take_over(executor)
            log.warning("worker %s is gone: %d jobs handed over", executor, count)
