"""A pipeline: one source, one destination, and what to carry. Reads its file, opens both ends and calls the engine."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from lockstitch.connectors import (
    Connector,
    Kind,
    closest,
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
from lockstitch.core.model import Json, Lane, Mark, ReplicationMethod, Selection, Stream, StreamChoice
from lockstitch.engine.events import Event, LaneFinished, Waiting, Warned
from lockstitch.engine.limits import LoadLimits

if TYPE_CHECKING:
    from threading import Event as Flag

    from lockstitch.core.protocols import Destination, Source
    from lockstitch.engine.forecast import Forecast
    from lockstitch.engine.run import Job, RunResult
    from lockstitch.engine.verify import TableVerdict


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What one file says. `connection` names it in the destination's marks, `schema` is where its tables lie.

    Property values are as written, with the environment filled in; they may hold secrets, so `repr` leaves them out.
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


# --- the verbs --------------------------------------------------------------------------------------------------------


def run(pipeline: Pipeline, *, events: Callable[[Event], None] = lambda _: None, stop: Flag | None = None) -> RunResult:
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


def plan(pipeline: Pipeline) -> Forecast:
    """Return what the next run would do; changes nothing."""
    with _both(pipeline) as (source, destination, _):
        from lockstitch.engine.forecast import forecast

        return forecast(source, destination, _job(pipeline))


def verify(pipeline: Pipeline) -> Sequence[TableVerdict]:
    """Compare each table with the source up to the mark, or else with the ledger."""
    with _both(pipeline) as (source, destination, _):
        from lockstitch.engine import verify

        return verify.verify(source, destination, _job(pipeline))


def reset(pipeline: Pipeline, stream: str) -> Lane:
    """Let the next run read a stream's lane from its beginning; the tables stay as they are until then."""
    with _both(pipeline) as (source, destination, _):
        from lockstitch.engine import moves

        return moves.reset(source, destination, _job(pipeline), stream)


def adopt(pipeline: Pipeline, state: Mapping[str, Any]) -> Mapping[str, Mark]:
    """Take over a Singer tap's state; return the marks of the lanes that go on from it."""
    with _both(pipeline) as (source, destination, _):
        from lockstitch.engine import moves

        return moves.adopt(source, destination, _job(pipeline), state)


def _job(pipeline: Pipeline) -> Job:
    from lockstitch.engine.run import Job

    return Job(pipeline.connection, pipeline.schema, pipeline.selection, home_folder(), pipeline.limits)


def _without_secrets(event: Event, secrets: frozenset[str]) -> Event:
    if isinstance(event, Warned | Waiting):
        return replace(event, text=hide(event.text, secrets))
    if isinstance(event, LaneFinished):
        hide_in_error(event.error, secrets)
    return event


def discover(pipeline: Pipeline) -> Sequence[Stream]:
    """Return all streams of the source, wanted or not."""
    with _opened_source(_source_end(pipeline)) as source:
        return source.discover()


@dataclass(frozen=True, slots=True)
class Checked:
    """How one end of a pipeline answered; `error` is None where it works."""

    kind: Kind
    type: str
    error: LockstitchError | None


def check(pipeline: Pipeline) -> tuple[Checked, Checked]:
    """Try both ends, the destination also where the source fails."""
    return (
        Checked("source", pipeline.source_type, check_source(pipeline)),
        Checked("destination", pipeline.destination_type, check_destination(pipeline)),
    )


def check_source(pipeline: Pipeline) -> LockstitchError | None:
    """Return what stands against reading the source, or None."""
    try:
        with _opened_source(_source_end(pipeline)) as source:
            source.check()
    except LockstitchError as error:
        return error
    return None


def check_destination(pipeline: Pipeline) -> LockstitchError | None:
    """Return what stands against loading into the destination, or None."""
    try:
        with _opened_destination(_destination_end(pipeline), pipeline.schema) as destination:
            destination.check()
    except LockstitchError as error:
        return error
    return None


def home_folder() -> Path:
    """Return the folder for what waits between runs and loads, made so that only its owner can look inside."""
    home = Path(os.environ.get("LOCKSTITCH_HOME") or "~/.lockstitch").expanduser()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"the home folder {home} cannot be made: {error.strerror}",
            hint="set LOCKSTITCH_HOME to a folder that can be written",
        ) from error
    return home


# --- opening ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _End:
    """One end, its settings found right, not yet opened."""

    connector: Connector
    properties: Any
    secrets: frozenset[str]


def _source_end(pipeline: Pipeline) -> _End:
    return _end("source", pipeline.source_type, pipeline.source_properties)


def _destination_end(pipeline: Pipeline) -> _End:
    return _end("destination", pipeline.destination_type, pipeline.destination_properties)


def _end(kind: Kind, type_name: str, values: Mapping[str, Json]) -> _End:
    connector = find_connector(kind, type_name)
    return _End(connector, parse_properties(connector, values), connector.secrets(values))


@contextmanager
def _both(pipeline: Pipeline) -> Generator[tuple[Source, Destination, frozenset[str]]]:
    """Open both ends; settings of both first, so that a slip in one is told before the other is contacted."""
    source_end, destination_end = _source_end(pipeline), _destination_end(pipeline)
    with _opened_source(source_end) as source, _opened_destination(destination_end, pipeline.schema) as destination:
        yield source, destination, source_end.secrets | destination_end.secrets


@contextmanager
def _opened_source(end: _End) -> Generator[Source]:
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


# --- the file ---------------------------------------------------------------------------------------------------------


def load_pipeline(path: Path) -> Pipeline:
    """Read a pipeline file; a user error says where in it something is wrong, and what is allowed there."""
    try:
        return _pipeline(_document(path), path)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error.message}", hint=error.hint) from error.__cause__


