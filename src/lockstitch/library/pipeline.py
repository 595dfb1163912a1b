"""`lockstitch.pipeline`: a pipeline as an object of a program."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lockstitch import verbs
from lockstitch.connectors import find_connector
from lockstitch.core.errors import SettingsError, verdict_of
from lockstitch.core.model import Json, Lane, Selection, Stream
from lockstitch.dlt.taken import DLT, is_dlts, taken_source
from lockstitch.engine.limits import LoadLimits
from lockstitch.library.dataset import Dataset
from lockstitch.library.own_source import own_source
from lockstitch.library.progress import Progress, following
from lockstitch.library.properties import gather
from lockstitch.library.result import Run
from lockstitch.library.shown import Shown
from lockstitch.library.streams import OwnStream
from lockstitch.pipeline_file import connection_id, schema_name, selection_of
from lockstitch.pipeline_file import load_pipeline as read_pipeline

if TYPE_CHECKING:
    from lockstitch.core.protocols import Source
    from lockstitch.dlt.taken import Given
    from lockstitch.engine.events import Event
    from lockstitch.engine.forecast import Forecast
    from lockstitch.engine.verify import TableVerdict

#: What the source of a program's own streams is called.
OWN = "python"

#: Streams as a program chooses them: "*" for all, names, or by name "*", a list of fields, or a table as in a file.
Streams = str | Sequence[str] | Mapping[str, object]


def pipeline(  # noqa: PLR0913 - each is a setting, given by its name
    name: str,
    *,
    source: str | OwnStream | Given | Sequence[OwnStream] | Sequence[Given],
    properties: Mapping[str, Json] | None = None,
    destination: str = "duckdb",
    destination_properties: Mapping[str, Json] | None = None,
    dataset: str | None = None,
    streams: Streams = "*",
    limits: LoadLimits | None = None,
    id: str | None = None,
) -> Pipeline:
    """Return the pipeline from a source to a destination. Nothing is contacted yet.

        lockstitch.pipeline("heap", source="platform.heap", properties={"bucket_url": "file:///data/heap"}).run()

    `name` is the pipeline's own: its settings and its progress belong to it. `source` and `destination` are types, as
    `lockstitch.connectors.known_types` lists them; a source may also be a `lockstitch.stream` of your own, or several,
    or a source or resource of dlt's, or several (docs/dlt.md). DuckDB without a path is `<name>.duckdb` in the working
    directory. `dataset` is the schema of the tables, called like the pipeline if left out. A property that is not given
    is looked for in the environment (LOCKSTITCH_HEAP__SOURCE__BUCKET_URL), then in `.lockstitch/secrets.toml`;
    docs/library.md has the order. `streams` are "*" for all, or names, or a mapping of names to "*" or lists of fields.
    `limits` say when a load is cut. `id` names the progress in the destination, where it is not to be made of the
    names.

    Raises SettingsError, which says where it looked.
    """
    schema = schema_name(dataset or name)
    source_type = source if isinstance(source, str) else DLT if _is_dlts(source) else OWN
    found = gather(name, find_connector("source", source), properties or {}) if isinstance(source, str) else None
    end_found = gather(name, find_connector("destination", destination), destination_properties or {})
    settings = verbs.PipelineSettings(
        connection=id or _connection(source_type, schema_name(name), schema),
        schema=schema,
        source_type=source_type,
        source_properties=found.values if found else {},
        destination_type=destination,
        destination_properties=end_found.values,
        selection=_selection(streams),
        limits=limits or LoadLimits(),
        own_source=None if isinstance(source, str) else _given_source(source, properties),
    )
    made = Pipeline(name, settings, {"source": found.looked if found else "", "destination": end_found.looked})
    with made._looked_told():
        verbs.validate(settings)
    return made


def _is_dlts(source: object) -> bool:
    several = cast("Sequence[object]", source) if isinstance(source, list | tuple) else [source]
    return bool(several) and all(map(is_dlts, several))


def _given_source(
    source: OwnStream | Given | Sequence[OwnStream] | Sequence[Given], properties: object
) -> Callable[[], Source]:
    """Return what opens the streams, or the sources of dlt's, that a program gives."""
    if properties:
        raise SettingsError(
            "properties are given, and the source is the program's own",
            hint="let the streams' functions read their settings themselves",
        )
    if _is_dlts(source):
        return taken_source(cast("Given | Sequence[Given]", source))
    # A program may be untyped: what is neither a stream nor several is told like one that is no stream.
    given = list(cast("Sequence[object]", source)) if isinstance(source, Iterable) else [source]
    for one in given:
        if not isinstance(one, OwnStream):
            raise SettingsError(f"source holds {one!r}, which is no stream", hint="write @lockstitch.stream before it")
    return own_source(cast("Sequence[OwnStream]", given))


