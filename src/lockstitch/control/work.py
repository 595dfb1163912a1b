"""Carries out what is written down in the store: a run or a check, each in a child process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lockstitch.control import checks, connections, process, runs, selection, sources
from lockstitch.control.connections import Custody, Row
from lockstitch.control.inboxes import inbox_properties
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
from lockstitch.control.process import Killed
from lockstitch.control.store.database import Store
from lockstitch.control.store.tables import checks as check_table
from lockstitch.control.store.tables import connections as connection_table
from lockstitch.core.errors import LockstitchError

log = logging.getLogger(__name__)

#: Seconds that one run may take: the documented limit of an extraction.
RUN_LIMIT = 24 * 3600.0
CHECK_LIMIT = 600.0
PHASES = ("discovery", "tap", "target")
_LINES_AT_ONCE = 50
_SECONDS_BETWEEN_LINES = 1.0


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Worker:
    """One process that carries out jobs, under a name of its own."""

    store: Store
    custody: Custody
    home: Path
    name: str
    is_leaving: Callable[[], bool] = lambda: False

    # --- checks ----------------------------------------------------------------------------------------------------

    def check(self, name: str) -> None:
        """Carry out a connection check, unless it has ended."""
        with self.store.read() as db:
            query = sa.select(check_table).where(check_table.c.name == name)
            row = db.execute(query).first()
            connection = _connection(db, row.connection_id) if row is not None else None
        if row is None or connection is None or row.completion_time is not None:
            return
        report = _CheckReport()
        try:
            done = process.carry_out(self._check_assignment(connection), report.take, lambda: False, limit=CHECK_LIMIT)
            if done.verdict is not None and report.message is None:
                report.message = "We encountered an internal error while checking the connection."
        except LockstitchError as error:  # found before any child was started: a missing key, a forbidden path
            report.take(Ended("discovery", str(error)))
        except Killed:
            report.message = report.message or "We encountered an internal error while checking the connection."
        moment = now()
        with self.store.begin() as db:
            checks.finish(db, name, check=report.check, discovery=report.discovery, message=report.message, now=moment)
            if report.streams is not None and report.message is None:
                selection.store_discovered(db, self.store.insert_new, connection.id, report.streams, moment)
            after = _connection(db, connection.id)
            if after is not None and after.kind == "source":
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
        try:
            self._run(name)
        except LockstitchError as error:  # found before any child was started: a missing key, a forbidden path
            outcome = {"tap_exit_status": 1, "tap_description": str(error), "verdict": error.verdict}
            with self.store.begin() as db:
                runs.finish(db, name, self.name, outcome, now())
        except Exception:
            # Without this the run would wait for ever, and with it its source.
            log.exception("run %s failed in the worker", name)
            outcome = {f"{phase}_description": runs.TERMINATED for phase in PHASES} | {"verdict": "bug"}
            with self.store.begin() as db:
                runs.finish(db, name, self.name, outcome, now())

    def _run(self, name: str) -> None:
        with self.store.begin() as db:
            run = runs.take(db, name, self.name, now())
        if run is None:
            return
        with self.store.read() as db:
            source = _connection(db, run.source_id)
            assert source is not None
            destination = _connection(db, source.destination_id) if source.destination_id is not None else None
            chosen = selection.selection(db, source.id)
        report = _RunReport(self.store, run, source)
        if destination is None or destination.deleted_at is not None:
            report.outcome = {"tap_exit_status": 1, "tap_description": "The source has no destination."}
        else:
            assignment = Assignment(
                kind="run",
                home=str(self.home),
                connection=source.mark_id,
                schema=source.name,
                source_type=source.type,
                source_properties=self._source_properties(source),
                destination_type=destination.type,
                destination_properties=connections.settings(self.custody, destination),
                selection=None if sources.is_pushed(source.type) else chosen,
            )
            if not self._carry(assignment, report):
                report.flush()
                with self.store.begin() as db:
                    runs.hand_over(db, name, self.name)
                return
        report.flush()
        with self.store.begin() as db:
            moment = now()
            if runs.finish(db, name, self.name, report.outcome, moment):
                after = _connection(db, source.id)
                assert after is not None
                sources.reschedule(db, after, moment)

    def _source_properties(self, source: Row) -> dict[str, Any]:
        if sources.is_pushed(source.type):
            return inbox_properties(self.home, source.id)
        return connections.settings(self.custody, source)

    def _carry(self, assignment: Assignment, report: _RunReport) -> bool:
        """Run the child; False where this process is leaving, so that another one goes on with the run."""
        name, limit = report.run.name, RUN_LIMIT
        ends_at = time.monotonic() + limit

        def is_stopped() -> bool:
            with self.store.read() as db:
                return self.is_leaving() or runs.is_stopped(db, name, self.name)

        try:
            done = process.carry_out(assignment, report.take, is_stopped, limit=limit)
        except Killed as killed:
            report.say("main", "CRITICAL", f"Tap failed with code {killed.exit_code}.")
            report.terminated()
            return not self.is_leaving()
        report.outcome["verdict"] = done.verdict
        if self.is_leaving() and done == Done(None):
            return False
        if time.monotonic() > ends_at:
            report.say("main", "INFO", runs.TIMED_OUT)
            report.terminated()
        return True


def _connection(db: sa.Connection, connection_id: int) -> Row | None:
    return db.execute(sa.select(connection_table).where(connection_table.c.id == connection_id)).first()


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
            case Ended(_, None):
                self.check = 0
            case Ended(_, text):
                # As in the documented example, a failed connection is told as a failed discovery.
                self.discovery, self.message = 1, text
            case Discovered(streams):
                self.streams = streams
            case _:
                pass


@dataclass(slots=True)
class _RunReport:
    """What a run's child has told, written down as it comes."""

    store: Store
    run: Row
    source: Row
    outcome: dict[str, Any] = field(default_factory=dict[str, Any])
    _lines: list[str] = field(default_factory=list[str])
    _written_at: float = 0.0

    def take(self, message: Message) -> None:
        match message:
            case Logged(place, level, text):
                self.say(place, level, text)
            case Discovered(streams):
                with self.store.begin() as db:
                    selection.store_discovered(db, self.store.insert_new, self.source.id, streams, now())
            case Ended(phase, text):
                self.outcome[f"{phase}_exit_status"] = 0 if text is None else 1
                self.outcome[f"{phase}_description"] = text
            case Committed(tables):
                with self.store.begin() as db:
                    runs.note_loaded(db, self.store, self.run, tables, now())
            case NotLoaded(streams, text):
                with self.store.begin() as db:
                    runs.note_not_loaded(db, self.store, self.run, streams, text, now())
            case Done():
                pass

    def say(self, place: str, level: str, text: str) -> None:
        """Add an entry to the log, in the form of section 12."""
        stamp = now().strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
        self._lines.extend(f"{stamp}Z {place:>6} - {level} {line}" for line in text.splitlines())
        if len(self._lines) >= _LINES_AT_ONCE or time.monotonic() - self._written_at > _SECONDS_BETWEEN_LINES:
            self.flush()

    def flush(self) -> None:
        if self._lines:
            with self.store.begin() as db:
                runs.append_log(db, self.run.name, self._lines)
            self._lines, self._written_at = [], time.monotonic()

    def terminated(self) -> None:
        """Say of the run what the documentation's killed jobs say: no status, and one word."""
        self.outcome = {f"{phase}_description": runs.TERMINATED for phase in PHASES}
