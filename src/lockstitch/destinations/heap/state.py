"""What Heap cannot keep for us: marks, ledger, rejects, and what of an unfinished load it has taken. In SQLite.

One folder a Heap environment, below the home folder unless the settings say where. Everything goes by connection.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lockstitch.core.errors import AccessError, SettingsError, Superseded, TransientError
from lockstitch.core.loads import LedgerRow
from lockstitch.core.model import Column, ColumnType, Mark, Table
from lockstitch.destinations.heap.objects import Object

if TYPE_CHECKING:
    from lockstitch.core.loads import Reject

#: Version of the tables below. A newer file is refused.
FORMAT = 1

_TABLES = """
create table if not exists marks (
    connection text not null, lane text not null, epoch integer not null, number integer not null,
    cursor text not null, sequence integer not null, versions text not null, committed_at text not null,
    primary key (connection, lane));
create table if not exists ledger (
    connection text not null, lane text not null, number integer not null, table_name text not null,
    read integer not null, inserted integer not null, updated integer not null, superseded integer not null,
    rejected integer not null, adjusted integer not null, checksum integer not null, removed integer not null,
    total integer, committed_at text not null);
create table if not exists tables (
    connection text not null, schema_name text not null, content text not null,
    primary key (connection, schema_name));
create table if not exists taken (
    connection text not null, lane text not null, call text not null, place text not null, digest blob not null,
    primary key (connection, lane, call, place)) without rowid;
create table if not exists _sdc_rejected (
    connection text not null, schema_name text not null, _sdc_rejected_at text not null, table_name text not null,
    reason text not null, record text not null);
