"""Carries out what is written down in the store: a run or a check, each in a child process."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, OperationalError

from lockstitch.control import checks, connections, process, runs, selection, sources
from lockstitch.control.connections import Custody, Row
from lockstitch.control.inboxes import open_inboxes
from lockstitch.control.messages import (
    Assignment,
    Committed,
    Discovered,
    Done,
    Ended,
    Logged,
    Message,
    NotLoaded,
)
from lockstitch.control.notifications import notices, payload
from lockstitch.control.process import Killed
from lockstitch.control.store.database import Store
from lockstitch.control.store.tables import connections as connection_table
from lockstitch.core.errors import LockstitchError, SettingsError
from lockstitch.core.model import Selection

log = logging.getLogger(__name__)

#: Seconds that one run may take: the documented limit of an extraction. One that is handed over starts anew.
RUN_LIMIT = 24 * 3600.0
CHECK_LIMIT = 600.0
#: Seconds that a child may take to end after it was asked to: what it has read is still being loaded.
GRACE = 120.0
LEAVING_GRACE = 45.0
#: Seconds that a store which cannot be reached is waited for; while leaving, and else.
_PATIENCE = {True: 5.0, False: 600.0}
_BETWEEN_TRIES = 1.0
PHASES = ("discovery", "tap", "target")
_INTERNAL = "We encountered an internal error while checking the connection."
_LINES_AT_ONCE = 50
_SECONDS_BETWEEN_LINES = 1.0

T = TypeVar("T")


def now() -> datetime:
    return datetime.now(UTC)


class Lost(Exception):
    """The run has become another owner's: whatever else is told of it here is void."""


