"""The clock of the server: fires schedules, hands written-down work to the workers, and looks after those that died."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, OperationalError

from lockstitch.control import checks, connections, metrics, runs, sources
from lockstitch.control.durable import CHECKS, RUNS, Durable
from lockstitch.control.inboxes import Inboxes, remove_deleted
from lockstitch.control.store.database import Store
from lockstitch.control.store.tables import connections as table
from lockstitch.control.store.tables import workers
from lockstitch.control.work import now

log = logging.getLogger(__name__)

#: How often the clock is looked at, in seconds; a wake-up comes sooner.
TICK = 1.0
#: A worker that was silent for so many seconds is taken for dead.
SILENCE = 60.0
#: So often within that time a worker says that it lives.
_BEATS = 6
_CLEANING = 3600.0
#: How long it is kept who carried out a job that is over: long enough for a slow process not to ask for it again.
_REMEMBERED = timedelta(days=1)
#: Seconds until a source whose tick could not be fired is tried again.
_PAUSE = 60.0
_LONGEST_TURN = 30.0
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
    silence: float = SILENCE
    _wake: threading.Event = field(default_factory=threading.Event)
    _leave: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _asked: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    _due: dict[str, float] = field(default_factory=dict[str, float])
    _beat_at: float = 0.0
    _seen: Mapping[str, tuple[datetime, float]] = field(default_factory=dict[str, tuple[datetime, float]])

    def join(self, *, alone: bool) -> None:
        """Put this worker on the list of the living, before it takes work. `alone`: nobody else can be alive."""
        if alone:
            with self.store.begin() as db:
                db.execute(sa.delete(workers))
        self._beat(now())

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="dispatcher", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look for work at once: something was written down."""
        self._wake.set()

    def stop(self) -> None:
        self._leave.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_LONGEST_TURN)

    def leave(self) -> None:
        """Take this worker off the list, so that nobody waits for its silence."""
        _try(self._be_removed, now(), "leaving the list of workers")

    def _be_removed(self, _moment: datetime) -> None:
        with self.store.begin() as db:
            db.execute(sa.delete(workers).where(workers.c.executor_id == self.executor))

    def _work(self) -> None:
        while not self._leave.is_set():
            with metrics.turns.time():
                self.turn(now())
            self._wake.wait(TICK)
            self._wake.clear()

    def turn(self, moment: datetime) -> None:
        """Do once what is due at this moment. No duty keeps the others waiting by failing."""
        for duty in (self._look_after_workers, self._fire, self._take_in, self._hand_out, self._clean):
            if not self._leave.is_set():
                _try(duty, moment)

    def _is_due(self, what: str, every: float) -> bool:
        clock = time.monotonic()
        if clock < self._due.get(what, 0.0):
            return False
        self._due[what] = clock + every
        return True

    # --- schedules -------------------------------------------------------------------------------------------------

    def _fire(self, moment: datetime) -> None:
        with self.store.read() as db:
            due = db.execute(sa.select(table.c.id).where(table.c.next_fire_at <= moment).order_by(table.c.next_fire_at))
            source_ids = due.scalars().all()
        for source_id in source_ids:
            if time.monotonic() < self._due.get(f"source {source_id}", 0.0):
                continue
            self._keep_alive()
            if not _try(partial(self._fire_one, source_id), moment, f"the tick of source {source_id}"):
                self._is_due(f"source {source_id}", _PAUSE)

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

    # --- what was pushed -------------------------------------------------------------------------------------------

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

    def _hand_out(self, _moment: datetime) -> None:
        """Ask for all work that is written down. Asking again is harmless, so what was asked is only kept in memory."""
        with self.store.read() as db:
            open_runs, open_checks = runs.waiting(db), checks.waiting(db)
        wanted = {f"{row.name}#{row.attempt}": (RUNS, row.attempt) for row in open_runs}
        wanted |= {f"{row.name}#{row.attempt}": (CHECKS, row.attempt) for row in open_checks}
        self._asked = {job: asked for job, asked in self._asked.items() if job in wanted}
        for job, (kind, attempt) in wanted.items():
            if job not in self._asked:
                self._keep_alive()
                self.durable.enqueue(kind, job)
                self._asked[job] = (kind, attempt)

    def _mend(self) -> None:
        """Ask anew for work that is open although nobody carries it out any more, or ever knew of it."""
        over = self.durable.are_over(self._asked)
        for job in self._asked.keys() - over.keys():
            del self._asked[job]
        for job in [job for job, is_over in over.items() if is_over]:
            kind, attempt = self._asked[job]
            again = runs.ask_again if kind == RUNS else checks.ask_again
            with self.store.begin() as db:
                again(db, job.rpartition("#")[0], attempt)

    # --- the living and the dead -----------------------------------------------------------------------------------

    def _look_after_workers(self, moment: datetime) -> None:
        if self._is_due("workers", self.silence / _BEATS):
            self._beat(moment)
            self._take_over()
            self._mend()

    def _keep_alive(self) -> None:
        if time.monotonic() - self._beat_at > self.silence / _BEATS:
            self._beat(now())

    def _beat(self, moment: datetime) -> None:
        """Say that this worker lives."""
        values = {"executor_id": self.executor, "host": socket.gethostname(), "heartbeat_at": moment}
        with self.store.begin() as db:
            beat = sa.update(workers).where(workers.c.executor_id == self.executor).values(values)
            if db.execute(beat).rowcount == 0:
                db.execute(self.store.insert_new(workers).values({**values, "started_at": moment}))
        clock = time.monotonic()
        if clock - self._beat_at > self.silence / 2:
            # We were asleep, or the store was away: that others were not heard says nothing about them.
            self._seen = {}
        self._beat_at = clock

    def _take_over(self) -> None:
        """Hand over the work of workers that are silent, again and again until none is left."""
        # In this order: a worker is on the list before it has any work.
        busy = self.durable.executors()
        with self.store.begin() as db:
            silent = self._silent(db)
            if silent:
                db.execute(sa.delete(workers).where(workers.c.executor_id.in_(silent)))
            alive = set(db.execute(sa.select(workers.c.executor_id)).scalars())
        for executor in busy - alive:
            count = self.durable.take_over(executor)
            log.warning("worker %s is gone: %d jobs handed over", executor, count)

    def _silent(self, db: sa.Connection) -> set[str]:
        """Return the workers that were not heard for long by this machine's clock: others' clocks may go wrong."""
        clock = time.monotonic()
        heard = db.execute(sa.select(workers.c.executor_id, workers.c.heartbeat_at)).all()
        before, self._seen = self._seen, {}
        for executor, beat in heard:
            seen = before.get(executor)
            self._seen[executor] = seen if seen is not None and seen[0] == beat else (beat, clock)
        return {executor for executor, (_, since) in self._seen.items() if clock - since > self.silence}

    # --- keeping small ---------------------------------------------------------------------------------------------

    def _clean(self, moment: datetime) -> None:
        """Delete what is no longer shown, in the store and of the durable work."""
        if self._is_due("cleaning", _CLEANING):
            with self.store.begin() as db:
                runs.clean(db, moment)
                checks.clean(db, moment - runs.KEPT)
            self.durable.forget(moment - _REMEMBERED)
            remove_deleted(self.inboxes, self.store)


def _try(duty: Callable[[datetime], None], moment: datetime, what: str = "the dispatcher") -> bool:
    try:
        duty(moment)
    except (InterfaceError, OperationalError) as error:
        log.warning("the control store does not answer, trying again: %s", error.orig)
        return True
    except Exception:
        log.exception("%s failed; the others go on", what)
        return False
    return True
