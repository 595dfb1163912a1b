"""Gathers what a lane yields between two commits, and makes one load of it: steps, changes, mark and ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lockstitch.core.loads import (
    Action,
    AddColumn,
    Change,
    CreateTable,
    DropKey,
    LedgerRow,
    Load,
    Reject,
    RenameColumn,
    Step,
)
from lockstitch.core.model import Mark, Publish, Table
from lockstitch.core.rules import Rules
from lockstitch.engine.events import LoadedStream
from lockstitch.engine.extracted import Extracted
from lockstitch.engine.rejects import REJECTED_COLUMNS
from lockstitch.engine.spool import Spool, SpooledRows
from lockstitch.engine.streams import StreamTables
from lockstitch.layout.names import SEPARATOR

if TYPE_CHECKING:
    import pyarrow as pa

    from lockstitch.layout.stream import Laid, LaidRows, StreamLayout


@dataclass(frozen=True, slots=True)
class StepRows:
    """A step with the rows it is to get; `top` are the rows of the parent table's step.

    `renamed` tells, by their old ones, the new names of columns that were renamed after rows were spooled.
    """

    step: Step
    rows: SpooledRows | None = None
    top: SpooledRows | None = None
    renamed: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class ReadyLoad:
    """A load whose rows are all on disk: it can be carried out, and carried out again, without its source."""

    load: Load
    after: Mark | None
    mark: Mark
    steps: tuple[StepRows, ...]
    rejects: tuple[Reject, ...]
    ledger: tuple[LedgerRow, ...]
    batched_at: datetime
    streams: tuple[LoadedStream, ...] = ()

    def discard(self) -> None:
        for step in self.steps:
            if step.rows is not None:
                step.rows.discard()


@dataclass(slots=True)
class _Section:
    """Rows of one stream for one target: its tables, or a version of them."""

    stream: StreamTables
    layout: StreamLayout
    generations: dict[str, Table]
    version: int | None
    begun: bool
    guarded: bool = False
    publish: Publish | None = None
    tables: dict[str, SpooledRows] = field(default_factory=dict[str, SpooledRows])

    @property
    def watched(self) -> bool:
        """Whether its keys are watched: not in a generation, which is cleared of older rows when published.

        There rows of one key are told apart by their sequence, and by their load: unless the source gives sequences.
        """
        return self.layout.keyed and (self.version is None or self.begun or self.guarded)

    @property
    def distinct(self) -> bool:
        """Whether its keys must be distinct when the load is cut."""
        return self.watched and (self.version is None or self.publish is not None or self.guarded)

    @property
    def is_seen(self) -> bool:
        """Whether its rows are in the tables themselves once the load is committed."""
        return self.version is None or self.publish is not None

    def names(self) -> list[str]:
        """Return the names of all tables known to the stream, parents first."""
        top = self.stream.plan.table
        children = {*self.stream.live, *self.generations, *self.layout.tables} - {top}
        return [top, *sorted(children, key=lambda name: (name.count(SEPARATOR), name))]


@dataclass(slots=True)
class OpenLoad:
    """What has been read since the last cut. Sections keep the order in which the lane spoke."""

    spool: Spool
    rules: Rules
    rows: int = 0
    bytes: int = 0
    since: float = 0.0
    sections: list[_Section] = field(default_factory=list[_Section])
    rejects: list[Reject] = field(default_factory=list[Reject])
    counts: dict[str, LedgerRow] = field(default_factory=dict[str, LedgerRow])
    changes: list[Change] = field(default_factory=list[Change])
    steps: list[StepRows] = field(default_factory=list[StepRows])
    extracted: dict[str, tuple[StreamTables, Extracted]] = field(
        default_factory=dict[str, tuple["StreamTables", Extracted]]
    )

    @property
    def keyless(self) -> set[str]:
        """Return the streams whose rows would double if they were committed and then came again."""
        return {section.stream.plan.selected.stream.name for section in self.sections if not section.layout.keyed}

    @property
    def is_hidden(self) -> bool:
        """Whether all its rows go into generations that it does not publish."""
        return all(section.version is not None and section.publish is None for section in self.sections)

    @property
    def empty(self) -> bool:
        return not self.sections and not self.rejects

    def section(self, stream: StreamTables, *, guarded: bool | None = None) -> _Section:
        """Return the section that rows of the stream belong to now; without `guarded`, no rows are meant."""
        last = next((one for one in reversed(self.sections) if one.stream is stream), None)
        if last is not None and last.version == stream.filling and last.publish is None:
            if guarded is not None and not last.tables:
                last.guarded = guarded
            if guarded in (None, last.guarded):
                return last
        begun = last is None or last.version != stream.filling
        known = stream.generations
        section = _Section(stream, stream.layout, known, stream.filling, begun and not known, bool(guarded))
        self.sections.append(section)
        return section

    def add(self, stream: StreamTables, laid: Laid, *, guarded: bool) -> None:
        """Spool what the layout made of one batch."""
        self.rejects.extend(laid.rejects)
        self._count(stream.plan.table, read=laid.count + laid.rejected, rejected=laid.rejected, adjusted=laid.adjusted)
        if not laid.tables:
            return
        section = self.section(stream, guarded=guarded)
        first_top = section.tables[stream.plan.table].count if stream.plan.table in section.tables else 0
        for one in laid.tables:
            self._spool(section, one, first_top)
        self.rows += sum(one.rows.num_rows for one in laid.tables)

    def note_read(self, stream: StreamTables, rows: pa.RecordBatch, moment: datetime) -> None:
        """Take note of what a batch says about how far the stream was read."""
        selected = stream.plan.selected
        key = selected.replication_key or selected.stream.replication_key
        _, extracted = self.extracted.setdefault(selected.stream.name, (stream, Extracted(key, moment)))
        extracted.add(rows, moment)

    def _loaded(self) -> tuple[LoadedStream, ...]:
        streams = {one.stream.plan.selected.stream.name: one.stream for one in self.sections}
        streams |= {name: stream for name, (stream, _) in self.extracted.items()}
        return tuple(self._loaded_stream(name, stream) for name, stream in streams.items())

    def _loaded_stream(self, name: str, stream: StreamTables) -> LoadedStream:
        sections = [one for one in self.sections if one.stream is stream]
        _, extracted = self.extracted.get(name, (stream, None))
        return LoadedStream(
            name,
            stream.plan.table,
            stream.table_version,
            visible=any(one.version is None or one.publish is not None for one in sections),
            replaced=any(one.publish is not None for one in sections),
            replication_key=extracted.replication_key if extracted is not None else None,
            bookmark=extracted.bookmark if extracted is not None else None,
            extracted_at=extracted.last_at if extracted is not None else None,
        )

    def _spool(self, section: _Section, laid: LaidRows, first_top: int) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        name = laid.columns.name
        rows = section.tables.get(name)
        if rows is None:
            rows = section.tables[name] = SpooledRows(self.spool, _watched_key(section, laid))
        positions = None if laid.top_row is None else pc.add(laid.top_row, pa.scalar(first_top, pa.int64()))
        before = rows.bytes
        rows.add(laid.rows, positions)
        self.bytes += rows.bytes - before
        if laid.top_row is not None:
            self._count(name, read=laid.rows.num_rows)

    def _count(self, table: str, **more: int) -> None:
        row = self.counts.get(table, LedgerRow(table))
        self.counts[table] = replace(row, **{name: getattr(row, name) + value for name, value in more.items()})

    def publish(self, stream: StreamTables, message: Publish) -> None:
        self.section(stream).publish = message

    # --- the cut -------------------------------------------------------------------------------------------------

    def ready(self, connection: str, lane: str, after: Mark | None, mark: Mark) -> ReadyLoad:
        """Make the load. The streams' tables are taken to stand as it leaves them."""
        self._leave_out_superseded()
        live = _renames(section for section in self.sections if section.is_seen)
        for section in self.sections:
            renamed, begun = live if section.is_seen else _renames([section]), len(self.steps)
            for name, rows in section.tables.items():
                rows.finish(renamed[name], distinct=section.distinct)
            self._plan_section(section)
            self.steps[begun:] = [_renamed(one, renamed) for one in self.steps[begun:]]
        if self.rejects:
            self.steps.append(StepRows(Step(self.rules.rejected_table, "append", REJECTED_COLUMNS, rejects=True)))
        for step in self.steps:
            if not step.step.rejects:
                self._count(step.step.table)
        load = Load(connection, lane, tuple(one.step for one in self.steps), _folded(self.changes))
        return ReadyLoad(
            load,
            after,
            mark,
            tuple(self.steps),
            tuple(self.rejects),
            tuple(self.counts.values()),
            datetime.now(UTC),
            self._loaded(),
        )

    def _leave_out_superseded(self) -> None:
        """Discard the rows of versions that were given up, without a Publish, for another one (docs/layout.md, R68)."""
        published = {(id(one.stream), one.version) for one in self.sections if one.publish is not None}
        for section in list(self.sections):
            stream = section.stream
            if section.version in (None, stream.filling) or (id(stream), section.version) in published:
                continue
            self.sections.remove(section)
            for name, rows in section.tables.items():
                self._count(name, superseded=rows.count)
                rows.finish({}, distinct=False)
                rows.discard()

    def _plan_section(self, section: _Section) -> None:
        top = section.stream.live.get(section.stream.plan.table)
        if section.publish is not None and section.publish.missing == "mark_deleted" and top is not None and top.key:
            section.layout.expect_deletes()
        if section.version is None:
            self._plan_rows(section)
        elif section.publish is not None and section.begun:
            self._plan_replace(section)
        else:
            self._plan_fill(section)
            if section.publish is not None:
                self._plan_publish(section)

    def _plan_rows(self, section: _Section) -> None:
        """Add rows to the tables. Every subtable takes part, as a parent sent again may have lost its children."""
        stream = section.stream
        if stream.plan.table not in section.tables:
            return
        self.changes.extend(stream.forget_keys(section.layout))
        action: Action = "upsert" if section.layout.keyed else "append"
        for name in section.names():
            # A subtable without columns for a key of this type holds no children of these parents.
            has_children = name in stream.live and (name == stream.plan.table or section.layout.parent_key(name))
            if name in section.tables or (action == "upsert" and has_children):
                self._change_live(section, name)
                self._step(section, name, action)

    def _plan_replace(self, section: _Section) -> None:
        stream = section.stream
        for name in section.names():
            if name in section.tables or name in stream.live:
                self._change_live(section, name)
                self._step(section, name, "replace")

    def _plan_fill(self, section: _Section) -> None:
        for name in section.names():
            if name not in section.tables:
                continue
            self._change_generation(section, name)
            self._step(section, name, "fill")

    def _plan_publish(self, section: _Section) -> None:
        stream = section.stream
        for name in section.names():
            if name in section.generations:
                self._change_generation(section, name)
                if name in stream.live:
                    self._change_live(section, name)
                else:
                    stream.live[name] = replace(section.generations[name], version=None)
                self._step(section, name, "publish")
            elif name in stream.live:
                self._step(section, name, "replace")
        section.generations.clear()

    def _change_generation(self, section: _Section, name: str) -> None:
        columns, base = section.layout.tables[name], section.generations.get(name)
        self.changes.extend(columns.changes_from(base, section.version))
        section.generations[name] = columns.table(base, section.version)

    def _change_live(self, section: _Section, name: str) -> None:
        columns, base = section.layout.tables[name], section.stream.live.get(name)
        self.changes.extend(columns.changes_from(base))
        section.stream.live[name] = columns.table(base)

    def _step(self, section: _Section, name: str, action: Action) -> None:
        stream = section.stream
        table = (section.generations if action == "fill" else stream.live)[name]
        child = name != stream.plan.table
        step = Step(
            table=name,
            action=action,
            columns=tuple(column for column in table.columns if column.name in table.ours),
            key=section.layout.tables[name].key if action != "append" else (),
            parent=stream.plan.table if child else None,
            parent_key=section.layout.parent_key(name) if child else (),
            version=section.version if action in ("fill", "publish") else None,
            guarded=section.guarded,
            missing=section.publish.missing if section.publish is not None else "remove",
        )
        rows = None if action == "publish" else section.tables.get(name)
        self.steps.append(StepRows(step, rows, section.tables.get(stream.plan.table) if child else None))


