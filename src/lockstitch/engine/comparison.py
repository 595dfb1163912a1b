"""Compares what a source folds to with what a destination holds, table by table, on disk and in bounded memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from lockstitch.core.model import Batch, Column, Message, StreamPlan, Table, Version
from lockstitch.core.rules import Rules
from lockstitch.engine.verify import Difference, TableVerdict
from lockstitch.layout.stream import Moment, StreamLayout

#: Columns that differ from run to run by their nature.
_NOT_COMPARED = ("_sdc_batched_at", "_sdc_extracted_at", "_sdc_received_at", "_sdc_sequence", "_sdc_table_version")
_GENERATED = ("__sdc_primary_key", "_sdc_source_key___sdc_primary_key", "_sdc_deleted_at")
_SEQUENCE = "_sdc_sequence"

_TYPES = {
    "integer": "BIGINT",
    "boolean": "BOOLEAN",
    "date": "TIMESTAMP WITH TIME ZONE",
    "double": "DOUBLE",
    "number": "VARCHAR",
    "string": "VARCHAR",
}

#: How many rows of each kind a verdict names.
_EXAMPLES = 5


class Comparison:
    """A scratch database with two forms of each table: as the source says, and as the destination has it."""

    def __init__(self, home: Path, rules: Rules, tables: Sequence[Table]) -> None:
        self._rules = rules
        self._tables: dict[str, Table] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="verify-", dir=home))
        self._db = duckdb.connect(str(self._folder / "scratch.duckdb"), config={"memory_limit": "256MB"})
        for table in tables:
            self._add(table)

    def __enter__(self) -> Comparison:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _add(self, table: Table) -> None:
        at = len(self._tables)
        self._tables[table.name] = table
        columns = [f"{_quoted(column.name)} {_type(column)}" for column in self._columns(table)]
        self._db.execute(f"create table expected_{at} ({', '.join([*columns, f'{_SEQUENCE} BIGINT'])})")
        self._db.execute(f"create table found_{at} ({', '.join(columns) or 'none BOOLEAN'})")

    @property
    def tables(self) -> list[Table]:
        """Return all tables that are there, and after `expect` also those that should be."""
        return list(self._tables.values())

    def _columns(self, table: Table) -> list[Column]:
        skipped = (*_NOT_COMPARED, *_GENERATED)
        own = (column for column in table.columns if column.type is not None and column.name in table.ours)
        return [column for column in own if column.name not in skipped]

    def compared(self, table: Table) -> list[str]:
        """Return the columns whose values are compared."""
        return [column.name for column in self._columns(table)]

    def expect(self, messages: Iterable[Message], streams: Sequence[StreamPlan]) -> None:
        """Take in what the source says the tables hold."""
        layouts = {
            plan.selected.stream.name: StreamLayout(plan, self._rules, self._tables.values()) for plan in streams
        }
        sequence = 1
        for message in messages:
            if isinstance(message, Version):
                self._forget(layouts[message.stream].plan.table)
            elif isinstance(message, Batch):
                laid = layouts[message.stream].lay_out(message, Moment(datetime.now(UTC), sequence, 0))
                sequence += message.rows.num_rows
                for one in laid.tables:
                    if one.columns.name not in self._tables:
                        self._add(one.columns.table(None))
                    self._put(f"expected_{self._place(one.columns.name)}", self._known(one.columns.name, one.rows))
        by_table = {layout.plan.table: layout for layout in layouts.values()}
        for table in sorted(self._tables.values(), key=lambda table: table.parent is not None):
            layout = by_table.get(table.parent or table.name)
            self._keep_last(table, layout.parent_key(table.name) if layout is not None else ())

    def _known(self, table: str, rows: pa.RecordBatch) -> pa.RecordBatch:
        """A column that the table lacks would be a change found by its value being lost; name it so."""
        names = {*self.compared(self._tables[table]), _SEQUENCE}
        return rows.select([name for name in rows.schema.names if name in names])

    def _place(self, table: str) -> int:
        return list(self._tables).index(table)

    def _forget(self, top: str) -> None:
        for at, table in enumerate(self._tables.values()):
            if top in (table.name, table.parent):
                self._db.execute(f"delete from expected_{at}")

    def _keep_last(self, table: Table, parent_key: Sequence[tuple[str, str]]) -> None:
        """Leave what an upsert leaves: the last row of each key, and the subtable rows that came with it."""
        at = self._place(table.name)
        if table.parent is not None and table.parent in self._tables and table.key:
            pairs = " and ".join(f"p.{_quoted(its)} = t.{_quoted(own)}" for own, its in parent_key)
            parent = f"expected_{self._place(table.parent)}"
            came_with = f"select 1 from {parent} p where {pairs} and p.{_SEQUENCE} = t.{_SEQUENCE}"
            self._db.execute(f"delete from expected_{at} t where not exists ({came_with})")
        elif table.key:
            key = ", ".join(_quoted(name) for name in table.key)
            order = f"row_number() over (partition by {key} order by {_SEQUENCE} desc) as place"
            older = f"select rowid from (select rowid, {order} from expected_{at}) where place > 1"
            self._db.execute(f"delete from expected_{at} where rowid in ({older})")

    def find(self, table: Table, batches: Iterator[pa.RecordBatch]) -> None:
        """Take in what the destination holds."""
        for batch in batches:
            self._put(f"found_{self._place(table.name)}", batch)

    def _put(self, target: str, rows: pa.RecordBatch) -> None:
        self._db.register("rows", pa.Table.from_batches([rows]))
        chosen = ", ".join(_comparable(field) for field in rows.schema)
        self._db.execute(f"insert into {target} by name select {chosen} from rows")
        self._db.unregister("rows")

    def verdict(self, table: Table) -> TableVerdict:
        """Compare the two forms: by key, or where there is none, as bags of rows."""
        at = self._place(table.name)
        expected, found = f"expected_{at}", f"found_{at}"
        rows, wanted = (self._db.execute(f"select count(*) from {name}").fetchall()[0][0] for name in (found, expected))
        if not table.key:
            missing, extra = self._bags(table, expected, found), self._bags(table, found, expected)
            return TableVerdict(table.name, "source", rows, wanted, "compared without a key", missing, extra)
        same = " and ".join(f"a.{_quoted(name)} = b.{_quoted(name)}" for name in table.key)
        key = ", ".join(f"a.{_quoted(name)}::varchar" for name in table.key)
        missing = self._difference(f"select {key} from {expected} a anti join {found} b on {same}", table.key)
        extra = self._difference(f"select {key} from {found} a anti join {expected} b on {same}", table.key)
        others = [name for name in self.compared(table) if name not in table.key]
        differs = " or ".join(f"a.{_quoted(name)} is distinct from b.{_quoted(name)}" for name in others) or "false"
        which = ", ".join(
            f"case when a.{_quoted(name)} is distinct from b.{_quoted(name)} then {_text(name)} end" for name in others
        )
        told = f"concat_ws(', ', {which or 'null'}) as columns"
        changed = self._difference(
            f"select {key}, {told} from {expected} a join {found} b on {same} where {differs}", table.key
        )
        return TableVerdict(table.name, "source", rows, wanted, "", missing, extra, changed)

    def _bags(self, table: Table, left: str, right: str) -> Difference:
        names = ", ".join(_quoted(name) for name in self.compared(table)) or "1"
        differing = f"select {names} from {left} except all select {names} from {right}"
        return self._difference(f"select columns(*)::varchar from ({differing})", ())

    def _difference(self, query: str, key: Sequence[str]) -> Difference:
        found = self._db.execute(f"select count(*) over (), * from ({query}) limit {_EXAMPLES}").fetchall()
        return Difference(found[0][0], tuple(_example(row[1:], key) for row in found)) if found else Difference()


def _example(row: tuple[object, ...], key: Sequence[str]) -> str:
    named = ", ".join(f"{name} {value}" for name, value in zip(key, row, strict=False))
    rest = row[len(key) :]
    return named + (f": {rest[0]}" if named and rest else str(rest) if rest else "")


def _comparable(field: pa.Field) -> str:
    """Write decimals so that two scales of one number are one text."""
    name = _quoted(field.name)
    if pa.types.is_decimal(field.type):
        return f"regexp_replace(regexp_replace({name}::varchar, '(\\.[0-9]*?)0+$', '\\1'), '\\.$', '') as {name}"
    return name


def _type(column: Column) -> str:
    assert column.type is not None
    return _TYPES[column.type.stitch]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
