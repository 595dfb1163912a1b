"""Moves a lane's mark without rows: a reset, and the state of a tap taken over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lockstitch.core.errors import SettingsError
from lockstitch.core.model import Lane, Mark
from lockstitch.core.protocols import Destination, Source, TakesState
from lockstitch.engine.plan import make_plan
from lockstitch.engine.run import Job


def reset(source: Source, destination: Destination, job: Job, stream: str) -> Lane:
    """Let the next run read the stream's lane from its beginning, and return that lane.

    Nothing is deleted: the table keeps its rows until the next run publishes what it has read. Raises SettingsError
    where the stream is not selected, or was never replicated.
    """
    plan = make_plan(source, destination, connection=job.connection, schema=job.schema, selection=job.selection)
    lane = next((lane for lane in plan.lanes if stream in lane.streams), None)
    if lane is None:
        known = ", ".join(sorted(plan.streams))
        raise SettingsError(f"no selected stream is called {stream!r}", hint=f"the selected streams are: {known}")
    mark = destination.marks(job.connection).get(lane.name)
    if mark is None:
        raise SettingsError(
            f"stream {stream!r} was never replicated by this connection",
            hint="there is nothing to reset: the next run reads it from its beginning",
        )
    destination.open(job.connection, job.schema)
    fresh = replace(mark, epoch=mark.epoch + 1, number=mark.number + 1, cursor=None, versions={})
    destination.adopt(job.connection, lane.name, fresh, mark)
    return lane


def adopt(source: Source, destination: Destination, job: Job, state: Mapping[str, Any]) -> Mapping[str, Mark]:
    """Take over a Singer tap's state: return the mark of each lane that goes on from it.

    Raises SettingsError where a lane has a mark already: its own progress is never overwritten.
    """
    if not isinstance(source, TakesState):
        raise SettingsError(
            "this source cannot take over a tap's state", hint="run it from its beginning: keyed rows are not doubled"
        )
    plan = make_plan(source, destination, connection=job.connection, schema=job.schema, selection=job.selection)
    lanes = {lane.name: lane for lane in plan.lanes}
    cursors = {lane: cursor for lane, cursor in source.cursors(state).items() if lane in lanes}
    if not cursors:
        raise SettingsError(
            "the state holds no bookmark of a selected stream",
            hint='expected is {"bookmarks": {"<stream>": {...}}}, as the tap wrote it',
        )
    known = sorted(cursors.keys() & destination.marks(job.connection).keys())
    if known:
        raise SettingsError(
            f"replicated by this connection already: {', '.join(known)}",
            hint="take a tap's state over before the first run, or use another `id` in [source]",
        )
    destination.open(job.connection, job.schema)
    marks = {
        name: Mark(epoch=1, number=1, cursor=cursor, versions=source.versions(lanes[name], cursor))
        for name, cursor in cursors.items()
    }
    for lane, mark in marks.items():
        destination.adopt(job.connection, lane, mark, None)
    return marks