def _document(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError("there is no such file", hint="name a pipeline file; docs/cli.md shows one") from None
    except OSError as error:
        raise SettingsError(f"cannot be read: {error.strerror}", hint="name a pipeline file you may read") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"is not TOML: {error}", hint="write text in quotes and one setting a line") from error
    return cast("dict[str, Any]", _with_environment(document, ""))


def _pipeline(document: dict[str, Any], path: Path) -> Pipeline:
    _refuse_unknown(document, ("source", "destination", "load"), "")
    source = _table(document, "source", "")
    destination = _table(document, "destination", "")
    _refuse_unknown(source, ("type", "name", "id", "streams", "properties"), "source.")
    _refuse_unknown(destination, ("type", "properties"), "destination.")
    source_type = _text(source, "type", "source.")
    schema = schema_name(_text(source, "name", "source."))
    return Pipeline(
        connection=_text(source, "id", "source.") if "id" in source else connection_id(source_type, schema),
        schema=schema,
        source_type=source_type,
        source_properties=_table(source, "properties", "source."),
        selection=_selection(source.get("streams", "*")),
        destination_type=_text(destination, "type", "destination."),
        destination_properties=_table(destination, "properties", "destination."),
        limits=_limits(document),
        path=path,
    )


def schema_name(name: str) -> str:
    """Return the schema for a source's name (`spec/loading.md` section 1); it can never change afterwards."""
    schema = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not schema or name.lower().startswith("_sdc") or schema in ("information_schema", "pg_catalog"):
        raise SettingsError(
            f"source.name is {name!r}, which makes no schema name",
            hint="choose a name with a letter or digit, not beginning with _sdc, and no name of the database's own",
        )
    return schema


def connection_id(source_type: str, schema: str) -> str:
    """Return the id of a connection that was given none. Hashes the schema: "Heap" and "heap" fill the same tables."""
    import hashlib

    return hashlib.sha256(f"{source_type}\0{schema}".encode()).hexdigest()[:16]


_VARIABLE = re.compile(r"\$(\$\{|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|\{)")


def _with_environment(value: Any, place: str) -> Any:
    """Return the value with every `${NAME}` in a text replaced; `$${` stands for `${` itself."""
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return {key: _with_environment(each, f"{place}.{key}".lstrip(".")) for key, each in table.items()}
    if isinstance(value, list):
        return [_with_environment(each, f"{place}[{at}]") for at, each in enumerate(cast("list[Any]", value))]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match, place), value)
    return value


def _variable(match: re.Match[str], place: str) -> str:
    name = match["name"]
    if match[0] == "$${":
        return "${"
    if name is None:
        raise SettingsError(f"{place} holds a ${{ that names no variable", hint="write ${NAME}, or $${ for ${ itself")
    if name not in os.environ:
        raise SettingsError(
            f"{place} reads the environment variable {name}, which is not set", hint=f"export {name}=..."
        )
    return os.environ[name]


_METHODS: tuple[str, ...] = get_args(ReplicationMethod)


def _selection(streams: object) -> Selection:
    if streams == "*":
        return None
    if not isinstance(streams, dict) or not streams:
        raise SettingsError(
            f"source.streams is {streams!r}",
            hint='write streams = "*" for all, or a table [source.streams] with lines like users = "*"',
        )
    return {name: _choice(choice, f"source.streams.{name}") for name, choice in cast("dict[str, Any]", streams).items()}


def _choice(choice: object, place: str) -> StreamChoice:
    if not isinstance(choice, dict):
        return StreamChoice(_fields(choice, place))
    table = cast("dict[str, Any]", choice)
    _refuse_unknown(table, ("fields", "replication_method", "replication_key"), f"{place}.")
    method = table.get("replication_method")
    if method is not None and method not in _METHODS:
        raise SettingsError(f"{place}.replication_method is {method!r}", hint=f"use one of {', '.join(_METHODS)}")
    return StreamChoice(
        fields=_fields(table.get("fields", "*"), f"{place}.fields"),
        replication_method=cast("ReplicationMethod | None", method),
        replication_key=_text(table, "replication_key", f"{place}.") if "replication_key" in table else None,
    )


def _fields(value: object, place: str) -> frozenset[str] | None:
    if value == "*":
        return None
    names = cast("list[object]", value) if isinstance(value, list) else []
    if not names or not all(isinstance(name, str) and name for name in names):
        raise SettingsError(f"{place} is {value!r}", hint='write "*" for all fields, or a list like ["id", "time"]')
    return frozenset(cast("list[str]", names))


def _limits(document: dict[str, Any]) -> LoadLimits:
    table = _table(document, "load", "") if "load" in document else {}
    _refuse_unknown(table, [limit.name for limit in fields(LoadLimits)], "load.")
    for key, value in table.items():
        if type(value) is not int or value < 1:
            raise SettingsError(f"load.{key} is {value!r}", hint="write a whole number from 1 up")
    return LoadLimits(**table)


def _refuse_unknown(table: Mapping[str, Any], known: Sequence[str], place: str) -> None:
    for key in table:
        if key not in known:
            raise SettingsError(
                f"{place}{key} is no setting", hint=f"{closest(key, known)}known here: {', '.join(known)}"
            )


def _table(table: Mapping[str, Any], key: str, place: str) -> dict[str, Any]:
    if not isinstance(table.get(key), dict):
        raise SettingsError(f"[{place}{key}] is missing", hint=f"add a table [{place}{key}]")
    return table[key]


def _text(table: Mapping[str, Any], key: str, place: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        seen = "missing" if value is None else repr(value)
        raise SettingsError(f"{place}{key} is {seen}", hint=f'write text in quotes: {key} = "..."')
    return value