def load_pipeline(path: str | os.PathLike[str]) -> Pipeline:
    """Return the pipeline of a file, the one that the command line takes. Raises SettingsError.

    lockstitch.load_pipeline("pipeline.toml").run()
    """
    settings = read_pipeline(Path(path))
    return Pipeline(settings.schema, settings)


def _connection(source: str, name: str, schema: str) -> str:
    """Return whose progress it is: a file's of that name, or where the dataset is called otherwise, this name's alone.

    Two pipelines that fill one dataset must not go on where the other one stands.
    """
    return connection_id(source, schema if name == schema else f"{schema}\0{name}")


def _selection(streams: Streams) -> Selection:
    if isinstance(streams, Sequence | Set) and not isinstance(streams, str):
        return selection_of(dict.fromkeys(streams, "*"))
    return selection_of(dict(streams) if isinstance(streams, Mapping) else streams)


@dataclass(frozen=True, slots=True, repr=False)
class Pipeline:
    """One source, one destination, and what to carry between them. Each method opens what it needs, and closes it.

    What fails raises a LockstitchError, whose text says what mends it.
    """

    name: str
    settings: verbs.PipelineSettings
    _looked: Mapping[str, str] = field(default_factory=dict[str, str], compare=False)

    def __repr__(self) -> str:
        one = self.settings
        return f"<pipeline {self.name}: {one.source_type} to {one.destination_type}, dataset {one.schema}>"

    def check(self) -> None:
        """Try both ends: settings, access, rights. Raises what stands against them, the source's error first.

        pipeline.check()
        """
        with self._looked_told():
            errors = [end.error for end in verbs.check(self.settings) if end.error is not None]
            if errors:
                for other in errors[1:]:
                    errors[0].add_note(f"and: {other}")
                raise errors[0]

    def discover(self) -> tuple[Stream, ...]:
        """Return all streams of the source, with their fields and keys, wanted or not.

        [stream.name for stream in pipeline.discover()]
        """
        with self._looked_told():
            return tuple(verbs.discover(self.settings))

    def plan(self) -> Forecast:
        """Return what the next run would read, create, alter and replace, and what it cannot promise.

        [one.table for one in pipeline.plan().streams if one.reads]
        """
        with self._looked_told():
            return verbs.plan(self.settings)

    def run(
        self,
        *,
        progress: Progress = "auto",
        raise_errors: bool = True,
        events: Callable[[Event], None] | None = None,
    ) -> Run:
        """Carry what is new, once, and return what that was.

            run = pipeline.run()
            run.rows, run.tables["users"]["inserted"]

        `progress` is "auto" (a live table in a terminal and in a notebook, else nothing), "live", "plain" or "none".
        `events` gets each event, from several threads but one at a time. One stream's error does not stop the others:
        the gravest is raised at the end; with `raise_errors=False` the errors are in the result instead.
        """
        with self._looked_told():
            with following(progress, events) as (tally, show):
                result = verbs.run(self.settings, events=show)
            run = Run.of(self, result, tally)
        if raise_errors and run.errors:
            raise _gravest(run)
        return run

    def verify(self) -> tuple[TableVerdict, ...]:
        """Compare each table with the source up to where the last run came, or else with the ledger.

        assert all(verdict.holds for verdict in pipeline.verify())
        """
        with self._looked_told():
            return tuple(verbs.verify(self.settings))

    def reset(self, stream: str) -> Lane:
        """Let the next run read a stream from its beginning; the tables stay as they are until then.

            pipeline.reset("users")

        Returns the lane: all its streams are read together, and so are reset together.
        """
        with self._looked_told():
            return verbs.reset(self.settings, stream)

    def show(self) -> Shown:
        """Return tables, load history and marks as they stand in the destination. The source is not asked.

        print(pipeline.show())
        {table.name: table.rows for table in pipeline.show().tables}
        """
        with self._looked_told():
            return Shown(verbs.show(self.settings))

    def dataset(self) -> Dataset:
        """Return what has landed.

        pipeline.dataset().users.df()
        """
        return Dataset(self.settings)

    @contextmanager
    def _looked_told(self) -> Generator[None]:
        """Say in an error about a property where properties were looked for."""
        try:
            yield
        except SettingsError as error:
            kind, dot, _ = error.message.partition(".properties")
            if not dot or kind not in self._looked:
                raise
            raise SettingsError(
                f"pipeline {self.name}: {error.message}", hint=f"{error.hint}; looked in {self._looked[kind]}"
            ) from error.__cause__


def _gravest(run: Run) -> BaseException:
    """Return the error to raise: of the run's own verdict, with the others as its notes."""
    lane, error = next((lane, error) for lane, error in run.errors.items() if verdict_of(error) == run.verdict)
    error.add_note(f"stream {lane}; what other streams brought, and this one up to its last checkpoint, has landed")
    for name, other in run.errors.items():
        if other is not error:
            error.add_note(f"and stream {name}: {other}")
    return error
