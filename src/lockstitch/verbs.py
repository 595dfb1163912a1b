"""What can be done with a pipeline: each verb opens the ends that it needs and calls the engine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstitch.connectors import (
    Connector,
    Kind,
    drivers_named,
    find_connector,
    hide,
    hide_in_error,
    hiding,
    open_destination,
    open_source,
    parse_properties,
)
from lockstitch.core.errors import LockstitchError, SettingsError
from lockstitch.core.model import Json, Lane, Mark, Selection, Stream
from lockstitch.engine.events import Event, LaneFinished, Waiting, Warned
from lockstitch.engine.limits import LoadLimits
from lockstitch.toolkit.home import home_folder

if TYPE_CHECKING:
    from threading import Event as Flag

    from lockstitch.core.protocols import Destination, Source
    from lockstitch.engine.forecast import Forecast
    from lockstitch.engine.run import Job, RunResult
    from lockstitch.engine.state import State
    from lockstitch.engine.verify import TableVerdict


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """One source, one destination, and what to carry between them.

    `connection` names it in the destination's marks, `schema` is where its tables lie. Property values are as written,
    with the environment filled in; they may hold secrets, so `repr` leaves them out. `own_source` opens a source that
    is the calling program's own, in place of a connector's; `source_type` is then but a name.
    """

    connection: str
    schema: str
    source_type: str
    source_properties: Mapping[str, Json] = field(repr=False)
    destination_type: str
    destination_properties: Mapping[str, Json] = field(repr=False)
    selection: Selection = None
    limits: LoadLimits = field(default_factory=LoadLimits)
    path: Path | None = None
    own_source: Callable[[], Source] | None = field(default=None, repr=False)


# --- the verbs --------------------------------------------------------------------------------------------------------


def run(
    pipeline: PipelineSettings, *, events: Callable[[Event], None] = lambda _: None, stop: Flag | None = None
) -> RunResult:
    """Carry what is new, once. Once `stop` is set, commit up to the last checkpoint and return."""
    with _both(pipeline) as (source, destination, secrets):
        from lockstitch.engine.run import run_pipeline

        return run_pipeline(
            source,
            destination,
            _job(pipeline),
            events=lambda event: events(_without_secrets(event, secrets)),
            stop=stop,
        )


def plan(pipeline: PipelineSettings) -> Forecast:
    """Return what the next run would do; changes nothing."""
    with _both(pipeline) as (source, destination, _):
        from lockstitch.engine.forecast import forecast

        return forecast(source, destination, _job(pipeline))


def verify(pipeline: PipelineSettings) -> Sequence[TableVerdict]:
    """Compare each table with the source up to the mark, or else with the ledger."""
    with _both(pipeline) as (source, destination, _):
        from lockstitch.engine import verify

        return verify.verify(source, destination, _job(pipeline))


def reset(pipeline: PipelineSettings, stream: str) -> Lane:
    """Let the next run read a stream's lane from its beginning; the tables stay as they are until then."""
    with _both(pipeline) as (source, destination, _):
        from lockstitch.engine import moves

        return moves.reset(source, destination, _job(pipeline), stream)


def adopt(pipeline: PipelineSettings, state: Mapping[str, Any]) -> Mapping[str, Mark]:
    """Take over a Singer tap's state; return the marks of the lanes that go on from it."""
    with _both(pipeline) as (source, destination, _):
        from lockstitch.engine import moves

        return moves.adopt(source, destination, _job(pipeline), state)


def show(pipeline: PipelineSettings) -> State:
    """Return tables, loads and marks as they stand in the destination; the source is not asked."""
    from lockstitch.engine.state import State, state_of

    with landed(pipeline) as destination:
        if destination is None:
            return State(pipeline.connection, pipeline.schema)
        return state_of(destination, pipeline.connection, pipeline.schema)


@contextmanager
def source_of(pipeline: PipelineSettings) -> Generator[Source]:
    """Open the source alone, its settings found right first; the pipeline's destination is not looked at."""
    with _opened_source(pipeline, _source_end(pipeline)) as source:
        yield source


@contextmanager
def landed(pipeline: PipelineSettings) -> Generator[Destination | None]:
    """Open the destination to read what has landed; None where nothing ever did, as opening would make the schema."""
    with _opened_destination(_destination_end(pipeline), pipeline.schema) as destination:
        if not destination.marks(pipeline.connection):
            yield None
            return
        destination.open(pipeline.connection, pipeline.schema)
        yield destination


