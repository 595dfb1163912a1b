"""Our own tables in the schema `_lockstitch`: format, marks, ledger, and what we know of the user's tables.

Older formats are brought to the newest one, step by step; a newer one is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from lockstitch.core.errors import AccessError, Superseded
from lockstitch.core.loads import LedgerRow
from lockstitch.core.model import Mark
from lockstitch.destinations.postgres.session import Session

#: The statements that lead from each format to the next; the first makes format 1 out of nothing.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE _lockstitch.format (version integer NOT NULL)",
        "INSERT INTO _lockstitch.format VALUES (0)",
        """CREATE TABLE _lockstitch.marks (
            connection text, lane text, epoch bigint NOT NULL, number bigint NOT NULL, cursor text NOT NULL,
            sequence bigint NOT NULL, versions text NOT NULL, committed_at timestamp with time zone NOT NULL,
            PRIMARY KEY (connection, lane))""",
        """CREATE TABLE _lockstitch.ledger (
            position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, connection text NOT NULL, lane text NOT NULL,
            epoch bigint NOT NULL, number bigint NOT NULL, table_name text NOT NULL, read bigint NOT NULL,
            inserted bigint NOT NULL, updated bigint NOT NULL, superseded bigint NOT NULL, rejected bigint NOT NULL,
            adjusted bigint NOT NULL, checksum bigint NOT NULL, removed bigint NOT NULL, total bigint,
            committed_at timestamp with time zone NOT NULL)""",
        # The columns that a load of ours has written; all others are the user's.
        """CREATE TABLE _lockstitch.columns (
            schema_name text, table_name text, column_name text, PRIMARY KEY (schema_name, table_name, column_name))""",
        """CREATE TABLE _lockstitch.subtables (
            schema_name text, table_name text, parent text NOT NULL, PRIMARY KEY (schema_name, table_name))""",
        # The generations being filled: each is the table `relation` of this schema. `key` is a JSON list.
        """CREATE TABLE _lockstitch.generations (
            relation text PRIMARY KEY, schema_name text NOT NULL, table_name text NOT NULL, version bigint NOT NULL,
            key text NOT NULL, UNIQUE (schema_name, table_name, version))""",
    ),
)

#: The ledger's columns, named like the fields of a LedgerRow and in their order.
_COUNTS = ("read", "inserted", "updated", "superseded", "rejected", "adjusted", "checksum", "removed", "total")

#: Any number that no other program is likely to lock: the schemas of a database are made by one run at a time.
_MAKING = 5_741_923_008_114


def format_of(session: Session) -> int:
    """Return the format of our tables, 0 where there are none. Refuses one that a newer release has made."""
    if session.value("SELECT to_regclass('_lockstitch.format') IS NULL"):
        return 0
    found = int(session.value("SELECT max(version) FROM _lockstitch.format") or 0)
    if found > len(MIGRATIONS):
        raise AccessError(
            f"the destination's tables in schema _lockstitch have format {found}, this release knows {len(MIGRATIONS)}",
            hint="install the release that made them, or a newer one",
        )
    return found


def make(session: Session) -> None:
    """Bring our tables to the newest format. To be called within `making`'s lock."""
    for version in range(format_of(session), len(MIGRATIONS)):
        session.run(*MIGRATIONS[version], f"UPDATE _lockstitch.format SET version = {version + 1}")


def lock_making(session: Session) -> None:
    """Wait until no other run makes schemas in this database; held until the transaction ends."""
    session.rows(f"SELECT pg_advisory_xact_lock({_MAKING})::text")


# --- marks ------------------------------------------------------------------------------------------------------------


def read_marks(session: Session, connection: str) -> dict[str, Mark]:
    """Return the connection's marks by lane; {} where there is nothing yet."""
    if format_of(session) == 0:
        return {}
    rows = session.rows(
        "SELECT lane, epoch, number, cursor, sequence, versions FROM _lockstitch.marks WHERE connection = $1",
        connection,
    )
    return {
        lane: Mark(epoch, number, json.loads(cursor), sequence, json.loads(versions))
        for lane, epoch, number, cursor, sequence, versions in rows
    }


def lock_mark(session: Session, connection: str, lane: str, after: Mark | None) -> None:
    """Lock the lane's mark until the transaction ends. Raises Superseded unless it still is `after`."""
    if after is None:
        # Of two first runs the second waits here for the first, and then makes no row.
        made = session.value(
            "WITH made AS (INSERT INTO _lockstitch.marks VALUES ($1, $2, 0, 0, 'null', 0, '{}', now())"
            " ON CONFLICT DO NOTHING RETURNING 1) SELECT count(*) FROM made",
            connection,
            lane,
        )
        if made:
            return
    rows = session.rows(
        "SELECT epoch, number FROM _lockstitch.marks WHERE connection = $1 AND lane = $2 FOR UPDATE", connection, lane
    )
    if after is not None and rows == [(after.epoch, after.number)]:
        return
    expected = "none" if after is None else f"epoch {after.epoch}, commit {after.number}"
    found = f"epoch {rows[0][0]}, commit {rows[0][1]}" if rows else "none"
    raise Superseded(
        f"another run has committed to lane {lane!r} of connection {connection!r}: its mark is {found}, not {expected}",
        hint="nothing of this load has landed; the next run goes on from the mark",
    )


