"""Makes a load's schema changes, each once: hidden tables as soon as rows come for them, all others at the commit."""

from __future__ import annotations

import json
import secrets

from lockstitch.core.errors import Superseded
from lockstitch.core.loads import AddColumn, Change, CreateTable, DropKey, Load, RenameColumn
from lockstitch.destinations.postgres import catalog, sql, state
from lockstitch.destinations.postgres.session import Session
from lockstitch.destinations.postgres.sql import STATE, Relation

#: A table, and its generation's number or None.
Target = tuple[str, int | None]


class Changes:
    """The changes of one load. A table that it creates gets its place and name at the commit.

    So a load that is left open, by a stopped process say, holds no name and no lock of the user's tables.
    """

    def __init__(self, session: Session, schema: str, load: Load) -> None:
        self._session = session
        self._schema = schema
        self._load = load
        self._hidden: dict[Target, Relation] = {}

    def created(self, table: str, version: int | None = None) -> CreateTable | None:
        """Return the change that creates the table or generation, if this load does."""
        found = (change for change in self._load.changes if isinstance(change, CreateTable))
        return next((change for change in found if (change.table, change.version) == (table, version)), None)

    def hidden(self, table: str, version: int | None) -> Relation:
        """Make or find a table that nobody sees yet, and make this load's changes to it, so that it can take rows."""
        target = (table, version)
        if target not in self._hidden:
            create = self.created(table, version)
            relation = self._new_table(create) if create else self._generation(target)
            self._hidden[target] = relation
            for change in self._load.changes:
                if _target(change) == target:
                    self._alter(relation, change)
        return self._hidden[target]

    def make(self) -> None:
        """Make all changes that are not made yet, and give created tables their place and key."""
        for change in self._load.changes:
            match change:
                case DropKey():
                    self._drop_keys(change.table)
                case CreateTable():
                    self._place(change)
                case AddColumn() | RenameColumn():
                    self._alter_once(change)
                    if isinstance(change, RenameColumn) and change.version is None:
                        state.rename_known_column(self._session, self._schema, change.table, change.old, change.new)
        self._register()

    def _alter_once(self, change: AddColumn | RenameColumn) -> None:
        target = _target(change)
        if change.version is not None:
            self.hidden(*target)
        elif target not in self._hidden:
            self._alter(self._relation(target), change)

    def _new_table(self, change: CreateTable) -> Relation:
        relation = Relation(STATE, f"table_{secrets.token_hex(8)}")
        self._session.run(sql.create_table(relation, change.columns))
        return relation

    def _alter(self, relation: Relation, change: Change) -> None:
        match change:
            case AddColumn():
                self._session.run(sql.add_column(relation, change.column))
            case RenameColumn():
                self._session.run(sql.rename_column(relation, change.old, change.new))
                if relation.schema == STATE:
                    state.rename_key_column(self._session, relation.name, change.old, change.new)
            case _:
                pass

    def _place(self, change: CreateTable) -> None:
        relation = self.hidden(change.table, change.version)
        if change.version is not None:
            drop_generations(self._session, self._schema, change.table, self._load, anew=change.version)
            add_generation(self._session, self._schema, change, relation)
            return
        place = Relation(self._schema, change.table)
        state.forget_columns(self._session, self._schema, change.table)
        self._session.run(*sql.move_table(relation, place))
        if change.key:
            self._session.run(sql.add_key(place, change.key))

    def _drop_keys(self, table: str) -> None:
        """Drop the key of a table and of its subtables, whose rows can come again from now on as well."""
        for one in catalog.read_tables(self._session, self._schema):
            is_meant = one.table.version is None and table in (one.table.name, one.table.parent)
            if is_meant and one.constraint is not None:
                self._session.run(sql.drop_key(one.relation, one.constraint, one.table.key))

    def _relation(self, target: Target) -> Relation:
        """Return where a table is; one that this load publishes for the first time still is a generation."""
        table, version = target
        if version is not None:
            return self.hidden(table, version)
        relation = Relation(self._schema, table)
        published = [step.version for step in self._load.steps if step.table == table and step.action == "publish"]
        if published and self._session.value("SELECT to_regclass($1) IS NULL", str(relation)):
            return self.hidden(table, published[0])
        return relation

    def _generation(self, target: Target) -> Relation:
        table, version = target
        name = self._session.value(
            "SELECT relation FROM _lockstitch.generations WHERE schema_name = $1 AND table_name = $2 AND version = $3",
            self._schema,
            table,
            version,
        )
        if name is None:
            raise Superseded(
                f"version {version} of table {table!r} is gone: another run has published it, or begun another one",
                hint="the next run goes on from the mark",
            )
        return Relation(STATE, name)

    def _register(self) -> None:
        columns: set[tuple[str, str]] = set()
        parents: dict[str, str] = {}
        for change in self._load.changes:
            match change:
                case CreateTable():
                    if change.parent is not None:
                        parents[change.table] = change.parent
                    if change.version is None:
                        columns |= {(change.table, column.name) for column in change.columns}
                case AddColumn(table, column, None):
                    columns.add((table, column.name))
                case RenameColumn(table, old, new, None):
                    columns = {(one, new if (one, name) == (table, old) else name) for one, name in columns}
                case _:
                    pass
        state.register_subtables(self._session, self._schema, parents)
        state.register_columns(self._session, self._schema, columns)


def _target(change: Change) -> Target:
    return change.table, None if isinstance(change, DropKey) else change.version


def add_generation(session: Session, schema: str, change: CreateTable, relation: Relation) -> None:
    """Remember a generation, which exists already."""
    session.rows(
        "INSERT INTO _lockstitch.generations VALUES ($1, $2, $3, $4, $5)",
        relation.name,
        schema,
        change.table,
        change.version,
        json.dumps(list(change.key)),
    )


def drop_generations(session: Session, schema: str, table: str, load: Load, *, anew: int | None = None) -> None:
    """Drop the generations of a table and its subtables that the load does not name: newer ones have come instead.

    That of the version `anew` goes too: it is being made again.
    """
    named = {step.version for step in load.steps} | {_target(change)[1] for change in load.changes}
    rows = session.rows(
        "DELETE FROM _lockstitch.generations AS generation WHERE schema_name = $1"
        " AND NOT version::text IN (SELECT jsonb_array_elements_text($3::jsonb))"
        " AND (table_name = $2 OR EXISTS (SELECT FROM _lockstitch.subtables AS known"
        "  WHERE known.schema_name = $1 AND known.table_name = generation.table_name AND known.parent = $2))"
        " RETURNING relation",
        schema,
        table,
        json.dumps(sorted(version for version in named if version not in (None, anew))),
    )
    for (name,) in rows:
        relation = Relation(STATE, name)
        end_stopped_loads(session, relation)
        session.run(f"DROP TABLE {relation}")


def end_stopped_loads(session: Session, generation: Relation) -> None:
    """End our other sessions that hold a generation, so that it can be moved or dropped.

    Whoever calls this has locked the lane's mark, and is about to move it: a load that still copies rows there, out of
    a stopped process say, could only be superseded.
    """
    session.rows(
        "SELECT pg_terminate_backend(held.pid) FROM pg_locks AS held JOIN pg_stat_activity AS other USING (pid)"
        " WHERE held.relation = to_regclass($1) AND other.pid <> pg_backend_pid() AND other.usename = current_user"
        " AND other.backend_type = 'client backend' AND other.application_name = 'lockstitch'",
        str(generation),
    )
