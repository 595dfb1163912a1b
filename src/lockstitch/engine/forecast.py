"""What the next run would do: looks at marks, tables and where reading would begin, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lockstitch.core.model import (
    Batch,
    Checkpoint,
    Field,
    Lane,
    Mark,
    Plan,
    Publish,
    Remaining,
    StreamPlan,
    Table,
    Version,
)
from lockstitch.core.protocols import Destination, Source
from lockstitch.core.rules import Rules
from lockstitch.engine.plan import adds_rows, make_plan, rows_appended
from lockstitch.engine.run import Job
from lockstitch.layout.columns import Columns
from lockstitch.layout.names import SEPARATOR, canonical, column_fault, fold


@dataclass(frozen=True, slots=True)
class StreamForecast:
    """What would become of one stream.

    `reads` tells whether there is something new; how much is left in its lane is None where the source cannot tell.
    `columns` are those that the table lacks: each comes with its first value. `replaces`: all rows of the table would
    be replaced at once.
    """

    stream: str
    table: str
    key: tuple[str, ...]
    after: int | None
    reads: bool
    files: int | None
    bytes: int | None
    creates: bool
    replaces: bool
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the next run would do. `reservations` are what it cannot promise."""

    connection: str
    schema: str
    streams: tuple[StreamForecast, ...]
    reservations: tuple[str, ...]


def forecast(source: Source, destination: Destination, job: Job) -> Forecast:
    """Return what the next run would do. Raises what the run would raise before its first load."""
    plan = make_plan(source, destination, connection=job.connection, schema=job.schema, selection=job.selection)
    marks = destination.marks(job.connection)
    tables: Mapping[str, Table] = {}
    if marks:
        # With a mark there, our tables and the schema exist: opening makes nothing new.
        destination.open(job.connection, job.schema)
        tables = {table.name: table for table in destination.tables() if table.version is None}
    streams = [
        one for lane in plan.lanes for one in _lane(source, lane, marks.get(lane.name), plan, tables, destination.rules)
    ]
    reservations = (
        *_reservations(plan, destination.rules),
        *_appended(plan, streams, tables, destination.rules),
        *_expired(plan, marks),
        *_visibility(destination),
    )
    return Forecast(job.connection, job.schema, tuple(streams), reservations)


@dataclass(slots=True)
class _Beginning:
    """What a lane says first: enough to know whether it has anything, and of which version."""

    remaining: Remaining | None = None
    versions: dict[str, int] = field(default_factory=dict[str, int])
    reads: bool = False


def _begin(source: Source, lane: Lane, mark: Mark | None) -> _Beginning:
    """Read until the first rows and no further."""
    seen = _Beginning()
    messages = source.read(lane, mark.cursor if mark is not None else None)
    for message in messages:
        match message:
            case Checkpoint():
                seen.remaining = seen.remaining or message.remaining
            case Version():
                seen.versions[message.stream] = message.number
                seen.reads = True
            case Publish():
                seen.reads = True
            case Batch():
                seen.reads = seen.reads or message.rows.num_rows > 0
                if message.rows.num_rows:
                    break
    return seen


def _lane(
    source: Source, lane: Lane, mark: Mark | None, plan: Plan, tables: Mapping[str, Table], rules: Rules
) -> Iterable[StreamForecast]:
    seen = _begin(source, lane, mark)
    is_reset = _is_reset(mark)
    published = mark.versions if mark is not None else {}
    for name in lane.streams:
        if name not in plan.streams:
            continue
        one = plan.streams[name]
        table = tables.get(one.table)
        version = seen.versions.get(name)
        is_new = version is not None and version != published.get(name)
        yield StreamForecast(
            stream=name,
            table=one.table,
            key=one.key,
            after=mark.number if mark is not None else None,
            reads=seen.reads or is_reset,
            files=seen.remaining and seen.remaining.files,
            bytes=seen.remaining and seen.remaining.bytes,
            creates=seen.reads and table is None,
            replaces=table is not None and (is_new or (is_reset and not one.outlives_reset)),
            columns=tuple(_new_columns(one, table, rules)) if seen.reads else (),
        )


def _is_reset(mark: Mark | None) -> bool:
    return mark is not None and mark.cursor is None and mark.epoch > 1


def _new_columns(plan: StreamPlan, table: Table | None, rules: Rules) -> Iterable[str]:
    """Yield the columns that the wanted fields need and the table lacks, subtables left out."""
    there = {fold(column.name, rules) for column in table.columns} if table is not None else set[str]()
    # A split column goes by its name with a type's suffix.
    ends = ["", *(f"{SEPARATOR}{rule.suffix}" for rule in rules.types.values())]
    for one in _wanted(plan):
        name = canonical(one.name, rules.column_name)
        known = any(fold(f"{name}{end}", rules) in there for end in ends)
        if not known and column_fault(name, rules, one.name) is None:
            yield name


def _wanted(plan: StreamPlan) -> Sequence[Field]:
    fields = plan.selected.stream.fields
    return [one for one in fields if plan.selected.wants(one.name) and one.type not in ("object", "array")]


def _reservations(plan: Plan, rules: Rules) -> Iterable[str]:
    yield from plan.warnings
    for name, one in plan.streams.items():
        yield from one.warnings
        for wanted in _wanted(one):
            fault = column_fault(canonical(wanted.name, rules.column_name), rules, wanted.name)
            if fault is not None:
                yield f"{name}: field {wanted.name} will not land: {fault}"
    keyless = [name for name, one in plan.streams.items() if adds_rows(one)]
    if keyless:
        yield f"{_listed(keyless)}: no key, so rows are only ever added, also where the source sends one again"
    incremental = [name for name, one in plan.streams.items() if one.selected.method == "INCREMENTAL"]
    if incremental:
        yield f"{_listed(incremental)}: rows deleted at the source stay until it sends all rows anew"


def _appended(
    plan: Plan, streams: Iterable[StreamForecast], tables: Mapping[str, Table], rules: Rules
) -> Iterable[str]:
    for one in streams:
        table = tables.get(one.table)
        # What is read from its beginning, or always as a whole, fills a version, which has the source's key.
        is_version = one.replaces or one.after is None or plan.streams[one.stream].selected.method == "FULL_TABLE"
        if table is None or is_version or not one.key:
            continue
        if not Columns.of(table, rules).has_key([canonical(name, rules.column_name) for name in one.key]):
            yield f"{one.stream}: {rows_appended(plan.streams[one.stream])}"


def _expired(plan: Plan, marks: Mapping[str, Mark]) -> Iterable[str]:
    reset = [name for lane in plan.lanes if _is_reset(marks.get(lane.name)) for name in lane.streams]
    plans = {name: plan.streams[name] for name in reset if name in plan.streams}
    lost = [name for name, one in plans.items() if one.selected.stream.expires and not one.outlives_reset]
    if lost:
        yield f"{_listed(lost)}: rows that the source does not keep any more are lost with the reset"


def _visibility(destination: Destination) -> Iterable[str]:
    if destination.capabilities.atomic == "none":
        title = destination.rules.title
        yield f"{title} has each row as soon as it is sent: of an interrupted load a part is there until the next run"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
