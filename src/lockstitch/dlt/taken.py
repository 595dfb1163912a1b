"""dlt's sources as sources of ours: dlt extracts into a folder of its own, and what it has written there is read.

A dlt source is one lane, as all its resources have one state. A pipeline of dlt's, in a new folder each time, is given
the state of the cursor, and extracts; the state that it has afterwards is the next cursor. That is dlt's public way,
so that incremental loading, transformers, parallel resources and filters are what they are in dlt.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from lockstitch.core.errors import SettingsError, SourceDataError
from lockstitch.core.model import Batch, Checkpoint, Json, Lane, Message, Part, Publish, Selected, Stream, Version
from lockstitch.dlt.errors import explained
from lockstitch.library.streams import refuse_other_method
from lockstitch.toolkit.home import home_folder

if TYPE_CHECKING:
    import pyarrow as pa
    from dlt.extract import DltResource, DltSource
    from dlt.extract.reference import SourceFactory

    from lockstitch.dlt.extraction import Extraction

    #: What dlt's decorators make, called or not.
    Given = DltSource | DltResource | SourceFactory[..., Any]

_log = logging.getLogger(__name__)

#: What the source of a pipeline is called whose source is dlt's.
DLT = "dlt"

#: Classes of dlt's, told by their names: whoever has none must not pay for importing dlt.
_CLASSES = ("DltSource", "DltResource", "SourceFactory")

Action = Literal["upsert", "append", "replace"]


def is_dlts(source: object) -> bool:
    """Tell whether something is a source or resource of dlt's, or a function that makes a source."""
    kinds = type(source).__mro__
    return any(kind.__name__ in _CLASSES and kind.__module__.partition(".")[0] == "dlt" for kind in kinds)