"""

_LEDGER = ("read", "inserted", "updated", "superseded", "rejected", "adjusted", "checksum", "removed", "total")


@dataclass(frozen=True, slots=True)
class Commit:
    """All that a committed load leaves."""

    connection: str
    lane: str
    schema: str
    mark: Mark
    ledger: Sequence[LedgerRow]
    tables: Sequence[Table]
    rejects: Sequence[Reject]


class State:
    """The file `state.sqlite` in a folder; open only for one question or one change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "state.sqlite"

    def lane(self, connection: str, lane: str) -> Path:
        """Return the path whose lock a run holds while it sends for a lane."""
        name = hashlib.blake2b(json.dumps([connection, lane]).encode(), digest_size=8).hexdigest()
        return self.folder / f"lane-{name}"

    def make(self) -> None:
        """Make the file where there is none. Raises AccessError for one that a newer program has made."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
        except OSError as error:
            raise SettingsError(
                f"the sender's state {self.path} cannot be made: {error.strerror}",
                hint="set destination.properties.state to a folder that can be written",
            ) from error
        with self._open() as db:
            [(version,)] = db.execute("pragma user_version").fetchall()
            if version > FORMAT:
                raise AccessError(
                    f"{self.path} has format {version}, this program knows formats up to {FORMAT}",
                    hint="upgrade Lockstitch",
                )
            if version < FORMAT:
                db.executescript(f"pragma journal_mode = wal; begin; {_TABLES} pragma user_version = {FORMAT}; commit;")

    def marks(self, connection: str) -> dict[str, Mark]:
        if not self.path.exists():
            return {}
        with self._open() as db:
            rows = db.execute(
                "select lane, epoch, number, cursor, sequence, versions from marks where connection = ?", [connection]
            ).fetchall()
        return {
            lane: Mark(epoch, number, json.loads(cursor), sequence, json.loads(versions))
            for lane, epoch, number, cursor, sequence, versions in rows
        }

    def refuse_superseded(self, connection: str, lane: str, after: Mark | None) -> None:
        """Raise Superseded unless the lane still stands where the load began."""
        stored = self.marks(connection).get(lane)
        if _place(stored) != _place(after):
            raise Superseded(
                f"lane {lane} stands at {_told(stored)}, this run expected {_told(after)}: another run has committed",
                hint="this run sends nothing more of it; run again to go on from there",
            )

    def commit(self, commit: Commit) -> None:
        """Write the mark and what comes with it, in one transaction. What was taken is settled by it."""
        place, now = (commit.connection, commit.lane), _now()
        with self._changing() as db:
            self._write_mark(db, *place, commit.mark)
            db.executemany(
                f"insert into ledger values ({', '.join('?' * (len(_LEDGER) + 5))})",
                [
                    (*place, commit.mark.number, row.table, *(getattr(row, name) for name in _LEDGER), now)
                    for row in commit.ledger
                ],
            )
            db.executemany(
                "insert into _sdc_rejected values (?, ?, ?, ?, ?, ?)",
                [(commit.connection, commit.schema, now, one.table, one.reason, one.record) for one in commit.rejects],
            )
            db.execute(
                "insert or replace into tables values (?, ?, ?)",
                [commit.connection, commit.schema, json.dumps([_written(table) for table in commit.tables])],
            )

    def adopt(self, connection: str, lane: str, mark: Mark) -> None:
        with self._changing() as db:
            self._write_mark(db, connection, lane, mark)

    def _write_mark(self, db: sqlite3.Connection, connection: str, lane: str, mark: Mark) -> None:
        cursor, versions = json.dumps(mark.cursor), json.dumps(dict(mark.versions))
        db.execute(
            "insert or replace into marks values (?, ?, ?, ?, ?, ?, ?, ?)",
            [connection, lane, mark.epoch, mark.number, cursor, mark.sequence, versions, _now()],
        )
        db.execute("delete from taken where connection = ? and lane = ?", [connection, lane])

    def ledger(self, connection: str) -> list[tuple[str, int, LedgerRow]]:
        if not self.path.exists():
            return []
        with self._open() as db:
            rows = db.execute(
                f"select lane, number, table_name, {', '.join(_LEDGER)}, committed_at from ledger where connection = ? "
                "order by lane, number, rowid",
                [connection],
            ).fetchall()
        return [
            (lane, number, LedgerRow(table, *counts, committed_at=datetime.fromisoformat(at)))
            for lane, number, table, *counts, at in rows
        ]

    def tables(self, connection: str, schema: str) -> list[Table]:
        with self._open() as db:
            found = db.execute(
                "select content from tables where connection = ? and schema_name = ?", [connection, schema]
            ).fetchall()
        return [_read(each) for (content,) in found for each in json.loads(content)]

    def rejected(self, connection: str, schema: str) -> list[dict[str, str]]:
        """Return the rejects of a connection, oldest first."""
        names = ("_sdc_rejected_at", "table_name", "reason", "record")
        with self._open() as db:
            rows = db.execute(
                f"select {', '.join(names)} from _sdc_rejected where connection = ? and schema_name = ? order by rowid",
                [connection, schema],
            ).fetchall()
        return [dict(zip(names, row, strict=True)) for row in rows]

    # --- what an unfinished load has sent -------------------------------------------------------------------------

    def take(self, connection: str, lane: str, objects: Iterable[Object]) -> None:
        """Note durably that Heap has taken these: whoever goes on with the lane need not send them again."""
        with self._changing() as db:
            db.executemany(
                "insert or replace into taken values (?, ?, ?, ?, ?)",
                [(connection, lane, one.call, one.place, digest(one)) for one in objects],
            )

    def untaken(self, connection: str, lane: str, objects: Sequence[Object]) -> list[Object]:
        """Return those that Heap has not taken from the unfinished load, or not as they are now."""
        with self._open() as db:
            select = "select digest from taken where connection = ? and lane = ? and call = ? and place = ?"
            return [
                one
                for one in objects
                if db.execute(select, [connection, lane, one.call, one.place]).fetchone() != (digest(one),)
            ]

    def has_ever_taken(self) -> bool:
        """Tell whether Heap has ever taken anything, of whatever connection."""
        with self._open() as db:
            asked = "select exists(select 1 from taken) or exists(select 1 from ledger where inserted > 0)"
            return bool(db.execute(asked).fetchone()[0])

    @contextmanager
    def _changing(self) -> Generator[sqlite3.Connection]:
        """Everything inside is one transaction."""
        with self._open() as db, db:
            db.execute("begin immediate")
            yield db

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        try:
            db = sqlite3.connect(self.path, timeout=60.0, isolation_level=None)
            try:
                db.execute("pragma synchronous = full")
                yield db
            finally:
                db.close()
        except sqlite3.OperationalError as error:
            raise TransientError(
                f"the sender's state {self.path} cannot be used: {error}",
                hint="free some space or end the program that holds it, and run again",
            ) from error
        except sqlite3.DatabaseError as error:
            raise AccessError(
                f"{self.path} is not the sender's state, or is damaged: {error}",
                hint="put a whole copy in its place, or move it away: all rows are then sent again, and Heap keeps "
                "each event once",
            ) from error


def digest(one: Object) -> bytes:
    """Return what tells an object's content from others."""
    return hashlib.blake2b(json.dumps(one.body, sort_keys=True).encode(), digest_size=16).digest()


def _place(mark: Mark | None) -> tuple[int, int] | None:
    return (mark.epoch, mark.number) if mark is not None else None


def _told(mark: Mark | None) -> str:
    return "its beginning" if mark is None else f"commit {mark.number} of epoch {mark.epoch}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _written(table: Table) -> Mapping[str, object]:
    columns = [[one.name, one.type and [one.type.stitch, one.type.native, one.type.scale]] for one in table.columns]
    return {
        "name": table.name,
        "columns": columns,
        "key": table.key,
        "parent": table.parent,
        "version": table.version,
    }


def _read(written: Mapping[str, object]) -> Table:
    found: object = written["columns"]
    assert isinstance(found, list)
    columns = tuple(Column(name, ColumnType(*kind) if kind else None) for name, kind in found)
    key, parent, version = written["key"], written["parent"], written["version"]
    assert isinstance(key, list)
    assert isinstance(parent, str | None)
    assert isinstance(version, int | None)
    names = frozenset(column.name for column in columns)
    return Table(str(written["name"]), columns, tuple(key), names, parent, version)