def _watched_key(section: _Section, laid: LaidRows) -> tuple[str, ...]:
    """Return the columns by which rows may turn out to be superseded within the load."""
    return laid.columns.key if laid.top_row is None and section.watched else ()


def _folded(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Return the changes with each new table made at once as all of them leave it."""
    folded: dict[object, Change] = {}
    for change in changes:
        target = None if isinstance(change, DropKey) else (change.table, change.version)
        made = folded.get(target)
        match change:
            case AddColumn() if isinstance(made, CreateTable):
                folded[target] = replace(made, columns=(*made.columns, change.column))
            case RenameColumn(_, old, new) if isinstance(made, CreateTable):
                columns = tuple(replace(one, name=new if one.name == old else one.name) for one in made.columns)
                key = tuple(new if name == old else name for name in made.key)
                folded[target] = replace(made, columns=columns, key=key)
            case CreateTable():
                folded[target] = change
            case _:
                folded[change] = change
    return tuple(folded.values())


def _renames(sections: Iterable[_Section]) -> dict[str, dict[str, str]]:
    """Return the columns that these sections rename, by table. The changes are all made before the first step."""
    renamed: dict[str, dict[str, str]] = {}
    for section in sections:
        for name in section.tables:
            renamed.setdefault(name, {}).update(section.layout.tables[name].renamed)
    return renamed


def _renamed(one: StepRows, renamed: Mapping[str, Mapping[str, str]]) -> StepRows:
    """Return the step as the load's changes leave its columns."""
    step = one.step
    names, parents = renamed.get(step.table, {}), renamed.get(step.parent or "", {})
    step = replace(
        step,
        columns=tuple(replace(column, name=names.get(column.name, column.name)) for column in step.columns),
        key=tuple(names.get(name, name) for name in step.key),
        parent_key=tuple((names.get(own, own), parents.get(its, its)) for own, its in step.parent_key),
    )
    return replace(one, step=step, renamed=names)
