"""The child process of one job: knows the engine by its `verbs`, and the worker by a pipe.

It never opens the control store. It ends when its worker does: the pipe's other end is gone then.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lockstitch import verbs
from lockstitch.connectors import find_connector, hide
from lockstitch.control import messages, outgoing
from lockstitch.control.messages import Assignment, Committed, Discovered, Done, Ended, Logged, NotLoaded, Phase
from lockstitch.core.errors import LockstitchError, Verdict, verdict_of
from lockstitch.core.model import Json, Stream
from lockstitch.engine.events import (
    Event,
    LaneFinished,
    LaneStarted,
    LoadCommitted,
    SchemaChanged,
    SourceDiscovered,
    Waiting,
    Warned,
)
from lockstitch.toolkit.addresses import CONFINED

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

#: The exit of a child whose worker is gone.
ORPHANED = 70


def main(pipe: Connection) -> None:
    """Carry out the assignment that comes first on the pipe."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a terminal or service manager means the worker, which tells us
        signal.signal(number, signal.SIG_IGN)
    assignment = messages.read_assignment(pipe.recv_bytes())
    os.environ["LOCKSTITCH_HOME"] = assignment.home
    os.environ[CONFINED] = "1"
    stop = threading.Event()
    threading.Thread(target=_obey, args=(pipe, stop), daemon=True).start()
    job = Job(pipe, assignment, stop)
    _hand_logs_to(job.note)
    job.carry_out()


def _hand_logs_to(note: Callable[[logging.LogRecord], None]) -> None:
    """Hand what our packages log, requests of sources among it, to the job's log; here nobody else would see it."""
    logger = logging.getLogger("lockstitch")
    logger.setLevel(logging.INFO)
    logger.handlers, logger.propagate = [_Noting(note)], False


class _Noting(logging.Handler):
    def __init__(self, note: Callable[[logging.LogRecord], None]) -> None:
        super().__init__(logging.INFO)
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        self._note(record)


def _obey(pipe: Connection, stop: threading.Event) -> None:
    try:
        while pipe.recv_bytes() != messages.STOP:
            pass
        stop.set()
        pipe.recv_bytes()
    except (EOFError, OSError):
        os._exit(ORPHANED)