@dataclass(slots=True)
class Worker:
    """One process that carries out jobs, under a name of its own."""

    store: Store
    custody: Custody
    home: Path
    name: str
    is_leaving: Callable[[], bool] = lambda: False
    run_limit: float = RUN_LIMIT

    def write(self, do: Callable[[sa.Connection], T]) -> T:
        """Do something in a transaction, however long the store's server is away; `do` may be called repeatedly."""
        return self._patiently(self.store.begin, do)

    def read(self, do: Callable[[sa.Connection], T]) -> T:
        return self._patiently(self.store.read, do)

    def _patiently(
        self, connected: Callable[[], AbstractContextManager[sa.Connection]], do: Callable[[sa.Connection], T]
    ) -> T:
        begun = time.monotonic()
        while True:
            try:
                with connected() as db:
                    return do(db)
            except (InterfaceError, OperationalError) as error:
                if time.monotonic() - begun > _PATIENCE[self.is_leaving()]:
                    raise
                log.warning("the control store does not answer, trying again: %s", error.orig)
                time.sleep(_BETWEEN_TRIES)

    # --- checks ----------------------------------------------------------------------------------------------------

    def check(self, name: str) -> None:
        """Carry out a connection check, unless it has ended."""
        try:
            self._check(name)
        except Exception:
            log.exception("check %s failed in the worker", name)
            self.write(lambda db: checks.finish(db, name, check=None, discovery=1, message=_INTERNAL, now=now()))

    def _check(self, name: str) -> None:
        row = self.write(lambda db: checks.begin(db, name, now()))
        if row is None:
            return
        connection = self.read(lambda db: _connection(db, row.connection_id))
        report, ends_at = _CheckReport(), time.monotonic() + CHECK_LIMIT

        def grace() -> float | None:
            return 0.0 if self.is_leaving() or time.monotonic() > ends_at else None

        try:
            done = process.carry_out(self._check_assignment(connection), report.take, grace)
            if done.verdict is not None and report.message is None:
                report.fail(_INTERNAL)
        except LockstitchError as error:  # found before any child was started: a missing key, a forbidden path
            report.fail(str(error))
        except Killed:
            if self.is_leaving():
                self.write(lambda db: checks.ask_again(db, name, row.attempt))
                return
            report.fail(_INTERNAL)
        self.write(lambda db: self._finish_check(db, name, connection.id, report))

    def _finish_check(self, db: sa.Connection, name: str, connection_id: int, report: _CheckReport) -> None:
        moment = now()
        checks.finish(db, name, check=report.check, discovery=report.discovery, message=report.message, now=moment)
        if report.streams is not None and report.message is None and not checks.is_outdated(db, name):
            selection.store_discovered(db, self.store.insert_new, connection_id, report.streams, moment)
        after = _connection(db, connection_id)
        if after.kind == "source":
            sources.reschedule(db, after, moment)

    def _check_assignment(self, connection: Row) -> Assignment:
        given: dict[str, Any] = {
            f"{connection.kind}_type": connection.type,
            f"{connection.kind}_properties": connections.settings(self.custody, connection),
        }
        return Assignment(kind="check", home=str(self.home), connection=connection.mark_id, schema="check", **given)

    # --- runs ------------------------------------------------------------------------------------------------------

    def run(self, name: str) -> None:
        """Carry out a run, unless it has ended. A second worker that does so takes it over from the first."""
        owner = f"{self.name}/{uuid.uuid4().hex[:8]}"
        try:
            self._run(name, owner)
        except Lost:
            log.info("run %s is carried out by another worker now", name)
        except Exception:
            # Without this the run would wait for ever, and with it its source.
            log.exception("run %s failed in the worker", name)
            self.write(lambda db: runs.finish(db, name, owner, {**_TERMINATED, "verdict": "bug"}, now()))

    def _run(self, name: str, owner: str) -> None:
        run = self.write(lambda db: runs.take(db, name, owner, now()))
        if run is None:
            return
        report = _RunReport(self, run, owner)
        try:
            assignment = self.read(lambda db: self._assignment(db, run))
        except LockstitchError as error:  # found before any child was started: a missing key, a forbidden path
            assignment = None
            report.fail(error)
        if assignment is not None and (self.is_leaving() or not self._carry(assignment, report)):
            report.flush()
            self.write(lambda db: runs.hand_over(db, name, owner))
            return
        report.flush()
        self.write(lambda db: self._finish(db, report))

    def _assignment(self, db: sa.Connection, run: Row) -> Assignment:
        """Return what is to be done; a LockstitchError says why it cannot be."""
        source = _connection(db, run.source_id)
        destination = _connection(db, source.destination_id) if source.destination_id is not None else None
        if source.deleted_at is not None:
            raise SettingsError("the source is deleted", hint="make a new one")
        if destination is None or destination.deleted_at is not None:
            raise SettingsError("the source has no destination", hint="give it one")
        return Assignment(
            kind="run",
            home=str(self.home),
            connection=source.mark_id,
            schema=source.name,
            source_type=source.type,
            source_properties=self._source_properties(source),
            destination_type=destination.type,
            destination_properties=connections.settings(self.custody, destination),
            selection=self._selection(db, source),
        )

    def _selection(self, db: sa.Connection, source: Row) -> Selection:
        """Return what is chosen; None, all streams, where a type's card has no such step and nobody chose any."""
        if sources.is_pushed(source.type):
            return None
        chosen = selection.selection(db, source.id)
        return chosen if chosen or sources.has_field_selection(source.type) else None

    def _source_properties(self, source: Row) -> dict[str, Any]:
        if sources.is_pushed(source.type):
            return open_inboxes(self.store, self.home).properties(source.id)
        return connections.settings(self.custody, source)

    def _carry(self, assignment: Assignment, report: _RunReport) -> bool:
        """Run the child; False where this process is leaving, so that another one goes on with the run."""
        watch = _Watch(self, report, time.monotonic() + self.run_limit)
        try:
            done = process.carry_out(assignment, report.take, watch.grace)
        except Killed as killed:
            if watch.halt == "lost":
                raise Lost from None
            if watch.halt == "leaving" or self.is_leaving():
                return False
            report.killed(killed.exit_code, watch.halt)
        else:
            if watch.halt == "leaving" and done == Done(None):
                return False
            report.outcome["verdict"] = done.verdict
        if watch.halt == "late":
            report.say("main", "INFO", runs.TIMED_OUT)
            report.outcome = dict(_TERMINATED)
        return True

    def _finish(self, db: sa.Connection, report: _RunReport) -> None:
        moment = now()
        if runs.finish(db, report.run.name, report.owner, report.outcome, moment):
            source = _connection(db, report.run.source_id)
            sources.reschedule(db, source, moment)
            notices.after_run(db, self.store, source, report.outcome, moment)


def _connection(db: sa.Connection, connection_id: int) -> Row:
    """Return a connection. Its row stays when it is deleted, so it is there."""
    return db.execute(sa.select(connection_table).where(connection_table.c.id == connection_id)).one()


#: What the documentation's killed jobs say: no status, and one word.
_TERMINATED: dict[str, Any] = {f"{phase}_exit_status": None for phase in PHASES} | {
    f"{phase}_description": runs.TERMINATED for phase in PHASES
}

#: Seconds that a run which is not to go on has for its end, by the reason.
_GRACES: dict[str, float] = {"lost": 0.0, "stopped": GRACE, "deleted": GRACE, "late": GRACE, "leaving": LEAVING_GRACE}