def taken_source(given: Given | Sequence[Given]) -> Callable[[], TakenSource]:
    """Return what opens a source of ours that reads what is given. Raises SettingsError for what dlt cannot make."""
    several = cast("Sequence[Given]", [given] if is_dlts(given) else given)

    def opened() -> TakenSource:
        with explained("the dlt source"):
            sources = [_as_source(one) for one in several]
        names = [one.name for one in sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SettingsError(
                f"two dlt sources are called {twice[0]!r}", hint='give each a name: @dlt.source(name="...")'
            )
        return TakenSource(sources)

    return opened


def _as_source(given: Any) -> DltSource:
    """Return a source to read once: a copy, or what the function makes; a lone resource gets a source of its own."""
    from dlt.extract import DltResource, DltSource

    import dlt

    if isinstance(given, DltSource):
        return given.clone()
    if isinstance(given, DltResource):

        def alone() -> DltResource:
            return given

        return dlt.source(alone, name=given.name)()
    return given()


@dataclass(frozen=True, slots=True)
class Table:
    """A table that resources of one dlt source fill, as dlt is told to fill it.

    `kinds` are the types that a hint gives to columns, `deleted` is the column whose value says that a row is deleted.
    `ignored` are the hints that have no effect here, each with what happens instead.
    """

    stream: Stream
    resources: tuple[str, ...]
    action: Action
    kinds: Mapping[str, str]
    deleted: str | None
    ignored: tuple[str, ...]


class TakenSource:
    """Sources of dlt's, each a lane."""

    new_fields: ClassVar[Literal["add", "report"]] = "add"

    def __init__(self, sources: Sequence[DltSource]) -> None:
        self._sources = {one.name: one for one in sources}
        self._tables: dict[str, dict[str, Table]] = {}
        self._wanted: dict[str, Selected] = {}

    def check(self) -> None:
        self._all_tables()

    def discover(self) -> Sequence[Stream]:
        return tuple(one.stream for tables in self._all_tables().values() for one in tables.values())

    def lanes(self, wanted: Sequence[Selected]) -> Sequence[Lane]:
        refuse_other_method(wanted, "say it in the resource's write_disposition and incremental")
        self._wanted = {one.stream.name: one for one in wanted}
        chosen = {
            source: tuple(name for name in tables if name in self._wanted)
            for source, tables in self._all_tables().items()
        }
        for tables in self._all_tables().values():
            for name in tables.keys() & self._wanted.keys():
                for told in tables[name].ignored:
                    _log.warning("resource %s: %s", tables[name].resources[0], told)
        # Only the resource itself knows whether it gives a row again; dlt promises nothing.
        return tuple(Lane(source, names, "repeats") for source, names in chosen.items() if names)

    def parts(self, lane: Lane, cursor: Json) -> Sequence[Part]:
        del lane, cursor
        return ()

    def read(self, lane: Lane, cursor: Json) -> Iterator[Message]:
        from lockstitch.dlt.extraction import Extraction

        before, state = _position(lane, cursor)
        number = max(time.time_ns() // 1_000_000, before + 1)
        tables = {name: table for name, table in self._all_tables()[lane.name].items() if name in lane.streams}
        resources = dict.fromkeys(name for table in tables.values() for name in table.resources)
        source = self._sources[lane.name].with_resources(*resources)
        with closing(Extraction(source, state, home_folder() / "spool")) as extraction:
            extraction.refuse_others(tables)
            for table in tables.values():
                yield from self._replaced(table, number, extraction)
            yield Checkpoint({"read": number, "state": extraction.state})

    def _replaced(self, table: Table, number: int, extraction: Extraction) -> Iterator[Message]:
        """Yield a table's rows, as a version where they replace all that were there."""
        name = table.stream.name
        if table.action == "replace":
            yield Version(name, number)
        for rows in extraction.rows(table):
            yield from self._batches(table, rows)
        if table.action == "replace":
            yield Publish(name, number)

    def _batches(self, table: Table, rows: pa.RecordBatch) -> Iterator[Batch]:
        """Yield the wanted fields of the rows, apart those that are deleted, in the rows' order."""
        from lockstitch.dlt.extraction import runs

        wanted = self._wanted[table.stream.name]
        names = [name for name in rows.schema.names if wanted.wants(name)]
        if table.deleted is None or table.deleted not in rows.schema.names:
            yield Batch(table.stream.name, rows.select(names))
            return
        for is_deleted, run in runs(rows, table.deleted):
            kept = [name for name in names if name in table.stream.key or not is_deleted]
            yield Batch(table.stream.name, run.select(kept), "delete" if is_deleted else "upsert")

    def committed(self, lane: Lane, cursor: Json) -> None:
        """A resource need not know: it is asked from the last mark's state on."""

    def close(self) -> None:
        """Nothing is open between two reads."""

    def _all_tables(self) -> Mapping[str, Mapping[str, Table]]:
        if not self._tables:
            with explained("the dlt source"):
                tables = {name: _tables(source) for name, source in self._sources.items()}
            names = [name for found in tables.values() for name in found]
            for name in names:
                if names.count(name) > 1:
                    raise SettingsError(
                        f"two dlt sources fill the table {name!r}",
                        hint="give one of the resources another table_name, or a pipeline of its own",
                    )
            self._tables = tables
        return self._tables


def _position(lane: Lane, cursor: Json) -> tuple[int, Json]:
    """Return the number of the read before and dlt's state after it. Raises SettingsError for another's cursor."""
    if cursor is None:
        return 0, {}
    if isinstance(cursor, dict) and cursor.keys() == {"read", "state"} and isinstance(cursor["read"], int):
        return cursor["read"], cursor["state"]
    raise SettingsError(
        f"the dlt source {lane.name} cannot go on after {cursor!r}",
        hint="its pipeline read something else before: pipeline.reset(...) begins anew",
    )


# --- what resources say of their tables -------------------------------------------------------------------------------


def _tables(source: DltSource) -> dict[str, Table]:
    found: dict[str, Table] = {}
    for name, resource in source.selected_resources.items():
        table = _table(source, resource)
        before = found.get(table.stream.name)
        if before is not None and (before.stream, before.action) != (table.stream, table.action):
            raise SettingsError(
                f"resources {before.resources[0]!r} and {name!r} fill the table {table.stream.name!r} in two ways",
                hint="give both the same write_disposition and primary_key, or tables of their own",
            )
        resources = (*before.resources, name) if before is not None else (name,)
        found[table.stream.name] = replace(table, resources=resources)
    return found


def _table(source: DltSource, resource: DltResource) -> Table:
    from dlt.extract.exceptions import DataItemRequiredForDynamicTableHints

    try:
        hints = resource.compute_table_schema()
    except DataItemRequiredForDynamicTableHints as error:
        raise SettingsError(
            f"resource {resource.name!r} tells the {error} only with its rows",
            hint="Lockstitch plans tables before it reads: give table_name, primary_key and write_disposition as they "
            "are, and each kind of rows a resource of its own",
        ) from error
    columns: Mapping[str, Any] = hints.get("columns", {})
    action, key, deleted = way_of(resource.name, hints)
    name = source.schema.naming.normalize_tables_path(hints.get("name") or resource.name)
    return Table(
        Stream(
            name,
            key=key,
            replication_method="FULL_TABLE" if action == "replace" else "INCREMENTAL",
        ),
        (resource.name,),
        action,
        {name: kind for name, one in columns.items() if (kind := str(one.get("data_type", "json"))) != "json"},
        deleted,
        tuple(_ignored(source, resource, columns)),
    )


def way_of(resource: str, hints: Mapping[str, Any]) -> tuple[Action, tuple[str, ...], str | None]:
    """Return what is to become of the rows, their key, and the column that says that a row is deleted.

    Raises SettingsError for what we would do otherwise than dlt.
    """
    columns: Mapping[str, Any] = hints.get("columns", {})
    key = tuple(name for name, one in columns.items() if one.get("primary_key"))
    action = _action(resource, hints, key, columns)
    deleted = next((name for name, one in columns.items() if one.get("hard_delete")), None)
    return action, () if action == "append" else key, deleted if action == "upsert" else None


def _ignored(source: DltSource, resource: DltResource, columns: Mapping[str, Any]) -> Iterator[str]:
    """Yield which hints have no effect, as dlt would apply them only after its extraction."""
    for name, one in columns.items():
        if one.get("dedup_sort"):
            yield f"dedup_sort on {name} has no effect: of two rows of one key the last one read counts"
    if (resource.schema_contract or source.schema_contract or "evolve") != "evolve":
        yield "schema_contract has no effect on dicts: their new columns and types are added"
    nesting = (resource.max_table_nesting, cast("int | None", source.max_table_nesting))
    if nesting != (None, None):
        yield "max_table_nesting has no effect: each list becomes a table of its own"
    if resource.nested_hints:
        yield "nested_hints have no effect: nested values keep the types that they have"


def _action(
    resource: str, hints: Mapping[str, Any], key: Sequence[str], columns: Mapping[str, Mapping[str, Any]]
) -> Action:
    """Return what is to become of the rows. Raises SettingsError for what we would do otherwise than dlt."""
    disposition = hints.get("write_disposition", "append")
    if disposition in ("append", "replace"):
        return cast("Action", disposition)
    strategy = hints.get("x-merge-strategy", "delete-insert")
    by_group = any(one.get("merge_key") for one in columns.values())
    if disposition != "merge" or strategy not in ("delete-insert", "upsert") or by_group:
        what = f"merges by {'merge_key' if by_group else strategy}" if disposition == "merge" else f"is {disposition!r}"
        raise SettingsError(
            f"resource {resource!r}: its write_disposition {what}, which Lockstitch does not do",
            hint='use "append", "replace", or "merge" with a primary_key; or load it by dlt itself, and leave it out '
            "here: source.with_resources(...)",
        )
    if not key:
        raise SettingsError(
            f"resource {resource!r}: it merges, and has no primary_key",
            hint='name the key: apply_hints(primary_key="..."), or use "append", as dlt itself would without a word',
        )
    return "upsert"


def refused(table: str, source: str) -> SourceDataError:
    """Return the error for rows of a table that nobody told of."""
    return SourceDataError(
        f"the dlt source {source} gave rows for the table {table!r}, which no resource tells of beforehand",
        hint="Lockstitch plans tables before it reads: give each kind of rows a resource of its own",
    )


def refused_way(table: str, source: str) -> SourceDataError:
    """Return the error for rows that came with other hints than their resource has."""
    return SourceDataError(
        f"the dlt source {source} changed the write_disposition or key of the table {table!r} while it was read",
        hint="Lockstitch plans tables before it reads: give the resource these hints instead of its rows",
    )