class Job:
    """One assignment, and what is told of it."""

    def __init__(self, pipe: Connection, assignment: Assignment, stop: threading.Event) -> None:
        self._pipe = pipe
        self._assignment = assignment
        self._stop = stop
        self._lock = threading.Lock()
        self._secrets: frozenset[str] = frozenset()
        self._streams: dict[str, tuple[str, ...]] = {}
        self._discovered = False

    def carry_out(self) -> None:
        try:
            self._secrets = _secrets(self._assignment)
            verdict = self._check() if self._assignment.kind == "check" else self._run()
        except Exception as error:  # a bug of ours still has to be told to the worker
            self._log("main", "CRITICAL", _text(error))
            verdict = self._verdict(error)
        self._tell(Done(verdict))

    def _verdict(self, error: BaseException) -> Verdict:
        """Return who must act on an error. Of a bug the traceback is kept in the log."""
        verdict = verdict_of(error)
        if verdict == "bug":
            self._log("main", "ERROR", "".join(traceback.format_exception(error)))
        return verdict

    def _tell(self, message: messages.Message) -> None:
        try:
            with self._lock:
                self._pipe.send_bytes(messages.encode(message))
        except (BrokenPipeError, OSError):
            os._exit(ORPHANED)

    def note(self, record: logging.LogRecord) -> None:
        """Take a line that a package of ours has logged into the job's log, without secrets."""
        place = "target" if record.name.startswith("lockstitch.destinations.") else "tap"
        level = "WARNING" if record.levelno >= logging.WARNING else "INFO"
        self._log(place, level, hide(record.getMessage(), self._secrets))

    def _log(self, place: Any, level: Any, text: str) -> None:
        self._tell(Logged(place, level, _storable(text)))

    def _confine(self) -> LockstitchError | None:
        """Let the job reach what the server's operator allows; return what it names beyond that, or None."""
        try:
            self._assignment = outgoing.confined(self._assignment)
        except LockstitchError as error:
            return error
        return None

    # --- checks ----------------------------------------------------------------------------------------------------

    def _check(self) -> Verdict | None:
        wanted = verbs.check_source if self._assignment.source_type else verbs.check_destination
        phase: Phase = "tap" if self._assignment.source_type else "target"
        error = self._confine() or wanted(self._pipeline())
        self._tell(Ended(phase, _text(error) if error is not None else None))
        if error is not None:
            return verdict_of(error)
        return self._discover() if self._assignment.source_type else None

    def _discover(self) -> Verdict | None:
        try:
            streams = verbs.discover(self._pipeline())
        except Exception as error:
            self._tell_undiscovered(error)
            return self._verdict(error)
        self._tell_discovered(streams)
        return None

    def _tell_discovered(self, streams: Sequence[Stream]) -> None:
        self._discovered = True
        self._log("main", "INFO", f"Discovery found {len(streams)} streams.")
        self._tell(Discovered(tuple(streams)))
        self._tell(Ended("discovery"))

    def _tell_undiscovered(self, error: BaseException) -> None:
        self._log("tap", "CRITICAL", _text(error))
        self._tell(Ended("discovery", _text(error)))
        self._log("main", "INFO", exit_line({"discovery": _text(error)}))

    # --- runs ------------------------------------------------------------------------------------------------------

    def _run(self) -> Verdict | None:
        wanted = self._assignment.selection
        refused = self._confine()
        if refused is not None:
            self._conclude([(refused, tuple(wanted or ()))])
            return verdict_of(refused)
        try:
            result = verbs.run(self._pipeline(), events=self._take_event, stop=self._stop)
        except Exception as error:
            if self._discovered or phase_of(error) != "tap":
                self._conclude([(error, tuple(wanted or ()))])
            else:
                self._tell_undiscovered(error)
            return self._verdict(error)
        if result.stopped:
            self._log("main", "INFO", "Asked to stop: nothing more was read, and what had been read is loaded.")
        failed = [(lane.error, self._streams.get(lane.lane, (lane.lane,))) for lane in result.lanes if lane.error]
        self._conclude(failed)
        for error, _ in failed:
            self._verdict(error)
        return result.verdict

    def _conclude(self, failed: Sequence[tuple[BaseException, tuple[str, ...]]]) -> None:
        """Tell how tap and target ended, each by its first error; an error comes with the streams it kept back."""
        first: dict[Phase, str] = {}
        for error, streams in failed:
            phase, text = phase_of(error), _text(error)
            first.setdefault(phase, text)
            self._log(phase, "CRITICAL", text)
            if phase == "target":
                self._tell(NotLoaded(streams, text))
        self._tell(Ended("tap", first.get("tap")))
        self._tell(Ended("target", first.get("target")))
        self._log("main", "INFO", exit_line(first))

    def _take_event(self, event: Event) -> None:
        match event:
            case SourceDiscovered(streams):
                self._tell_discovered(streams)
                wanted = self._assignment.selection
                self._log("main", "INFO", f"Replicating {'all' if wanted is None else len(wanted)} selected streams.")
            case LaneStarted(lane, streams, files, _):
                self._streams[lane] = streams
                told = f", {files} files to read" if files is not None else ""
                self._log("tap", "INFO", f"Reading {lane} ({', '.join(streams)}){told}")
            case LoadCommitted(lane, number, tables, streams, batched_at):
                self._tell(Committed(tables, streams, batched_at))
                for one in tables:
                    self._log("target", "INFO", f"{one.table}: load {number} of {lane} committed, {one.read} rows")
            case SchemaChanged(table, text):
                self._log("target", "INFO", f"{table}: {text}")
            case Warned(text):
                self._log("tap", "WARNING", text)
            case Waiting(text):
                self._log("target", "WARNING", text)
            case LaneFinished(lane, None):
                self._log("tap", "INFO", f"{lane} is finished")
            case _:
                pass

    def _pipeline(self) -> verbs.PipelineSettings:
        one = self._assignment
        properties: tuple[dict[str, Json], ...] = (dict(one.source_properties), dict(one.destination_properties))
        return verbs.PipelineSettings(
            connection=one.connection,
            schema=one.schema,
            source_type=one.source_type or "",
            source_properties=properties[0],
            destination_type=one.destination_type or "",
            destination_properties=properties[1],
            selection=one.selection,
        )


def _secrets(job: Assignment) -> frozenset[str]:
    """Return what of the properties must not come into a log."""
    found: frozenset[str] = frozenset()
    if job.source_type:
        found |= find_connector("source", job.source_type).secrets(job.source_properties)
    if job.destination_type:
        found |= find_connector("destination", job.destination_type).secrets(job.destination_properties)
    return found


def phase_of(error: BaseException) -> Phase:
    """Tell whose error it is by the innermost part of ours in its traceback that is one side's; else the source's."""
    trace = error.__traceback__
    phase: Phase = "tap"
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        for start, side in _SIDES.items():
            phase = side if module.startswith(start) else phase
        trace = trace.tb_next
    return phase


_SIDES: dict[str, Phase] = {
    "lockstitch.sources.": "tap",
    "lockstitch.destinations.": "target",
    "lockstitch.engine.loader": "target",
}


def exit_line(failed: Mapping[Phase, str]) -> str:
    """Return the last line of a log, in the documented form; `failed` has the message of each phase that failed."""
    phases: tuple[Phase, ...] = ("discovery",) if "discovery" in failed else ("discovery", "tap", "target")
    ends = [
        f'{phase.capitalize()} failed with code 1 and error message: "{failed[phase]}".'
        if phase in failed
        else f"{phase.capitalize()} succeeded."
        for phase in phases
    ]
    return f"Exit status is: {' '.join(ends)}"


def _text(error: BaseException) -> str:
    return _storable(str(error) if isinstance(error, LockstitchError) else f"{type(error).__name__}: {error}")


def _storable(text: str) -> str:
    """Return a text that every database can keep: PostgreSQL has no U+0000, and none has half a character."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