@dataclass(slots=True)
class _Watch:
    """Looks about once a second whether a run may go on, and keeps the first reason why it may not."""

    worker: Worker
    report: _RunReport
    ends_at: float
    halt: runs.Halt | Literal["late", "leaving"] | None = None

    def grace(self) -> float | None:
        self.report.flush_old()
        asked: runs.Halt | None = self.worker.read(lambda db: runs.halt(db, self.report.run.name, self.report.owner))
        if asked == "lost":
            self.halt = asked
        elif self.halt is None:
            self.halt = asked or self._own_reason()
        if self.halt is None:
            return None
        return min(_GRACES[self.halt], LEAVING_GRACE if self.worker.is_leaving() else GRACE)

    def _own_reason(self) -> Literal["late", "leaving"] | None:
        if time.monotonic() > self.ends_at:
            return "late"
        return "leaving" if self.worker.is_leaving() else None


@dataclass(slots=True)
class _CheckReport:
    """What a check's child has told."""

    check: int | None = None
    discovery: int | None = None
    message: str | None = None
    streams: tuple[Any, ...] | None = None

    def take(self, message: Message) -> None:
        match message:
            case Ended("discovery", text):
                self.discovery = 0 if text is None else 1
                self.message = text
            case Ended(_, str(text)):
                self.fail(text)
            case Ended():
                self.check = 0
            case Discovered(streams):
                self.streams = streams
            case _:
                pass

    def fail(self, message: str) -> None:
        """As in the documented example, a failed connection is told as a failed discovery."""
        self.discovery, self.message = 1, self.message or message


@dataclass(slots=True)
class _RunReport:
    """What a run's child has told, written down as it comes, as long as the run is this owner's."""

    worker: Worker
    run: Row
    owner: str
    outcome: dict[str, Any] = field(default_factory=dict[str, Any])
    _lines: list[str] = field(default_factory=list[str])
    _written_at: float = field(default_factory=time.monotonic)

    def take(self, message: Message) -> None:
        store, run, moment = self.worker.store, self.run, now()
        match message:
            case Logged(place, level, text):
                self.say(place, level, text)
            case Discovered(streams):
                self._write(lambda db: selection.store_discovered(db, store.insert_new, run.source_id, streams, moment))
            case Ended(phase, text):
                self.outcome[f"{phase}_exit_status"] = 0 if text is None else 1
                self.outcome[f"{phase}_description"] = text
            case Committed():
                self._write(lambda db: self._note_loaded(db, message, moment))
            case NotLoaded(streams, text):
                self._write(lambda db: runs.note_not_loaded(db, store, run, streams, text, moment))
            case Done():
                pass

    def _note_loaded(self, db: sa.Connection, load: Committed, moment: datetime) -> None:
        runs.note_loaded(db, self.worker.store, self.run, load.tables, moment)
        payload.after_load(db, _connection(db, self.run.source_id), load, moment)

    def _write(self, do: Callable[[sa.Connection], None]) -> None:
        def write(db: sa.Connection) -> None:
            if not runs.is_owned(db, self.run.name, self.owner):
                raise Lost
            do(db)

        self.worker.write(write)

    def say(self, place: str, level: str, text: str) -> None:
        """Add an entry to the log, in the form of section 12."""
        stamp = now().strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
        self._lines.extend(f"{stamp}Z {place:>6} - {level} {line}" for line in text.splitlines())
        if len(self._lines) >= _LINES_AT_ONCE:
            self.flush()
        self.flush_old()

    def flush_old(self) -> None:
        """Write down lines that wait for long."""
        if time.monotonic() - self._written_at > _SECONDS_BETWEEN_LINES:
            self.flush()

    def flush(self) -> None:
        if self._lines:
            self._write(lambda db: runs.append_log(db, self.run.name, self._lines))
            self._lines, self._written_at = [], time.monotonic()

    def fail(self, error: LockstitchError) -> None:
        """End a run that cannot even begin."""
        self.say("main", "CRITICAL", str(error))
        self.outcome = {"tap_exit_status": 1, "tap_description": str(error), "verdict": error.verdict}

    def killed(self, exit_code: int | None, halt: str | None) -> None:
        """Say of a run whose child was killed what the documentation's killed jobs say."""
        if halt is not None:
            self.say("main", "WARNING", f"The job did not stop within {GRACE:.0f} seconds and was killed.")
        elif "discovery_exit_status" in self.outcome:
            text = f"Exit status is: Discovery succeeded. Tap failed with code {exit_code}. Target succeeded."
            self.say("main", "CRITICAL", text)
        else:
            self.say("main", "CRITICAL", f"Exit status is: Discovery failed with code {exit_code}.")
        self.outcome = {**_TERMINATED, "verdict": "retry"}