def _job(pipeline: PipelineSettings) -> Job:
    from lockstitch.engine.run import Job

    return Job(pipeline.connection, pipeline.schema, pipeline.selection, home_folder(), pipeline.limits)


def _without_secrets(event: Event, secrets: frozenset[str]) -> Event:
    if isinstance(event, Warned | Waiting):
        return replace(event, text=hide(event.text, secrets))
    if isinstance(event, LaneFinished):
        hide_in_error(event.error, secrets)
    return event


def validate(pipeline: PipelineSettings) -> None:
    """Raise SettingsError for properties that a connector does not have or cannot take. Nothing is contacted."""
    _source_end(pipeline)
    _destination_end(pipeline)


def discover(pipeline: PipelineSettings) -> Sequence[Stream]:
    """Return all streams of the source, wanted or not."""
    with source_of(pipeline) as source:
        return source.discover()


@dataclass(frozen=True, slots=True)
class Checked:
    """How one end of a pipeline answered; `error` is None where it works."""

    kind: Kind
    type: str
    error: LockstitchError | None


def check(pipeline: PipelineSettings) -> tuple[Checked, Checked]:
    """Try both ends, the destination also where the source fails."""
    return (
        Checked("source", pipeline.source_type, check_source(pipeline)),
        Checked("destination", pipeline.destination_type, check_destination(pipeline)),
    )


def check_source(pipeline: PipelineSettings) -> LockstitchError | None:
    """Return what stands against reading the source, or None."""
    try:
        with source_of(pipeline) as source:
            source.check()
    except LockstitchError as error:
        return error
    return None


def check_destination(pipeline: PipelineSettings) -> LockstitchError | None:
    """Return what stands against loading into the destination, or None."""
    try:
        with _opened_destination(_destination_end(pipeline), pipeline.schema) as destination:
            destination.check()
    except LockstitchError as error:
        return error
    return None


# --- opening ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _End:
    """One end, its settings found right, not yet opened."""

    connector: Connector
    properties: Any
    secrets: frozenset[str]


def _source_end(pipeline: PipelineSettings) -> _End | None:
    """Return the source's end; None where the source is the program's own."""
    if pipeline.own_source is not None:
        return None
    return _end("source", pipeline.source_type, pipeline.source_properties)


def _destination_end(pipeline: PipelineSettings) -> _End:
    return _end("destination", pipeline.destination_type, pipeline.destination_properties)


def _end(kind: Kind, type_name: str, values: Mapping[str, Json]) -> _End:
    connector = find_connector(kind, type_name)
    return _End(connector, parse_properties(connector, values), connector.secrets(values))


@contextmanager
def _both(pipeline: PipelineSettings) -> Generator[tuple[Source, Destination, frozenset[str]]]:
    """Open both ends; settings of both first, so that a slip in one is told before the other is contacted."""
    source_end, destination_end = _source_end(pipeline), _destination_end(pipeline)
    secrets = (source_end.secrets if source_end else frozenset[str]()) | destination_end.secrets
    with (
        _opened_source(pipeline, source_end) as source,
        _opened_destination(destination_end, pipeline.schema) as destination,
    ):
        yield source, destination, secrets


@contextmanager
def _opened_source(pipeline: PipelineSettings, end: _End | None) -> Generator[Source]:
    if end is None:
        assert pipeline.own_source is not None
        with closing(pipeline.own_source()) as source:
            yield source
        return
    with (
        hiding(end.secrets),
        drivers_named(end.connector),
        closing(open_source(end.connector, end.properties, spool=home_folder() / "spool")) as source,
    ):
        yield source


@contextmanager
def _opened_destination(end: _End, schema: str) -> Generator[Destination]:
    with (
        hiding(end.secrets),
        drivers_named(end.connector),
        closing(open_destination(end.connector, end.properties)) as destination,
    ):
        limit = destination.rules.table_name_limit
        if len(schema) > limit:
            raise SettingsError(
                f"source.name makes the schema {schema}, {len(schema)} characters long",
                hint=f"{end.connector.type} allows {limit}: choose a shorter source.name",
            )
        yield destination
