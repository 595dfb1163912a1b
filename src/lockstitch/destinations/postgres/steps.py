"""What each step of a load does to its table, once its rows lie in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lockstitch.core.loads import Load, Step, StepCount
from lockstitch.core.model import Column
from lockstitch.destinations.postgres import catalog, sql, state
from lockstitch.destinations.postgres.catalog import Stored
from lockstitch.destinations.postgres.changes import drop_generations, end_stopped_loads
from lockstitch.destinations.postgres.session import Session
from lockstitch.destinations.postgres.sql import Relation


@dataclass(slots=True)
class Rows:
    """Where the rows of a step lie: `direct` in the table or generation itself, else in a stage."""

    relation: Relation
    direct: bool
    count: int = 0
    columns: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class _Landed:
    """The rows of a top table's step that are in the table now, for its subtables. `some_ignored`: not all landed."""

    relation: Relation
    some_ignored: bool


class Steps:
    """Applies the steps of one load in their order. Its changes are made, and the mark is locked."""

    def __init__(self, session: Session, schema: str, load: Load, rows: Mapping[int, Rows]) -> None:
        self._session = session
        self._schema = schema
        self._load = load
        self._rows = rows
        self._landed: dict[str, _Landed] = {}
        self._thinned: set[str] = set()
        names = {step.table for step in load.steps}
        stored = catalog.read_tables(session, schema, sorted(names))
        self._live = {one.table.name: one for one in stored if one.table.version is None}
        self._generations = {
            (one.table.name, one.table.version): one for one in stored if one.table.version is not None
        }

    def apply(self, position: int) -> StepCount:
        """Apply one step and return what it did."""
        step, rows = self._load.steps[position], self._rows.get(position)
        count = self._apply(step, rows)
        if rows is not None and step.action != "fill":
            self._remember_columns(step.table, rows.columns)
        return count

    def _apply(self, step: Step, rows: Rows | None) -> StepCount:
        match step.action:
            case "fill":
                return StepCount(inserted=rows.count if rows is not None else 0)
            case "append":
                return self._append(step, rows)
            case "upsert" if step.parent is not None:
                return self._upsert_children(step, step.parent, rows)
            case "upsert":
                return self._upsert(step, rows)
            case "replace":
                return self._replace(step, rows)
            case "publish":
                return self._publish(step)

    # --- actions -------------------------------------------------------------------------------------------------

    def _append(self, step: Step, rows: Rows | None) -> StepCount:
        if rows is None:
            return StepCount()
        if not rows.direct:
            self._session.run(sql.insert_rows(self._relation(step.table), rows.relation, rows.columns))
        return StepCount(inserted=rows.count)

    def _upsert(self, step: Step, rows: Rows | None) -> StepCount:
        if rows is None:
            return StepCount()
        if rows.direct:
            self._landed[step.table] = _Landed(self._relation(step.table), some_ignored=False)
            return StepCount(inserted=rows.count)
        inserted, updated = self._merge(step, rows.relation, rows.columns, guarded=step.guarded)
        ignored = rows.count - inserted - updated
        if ignored:
            self._session.run(sql.delete_superseded(rows.relation, self._relation(step.table), step.key))
        self._landed[step.table] = _Landed(rows.relation, some_ignored=ignored > 0)
        return StepCount(inserted, updated, ignored)

    def _upsert_children(self, step: Step, parent: str, rows: Rows | None) -> StepCount:
        """Replace all rows of the parents sent again; those of a parent that was ignored stay as they are."""
        landed = self._landed.get(parent)
        table = self._relation(step.table)
        if rows is not None and rows.direct:
            return StepCount(inserted=rows.count)
        sent = come = rows.count if rows is not None else 0
        gone = 0
        if landed is not None:
            gone = int(self._session.value(sql.delete_children(table, landed.relation, step.parent_key)))
        if rows is None:
            pass
        elif landed is None or not landed.some_ignored:
            self._session.run(sql.insert_rows(table, rows.relation, rows.columns))
        else:
            statement = sql.insert_children(table, rows.relation, rows.columns, landed.relation, step.parent_key)
            come = int(self._session.value(statement))
        both = min(gone, come)
        return StepCount(inserted=come - both, updated=both, ignored=sent - come, removed=gone - both)

    def _replace(self, step: Step, rows: Rows | None) -> StepCount:
        drop_generations(self._session, self._schema, step.table, self._load)
        count = rows.count if rows is not None else 0
        if rows is not None and rows.direct:
            return StepCount(inserted=count, total=count)
        if step.table not in self._live:
            return StepCount(total=0)
        source = rows.relation if rows is not None else None
        total = self._replace_content(step, source, rows.columns if rows is not None else [], count)
        return StepCount(inserted=count, total=total)

    def _publish(self, step: Step) -> StepCount:
        generation = self._generations.pop((step.table, step.version or 0))
        end_stopped_loads(self._session, generation.relation)
        live = self._live.get(step.table)
        relation, key = generation.relation, generation.table.key
        if live is None:
            relation = Relation(self._schema, step.table)
            state.forget_columns(self._session, self._schema, step.table)
            self._session.run(*sql.move_table(generation.relation, relation))
        ignored = self._drop_older(step, relation) + (self._add_key_to_latest(relation, key) if key else 0)
        total = int(self._session.value(f"SELECT count(*) FROM {relation}"))
        if live is not None:
            total = self._replace_content(step, relation, generation.names, total, key=key)
            self._session.run(f"DROP TABLE {relation}")
        self._session.rows("DELETE FROM _lockstitch.generations WHERE relation = $1", generation.relation.name)
        if ignored:
            self._thinned.add(step.table)
        self._read_again(step.table)
        self._remember_columns(step.table, generation.names)
        return StepCount(inserted=-ignored, ignored=ignored, total=total)

    # --- the table's whole content ---------------------------------------------------------------------------------

    def _replace_content(
        self, step: Step, source: Relation | None, columns: Sequence[str], count: int, key: Sequence[str] | None = None
    ) -> int:
        """Put `count` rows in the place of all others, inside the table; return its new row count.

        With columns of the user's own the rows are merged by key, so that those keep their values.
        """
        key = step.key if key is None else key
        same_key = set(self._live[step.table].table.key) == set(key)
        keeps_missing = step.missing == "mark_deleted" and step.parent is None and key and same_key
        live = self._match_key(step.table, key)
        has_own = any(name not in live.table.ours and name not in columns for name in live.names)
        absent = sql.is_absent("stored", source, key) if source is not None and key else "true"
        if keeps_missing:
            others = live.table.ours - {*key, *sql.SYSTEM, sql.DELETED_AT}
            self._session.run(sql.mark_deleted(live.relation, absent, sorted(others)))
        elif has_own and key:
            self._session.run(f"DELETE FROM {live.relation} AS stored WHERE {absent}")
        else:
            self._session.run(f"DELETE FROM {live.relation}")
        if source is None:
            pass
        elif keeps_missing or (has_own and key):
            self._merge(step, source, columns, key=key)
        else:
            self._session.run(sql.insert_rows(live.relation, source, columns))
        return int(self._session.value(f"SELECT count(*) FROM {live.relation}")) if keeps_missing else count

    def _match_key(self, table: str, key: Sequence[str]) -> Stored:
        """Give the table the key of its new content, where it has another one or none."""
        live = self._live[table]
        if set(live.table.key) == set(key):
            return live
        if live.constraint is not None:
            self._session.run(sql.drop_key(live.relation, live.constraint, live.table.key))
        if key:
            self._session.run(f"DELETE FROM {live.relation}", sql.add_key(live.relation, key))
        return self._read_again(table)

    # --- parts -----------------------------------------------------------------------------------------------------

    def _merge(
        self,
        step: Step,
        source: Relation,
        columns: Sequence[str],
        *,
        key: Sequence[str] | None = None,
        guarded: bool = False,
    ) -> tuple[int, int]:
        """Insert or update by key; columns of ours that the rows do not carry become NULL."""
        key = step.key if key is None else key
        live = self._live[step.table]
        cleared = sorted(live.table.ours - {*columns, *key})
        # Ordering text by a language's rules would cost more than it gains.
        ordered = all(column.type is not None and column.type.stitch == "integer" for column in _columns(live, key))
        upsert = sql.Upsert(live.relation, source, columns, key, cleared, guarded, ordered)
        ((inserted, updated),) = self._session.rows(sql.upsert_rows(upsert))
        return inserted, updated

    def _drop_older(self, step: Step, generation: Relation) -> int:
        """Leave out the rows of a subtable that came with a row of their parent which its publish has left out."""
        if step.parent is None or step.parent not in self._thinned or not step.parent_key:
            return 0
        parent = self._relation(step.parent)
        return int(self._session.value(sql.delete_orphans(generation, parent, step.parent_key)))

    def _add_key_to_latest(self, relation: Relation, key: Sequence[str]) -> int:
        self._session.run(sql.add_key_to_latest(relation, key))
        return int(self._session.value("SELECT current_setting('lockstitch.removed')"))

    def _relation(self, table: str) -> Relation:
        stored = self._live.get(table)
        return stored.relation if stored is not None else Relation(self._schema, table)

    def _read_again(self, table: str) -> Stored:
        stored = catalog.read_tables(self._session, self._schema, [table])
        self._live[table] = next(one for one in stored if one.table.version is None)
        return self._live[table]

    def _remember_columns(self, table: str, columns: Sequence[str]) -> None:
        """Take note of columns that a load of ours writes for the first time: those of a table that Stitch has made."""
        live = self._live.get(table)
        new = set(columns) - live.table.ours if live is not None else set[str]()
        if live is not None and new:
            state.register_columns(self._session, self._schema, [(table, name) for name in sorted(new)])
            self._live[table] = replace(live, table=replace(live.table, ours=live.table.ours | new))


def _columns(stored: Stored, names: Sequence[str]) -> list[Column]:
    return [column for column in stored.table.columns if column.name in names]
