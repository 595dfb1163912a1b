"""`lockstitch.dlt.source`: a source of ours as a dlt source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from lockstitch import verbs
from lockstitch.core.errors import SettingsError
from lockstitch.core.model import Json, Lane, Selected, Stream
from lockstitch.dlt.errors import require_dlt
from lockstitch.dlt.taken import DLT
from lockstitch.engine.plan import choose
from lockstitch.toolkit.home import home_folder

if TYPE_CHECKING:
    from dlt.extract import DltSource

    from lockstitch.dlt.columns import Columns
    from lockstitch.dlt.package import Package
    from lockstitch.library.pipeline import Streams
    from lockstitch.library.streams import OwnStream

#: Marks a column of JSON text in dlt's schema, where its type is text: not every destination of dlt's loads JSON.
NESTED = "x-lockstitch-nested"


def source(
    source: str | OwnStream | Sequence[OwnStream],
    *,
    name: str | None = None,
    properties: Mapping[str, Json] | None = None,
    streams: Streams = "*",
) -> DltSource:
    """Return a source of Lockstitch's as a dlt source, for a pipeline of dlt's.

        pipeline = dlt.pipeline("crm", destination="duckdb", dataset_name="crm")
        pipeline.run(lockstitch.dlt.source("platform.closeio", properties={"api_key": "..."}))

    `source` is a type, or a `lockstitch.stream` of your own, or several. `name` is the dlt source's, by which dlt keeps
    its schema and state: the type's last word if left out. Properties are looked for as those of
    `lockstitch.pipeline`, `streams` are chosen alike. The source is asked now what it offers; each run opens it anew.

    A lane of ours is a resource: mostly one stream, called alike. Where several streams have one position, the
    resource yields them all, each into its table. Rows come as Arrow. How far a lane has come is kept in the
    resource's state, which dlt commits with the load package: the next run goes on from it.

    What dlt then does: rows of a stream with a key are merged by it (`_sdc_sequence` says which of two is the later;
    a row that the source deleted carries `_sdc_deleted_at`, which dlt is told is a hard delete). Rows without a key
    are appended. A version that the source publishes, and the first read of a lane, replace the table.

    What dlt does not promise, and Lockstitch's own destinations do: tables are not replaced in one transaction, other
    tables of the same read come one after the other; a destination without merge gets every change of a row appended;
    rows missing from a version are removed, never marked; a load that failed half way is tried again by dlt, not
    undone. Names and types are dlt's: a value of another type than its column's comes into a column like
    `amount__v_text`, what is nested is JSON text, decimals have 9 digits after the point and else are text. A read is
    held on disk until it ends, in Lockstitch's home folder; the keys of a table that is replaced are held in memory.

    Raises SettingsError, and what the source raises when it is asked.
    """
    require_dlt()
    # That module knows this package, too: a pipeline of ours can have a source of dlt's.
    from lockstitch.library.pipeline import OWN, pipeline

    called = name or (source.rpartition(".")[2] if isinstance(source, str) else OWN)
    settings = pipeline(called, source=source, properties=properties, streams=streams).settings
    if settings.source_type == DLT:
        raise SettingsError("the source is dlt's own", hint="load it by dlt itself: dlt.pipeline(...).run(...)")
    return offered(settings)


def offered(settings: verbs.PipelineSettings) -> DltSource:
    """Return the source of these settings as a dlt source, called as their schema is."""
    import dlt

    with verbs.source_of(settings) as opened:
        wanted = choose(opened.discover(), settings.selection)
        lanes = opened.lanes(wanted)

    @dlt.source(name=settings.schema, section="lockstitch")
    def resources() -> Any:
        return [_resource(settings, lane, wanted) for lane in lanes]

    return resources()


def _resource(settings: verbs.PipelineSettings, lane: Lane, wanted: Sequence[Selected]) -> Any:
    import dlt

    streams = {one.stream.name: one.stream for one in wanted if one.stream.name in lane.streams}
    # A disposition of "replace" would make dlt forget the resource's state; what is replaced is said table by table.
    only = next(iter(streams.values())) if len(streams) == 1 else None
    hints = _hints(only, replaces=False) if only is not None and only.name == lane.name else {}

    def rows() -> Iterator[Any]:
        state = dlt.current.resource_state()
        yield from _read(settings, lane, wanted, streams, state)

    return dlt.resource(rows, name=lane.name, **hints)


def _hints(stream: Stream, *, replaces: bool) -> dict[str, Any]:
    appends = "merge" if stream.key else "append"
    hints: dict[str, Any] = {"write_disposition": "replace" if replaces else appends}
    return hints | ({"primary_key": list(stream.key)} if stream.key else {})


def _read(
    settings: verbs.PipelineSettings,
    lane: Lane,
    wanted: Sequence[Selected],
    streams: Mapping[str, Stream],
    state: dict[str, Any],
) -> Iterator[Any]:
    """Read a lane from where dlt's state says to its end, then yield its rows and move the state."""
    from lockstitch.dlt.package import Package, Shelf

    columns = {name: _columns(stream) for name, stream in streams.items()}
    known = {name: (stream, columns[name]) for name, stream in streams.items()}
    with closing(Shelf(home_folder() / "spool")) as shelf:
        package = Package(known, shelf, state.get("cursor"), state.get("versions"))
        with verbs.source_of(settings) as opened:
            opened.lanes(wanted)
            for message in opened.read(lane, package.cursor):
                package.take(message)
        for name, stream in streams.items():
            yield from _items(package, stream, columns[name])
        state["cursor"], state["versions"] = package.cursor, package.versions


def _items(package: Package, stream: Stream, columns: Columns) -> Iterator[Any]:
    """Yield a stream's rows, the first of them with what dlt is to know of their table."""
    import dlt
    from lockstitch.dlt.package import DELETED, SEQUENCE

    replaces = package.replaces(stream.name)
    told: dict[str, Any] = {name: {"data_type": "text", NESTED: True} for name in sorted(columns.nested)}
    if stream.key and not replaces:
        told[SEQUENCE] = {"data_type": "bigint", "dedup_sort": "desc"}
        told[DELETED] = {"data_type": "timestamp", "hard_delete": True}
    hints = dlt.mark.make_hints(table_name=stream.name, columns=told, **_hints(stream, replaces=replaces))
    first = True
    for rows in package.rows(stream.name):
        yield (
            dlt.mark.with_hints(rows, hints, create_table_variant=True)
            if first
            else dlt.mark.with_table_name(rows, stream.name)
        )
        first = False
    if first and replaces and columns.stored:
        yield dlt.mark.with_hints(dlt.mark.materialize_table_schema(), hints, create_table_variant=True)


def _columns(stream: Stream) -> Columns:
    """Return a stream's columns as dlt's schema has them so far; outside of a pipeline it has none."""
    from dlt.extract.exceptions import CurrentSourceSchemaNotAvailable

    import dlt
    from lockstitch.dlt.columns import Columns

    try:
        schema = dlt.current.source_schema()
    except CurrentSourceSchemaNotAvailable:
        return Columns(stream.name, stream.key, {}, _same)
    table = schema.tables.get(schema.naming.normalize_tables_path(stream.name))
    stored: Mapping[str, Any] = table.get("columns", {}) if table is not None else {}
    kinds = {
        name: "json" if column.get(NESTED) else str(column["data_type"])
        for name, column in stored.items()
        if "data_type" in column
    }
    return Columns(stream.name, stream.key, kinds, schema.naming.normalize_path)


def _same(name: str) -> str:
    return name
