"""One load into the file: stages, changes, steps and mark in one transaction."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

import duckdb

from lockstitch.core.loads import (
    AddColumn,
    Change,
    CreateTable,
    DropKey,
    LedgerRow,
    Load,
    RenameColumn,
    Step,
    StepCount,
)
from lockstitch.core.model import ColumnType, Mark
from lockstitch.core.points import reach
from lockstitch.destinations.duckdb import catalog
from lockstitch.destinations.duckdb.catalog import quoted
from lockstitch.destinations.duckdb.rules import RULES

if TYPE_CHECKING:
    import pyarrow as pa

_SEQUENCE = "_sdc_sequence"
_DELETED_AT = "_sdc_deleted_at"
_SYSTEM = ("_sdc_batched_at", "_sdc_received_at", "_sdc_sequence", "_sdc_table_version")


class DuckDBWriter:
    """Works through the load's steps in their order; `write` completes all steps before the one it is for.

    The file is ours alone until the connection closes, so the mark compared at the beginning still holds at the end.
    """

    def __init__(self, db: duckdb.DuckDBPyConnection, schema: str, load: Load) -> None:
        self._db = db
        self._schema = schema
        self._load = load
        self._counts: list[StepCount] = []
        self._written = 0
        self._stages: dict[str, str] = {}
        changed = (getattr(change, "version", None) for change in load.changes)
        self._named_versions = {*(step.version for step in load.steps), *changed}
        reach("mark locked")
        for change in load.changes:
            self._change(change)
        reach("changes made")

    # --- the seam ------------------------------------------------------------------------------------------------

    def write(self, step: Step, rows: pa.RecordBatchReader) -> None:
        self._complete_until(self._load.position(step))
        target = self._target(step)
        # Among rows of one key and one sequence, of the source's own giving, the later one counts.
        self._db.execute(f"set preserve_insertion_order = {step.guarded}")
        self._db.register("_lockstitch_rows", rows)
        self._written += self._run(f"insert into {target} by name select * from _lockstitch_rows")
        self._db.unregister("_lockstitch_rows")

    def commit(self, mark: Mark, ledger: Sequence[LedgerRow]) -> Sequence[StepCount]:
        self._complete_until(len(self._load.steps))
        rows = [row.completed(self._load.steps, self._counts) for row in ledger]
        catalog.write_mark(self._db, self._load.connection, self._load.lane, mark)
        catalog.write_ledger(self._db, self._load.connection, self._load.lane, mark.number, rows)
        reach("mark written")
        self._db.commit()
        return tuple(self._counts)

    def _complete_until(self, index: int) -> None:
        while len(self._counts) < index:
            step = self._load.steps[len(self._counts)]
            self._counts.append(self._complete(step))
            self._written = 0
            reach("step applied")

    def _complete(self, step: Step) -> StepCount:
        if step.version is None and step.table != RULES.rejected_table:
            catalog.register_columns(self._db, self._schema, step.table, [column.name for column in step.columns])
        match step.action:
            case "append" | "fill":
                return StepCount(inserted=self._written)
            case "upsert":
                return self._upsert(step)
            case "replace":
                return self._replace(step)
            case "publish":
                return self._publish(step)

    # --- stages --------------------------------------------------------------------------------------------------

    def _stage(self, step: Step) -> str:
        """Return the stage of the step's rows, making it at the first call."""
        number = len(self._counts)
        name = quoted(f"_lockstitch_stage_{number}")
        if self._stages.get(step.table) != name:
            columns = ", ".join(
                f"{quoted(column.name)} {_native(column.type)}" for column in step.columns if column.type
            )
            self._db.execute(f"create temp table {name} ({columns})")
            self._stages[step.table] = name
        return name

    def _target(self, step: Step) -> str:
        """Return where the step's rows go: a stage, or what nobody has seen yet and nothing in it is in their way."""
        if step.action == "fill" and step.version is not None:
            return self._generation(step.table, step.version)
        return (
            quoted(self._schema, step.table)
            if step.action == "append" or self._load.goes_straight(step)
            else self._stage(step)
        )

    # --- steps ---------------------------------------------------------------------------------------------------

    def _upsert(self, step: Step) -> StepCount:
        table = quoted(self._schema, step.table)
        if self._load.goes_straight(step):
            self._stages[step.table] = table
            return StepCount(inserted=self._written)
        stage = self._stage(step)
        if step.parent is not None:
            return self._replace_children(step, table, stage)
        same = _equal("t", "s", step.key)
        ignored = 0
        if step.guarded:
            newer = f"{same} and t.{_SEQUENCE} > s.{_SEQUENCE}"
            ignored = self._run(f"delete from {stage} s using {table} t where {newer}")
        carried = self._carry(step, table, f"semi join {stage} s on {same}")
        updated = self._run(f"delete from {table} t using {stage} s where {same}")
        inserted = self._insert(step, table, stage, carried)
        return StepCount(inserted=inserted - updated, updated=updated, ignored=ignored)

    def _replace_children(self, step: Step, table: str, stage: str) -> StepCount:
        """The rows of a parent that was sent again go, all of them, for the rows that came with it."""
        assert step.parent is not None
        parent = self._stages[step.parent]
        pairs = " and ".join(f"t.{quoted(own)} = p.{quoted(its)}" for own, its in step.parent_key)
        ignored = 0
        if step.guarded:
            orphan = f"not exists (select 1 from {parent} p where {pairs} and p.{_SEQUENCE} = t.{_SEQUENCE})"
            ignored = self._run(f"delete from {stage} t where {orphan}")
        gone = self._run(f"delete from {table} t where exists (select 1 from {parent} p where {pairs})")
        come = self._insert(step, table, stage, None)
        both = min(gone, come)
        return StepCount(inserted=come - both, updated=both, ignored=ignored, removed=gone - both)

    def _replace(self, step: Step) -> StepCount:
        table = quoted(self._schema, step.table)
        if self._load.goes_straight(step):
            self._drop_generations(step.table)
            return StepCount(inserted=self._written, total=self._count(table))
        stage = self._stage(step)
        carried = self._carry(step, table, "")
        self._keep_missing(step, table, stage)
        self._run(f"delete from {table}")
        self._insert(step, table, stage, carried)
        catalog.write_key(self._db, self._schema, step.table, step.key)
        self._drop_generations(step.table)
        total = self._count(table)
        return StepCount(inserted=self._written, total=total)

    def _publish(self, step: Step) -> StepCount:
        assert step.version is not None
        generation = self._generation(step.table, step.version)
        lost = self._drop_older(step, generation)
        if not catalog.exists(self._db, self._schema, step.table):
            self._become(step, generation)
        else:
            table = quoted(self._schema, step.table)
            carried = self._carry(step, table, "")
            self._keep_missing(step, table, generation)
            self._run(f"delete from {table}")
            self._insert(step, table, generation, carried)
            self._db.execute(f"drop table {generation}")
        self._db.execute(
            "delete from _lockstitch.generations where schema_name = ? and table_name = ? and version = ?",
            [self._schema, step.table, step.version],
        )
        self._drop_generations(step.table)
        catalog.write_key(self._db, self._schema, step.table, step.key)
        return StepCount(inserted=-lost, ignored=lost, total=self._count(quoted(self._schema, step.table)))

    def _drop_older(self, step: Step, generation: str) -> int:
        """Leave the last row of each key in a generation, and of a subtable those that came with such a row."""
        if step.parent is not None:
            parent = quoted(self._schema, step.parent)
            pairs = " and ".join(f"c.{quoted(own)} = p.{quoted(its)}" for own, its in step.parent_key)
            came_with = f"select 1 from {parent} p where {pairs} and {_came_together('p', 'c')}"
            return self._run(f"delete from {generation} c where not exists ({came_with})") if step.parent_key else 0
        if not step.key:
            return 0
        keys = ", ".join(quoted(name) for name in step.key)
        distinct = keys if len(step.key) == 1 else f"({keys})"
        if self._value(f"select count(*) - count(distinct {distinct}) from {generation}") == 0:
            return 0
        order = f"row_number() over (partition by {keys} order by {_SEQUENCE} desc, rowid desc) as place"
        older = f"select rowid from (select rowid, {order} from {generation}) where place > 1"
        return self._run(f"delete from {generation} where rowid in ({older})")

    def _become(self, step: Step, generation: str) -> None:
        """Make a generation the table, where there is none yet."""
        schema, _ = self._generation_place(step.table, step.version or 0)
        if schema == self._schema:
            self._db.execute(f"alter table {generation} rename to {quoted(step.table)}")
        else:
            self._db.execute(f"create table {quoted(self._schema, step.table)} as select * from {generation}")
            self._db.execute(f"drop table {generation}")
        columns = [row[0] for row in self._db.execute(f"describe {quoted(self._schema, step.table)}").fetchall()]
        catalog.register_table(self._db, self._schema, step.table, step.parent, columns)

    def _keep_missing(self, step: Step, table: str, source: str) -> None:
        """Add to the new content the rows that it lacks, as deleted ones: key and system columns stay (R70)."""
        if (
            step.missing == "remove"
            or step.parent is not None
            or not step.key
            or catalog.read_key(self._db, self._schema, step.table) != step.key
        ):
            return
        kept = ", ".join(f"t.{quoted(name)}" for name in (*step.key, *_SYSTEM))
        names = ", ".join(quoted(name) for name in (*step.key, *_SYSTEM, _DELETED_AT))
        self._db.execute(
            f"insert into {source} ({names}) select {kept}, coalesce(t.{_DELETED_AT}, now()) from {table} t "
            f"anti join {source} s on {_equal('t', 's', step.key)}"
        )

    def _insert(self, step: Step, table: str, stage: str, carried: str | None) -> int:
        """Insert the stage's rows, with the values of the user's own columns that were carried over."""
        if carried is None:
            return self._run(f"insert into {table} by name select * from {stage}")
        joined = f"select s.*, c.* exclude ({', '.join(quoted(name) for name in step.key)}) from {stage} s"
        using = _equal("c", "s", step.key)
        return self._run(f"insert into {table} by name {joined} left join {carried} c on {using}")

    def _carry(self, step: Step, table: str, where: str) -> str | None:
        """Set aside the user's own columns of the rows that are about to be replaced; None where there are none."""
        if not step.key or step.parent is not None:
            return None
        own = catalog.users_columns(self._db, self._schema, step)
        if not own:
            return None
        name = quoted(f"_lockstitch_carried_{len(self._counts)}")
        columns = ", ".join(f"t.{quoted(column)}" for column in (*step.key, *own))
        self._db.execute(f"create temp table {name} as select {columns} from {table} t {where}")
        return name

    # --- changes -------------------------------------------------------------------------------------------------

    def _change(self, change: Change) -> None:
        match change:
            case CreateTable():
                self._create(change)
            case AddColumn(table, column, version):
                place = self._place(table, version)
                self._db.execute(f"alter table {place} add column {quoted(column.name)} {_native(column.type)}")
                if version is None:
                    catalog.register_columns(self._db, self._schema, table, [column.name])
            case RenameColumn(table, old, new, version):
                self._db.execute(f"alter table {self._place(table, version)} rename {quoted(old)} to {quoted(new)}")
                if version is None:
                    catalog.register_columns(self._db, self._schema, table, [new])
            case DropKey(table):
                catalog.write_key(self._db, self._schema, table, ())

    def _create(self, change: CreateTable) -> None:
        names = [column.name for column in change.columns]
        columns = ", ".join(f"{quoted(column.name)} {_native(column.type)}" for column in change.columns)
        if change.version is None:
            self._db.execute(f"create table {quoted(self._schema, change.table)} ({columns})")
            catalog.register_table(self._db, self._schema, change.table, change.parent, names)
            catalog.write_key(self._db, self._schema, change.table, change.key)
            return
        self._drop_generations(change.table, anew=change.version)
        # DuckDB cannot move a table to another schema, so what is to become the table waits in the table's own schema.
        schema = "_lockstitch" if catalog.exists(self._db, self._schema, change.table) else self._schema
        relation = f"_sdc_generation_{uuid.uuid4().hex}"
        self._db.execute(f"create table {quoted(schema, relation)} ({columns})")
        self._db.execute(
            "insert into _lockstitch.generations values (?, ?, ?, ?, ?, ?, ?)",
            [
                self._schema,
                change.table,
                change.version,
                schema,
                relation,
                change.parent,
                json.dumps(list(change.key)),
            ],
        )

    def _drop_generations(self, table: str, anew: int | None = None) -> None:
        """Remove the generations of a table, and of its subtables, that this load does not name: nobody fills them.

        That of the version `anew` goes too: it is about to be made again.
        """
        known = self._db.execute(
            "select relation_schema, relation, version from _lockstitch.generations "
            "where schema_name = ? and ? in (table_name, parent)",
            [self._schema, table],
        ).fetchall()
        for schema, relation, version in known:
            if version not in self._named_versions or version == anew:
                self._db.execute(f"drop table {quoted(schema, relation)}")
                self._db.execute("delete from _lockstitch.generations where relation = ?", [relation])

    def _place(self, table: str, version: int | None) -> str:
        """Return where a table is; one that this load publishes for the first time still is a generation."""
        if version is None and not catalog.exists(self._db, self._schema, table):
            steps = (step for step in self._load.steps if step.table == table and step.action == "publish")
            version = next((step.version for step in steps), None)
        return quoted(self._schema, table) if version is None else self._generation(table, version)

    def _generation(self, table: str, version: int) -> str:
        return quoted(*self._generation_place(table, version))

    def _generation_place(self, table: str, version: int) -> tuple[str, str]:
        found = self._db.execute(
            "select relation_schema, relation from _lockstitch.generations "
            "where schema_name = ? and table_name = ? and version = ?",
            [self._schema, table, version],
        ).fetchall()
        if not found:
            raise AssertionError(f"no generation {version} of {table}")
        return found[0]

    # --- small questions -----------------------------------------------------------------------------------------

    def _count(self, table: str) -> int:
        return self._value(f"select count(*) from {table}")

    def _run(self, statement: str) -> int:
        """Execute and return the number of rows it changed."""
        return self._value(statement)

    def _value(self, statement: str, parameters: Sequence[object] = ()) -> int:
        found = self._db.execute(statement, list(parameters)).fetchall()
        return int(found[0][0]) if found else 0


def _native(kind: ColumnType | None) -> str:
    if kind is None:
        raise AssertionError("a column of the user's own is never made")
    return kind.native


def _came_together(parent: str, child: str) -> str:
    """The condition that rows of a generation came with one record: a sequence of the source's own may come again."""
    return " and ".join(f"{parent}.{name} = {child}.{name}" for name in (_SEQUENCE, "_sdc_batched_at"))


def _equal(left: str, right: str, key: Sequence[str]) -> str:
    return " and ".join(f"{left}.{quoted(name)} = {right}.{quoted(name)}" for name in key)