def write_mark(session: Session, connection: str, lane: str, mark: Mark) -> None:
    """Set the lane's mark, which `lock_mark` has locked."""
    session.rows(
        "UPDATE _lockstitch.marks SET epoch = $3, number = $4, cursor = $5, sequence = $6, versions = $7,"
        " committed_at = clock_timestamp() WHERE connection = $1 AND lane = $2",
        connection,
        lane,
        mark.epoch,
        mark.number,
        json.dumps(mark.cursor),
        mark.sequence,
        json.dumps(dict(mark.versions)),
    )


# --- ledger -----------------------------------------------------------------------------------------------------------


def write_ledger(session: Session, connection: str, lane: str, mark: Mark, rows: Sequence[LedgerRow]) -> None:
    if not rows:
        return
    names = f"table_name, {', '.join(_COUNTS)}"
    typed = f"table_name text, {', '.join(f'{name} bigint' for name in _COUNTS)}"
    session.rows(
        f"INSERT INTO _lockstitch.ledger (connection, lane, epoch, number, {names}, committed_at)"
        f" SELECT $1, $2, $3, $4, {names}, clock_timestamp() FROM jsonb_to_recordset($5::jsonb) AS rows ({typed})",
        connection,
        lane,
        mark.epoch,
        mark.number,
        json.dumps([{"table_name": row.table, **asdict(row)} for row in rows]),
    )


def read_ledger(session: Session, connection: str) -> list[tuple[str, int, LedgerRow]]:
    if format_of(session) == 0:
        return []
    rows = session.rows(
        f"SELECT lane, number, table_name, {', '.join(_COUNTS)}, committed_at FROM _lockstitch.ledger"
        " WHERE connection = $1 ORDER BY position",
        connection,
    )
    return [(lane, number, LedgerRow(*fields)) for lane, number, *fields in rows]


# --- what we know of the user's tables --------------------------------------------------------------------------------


def register_columns(session: Session, schema: str, columns: Iterable[tuple[str, str]]) -> None:
    """Remember (table, column) pairs as ours."""
    _insert_known(session, "columns", schema, ("table_name", "column_name"), columns)


def register_subtables(session: Session, schema: str, parents: Mapping[str, str]) -> None:
    """Remember the parents of subtables."""
    _insert_known(session, "subtables", schema, ("table_name", "parent"), parents.items())


def _insert_known(
    session: Session, table: str, schema: str, names: tuple[str, str], pairs: Iterable[tuple[str, str]]
) -> None:
    rows = [dict(zip(names, pair, strict=True)) for pair in pairs]
    if rows:
        session.rows(
            f"INSERT INTO _lockstitch.{table} (schema_name, {', '.join(names)})"
            f" SELECT $1, rows.* FROM jsonb_to_recordset($2::jsonb) AS rows ({names[0]} text, {names[1]} text)"
            f" ON CONFLICT DO NOTHING",
            schema,
            json.dumps(rows),
        )


def forget_columns(session: Session, schema: str, table: str) -> None:
    """Forget the columns of an older table of this name, which someone has dropped."""
    session.rows("DELETE FROM _lockstitch.columns WHERE schema_name = $1 AND table_name = $2", schema, table)


def rename_key_column(session: Session, relation: str, old: str, new: str) -> None:
    """Let a generation that is about to become the table have its key under the new name of a column."""
    session.rows(
        "UPDATE _lockstitch.generations SET key = (SELECT coalesce(jsonb_agg(CASE name WHEN $2 THEN $3 ELSE name END"
        " ORDER BY place), '[]') FROM jsonb_array_elements_text(key::jsonb) WITH ORDINALITY AS one(name, place))::text"
        " WHERE relation = $1",
        relation,
        old,
        new,
    )


def rename_known_column(session: Session, schema: str, table: str, old: str, new: str) -> None:
    where = "schema_name = $1 AND table_name = $2 AND column_name"
    session.rows(f"DELETE FROM _lockstitch.columns WHERE {where} = $3", schema, table, new)
    session.rows(f"UPDATE _lockstitch.columns SET column_name = $4 WHERE {where} = $3", schema, table, old, new)
