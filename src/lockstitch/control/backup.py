"""Writes all that the control store holds into one archive, out of which `restoring` makes a store of either kind.

The archive is a zip: `manifest.json`, one `tables/<name>.jsonl` a table in the order of its key, and, if asked for,
`keys`. It is read in one transaction, so servers may be at work meanwhile. What DBOS keeps is not in it: it only says
who was carrying out what, and whatever had not ended is handed out anew. Nor is the inbox, whose files are only listed.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from lockstitch import __version__
from lockstitch.control.keyring import FILE as KEYS
from lockstitch.control.keyring import read_keys
from lockstitch.control.store.database import Store, refuse_unknown, revision_of
from lockstitch.control.store.tables import Moment, inbox_state, metadata
from lockstitch.core.errors import SettingsError

FORMAT = 1
DATABASE = "control.sqlite"
INBOX = "inbox"
#: Processes that were alive: nothing to keep. And the inbox, which may be larger than all the rest.
_LEFT_OUT = frozenset({"workers", "inbox", "inbox_state"})
#: Rows that are held at a time.
AT_ONCE = 500


class Content(msgspec.Struct, frozen=True):
    """One table: how many rows, the SHA-256 of its entry, and the last id it has ever given."""

    rows: int
    sha256: str
    last_id: int | None = None


class Waiting(msgspec.Struct, frozen=True):
    """Records that were pushed and not loaded: a file below the home folder, or a source's part of the store."""

    path: str
    bytes: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in an archive."""

    format: int
    version: str
    made_at: datetime
    schema: str
    tables: dict[str, Content]
    keys: str | None  # the SHA-256 of their entry
    inbox: tuple[Waiting, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server keeps its data. `database_url` None means SQLite in the home folder."""

    home: Path
    database_url: str | None = field(default=None, repr=False)

    def store(self, name: str = DATABASE) -> Store:
        return Store(self.database_url or f"sqlite:///{self.home / name}")


def back_up(place: Place, target: Path, *, with_keys: bool) -> Manifest:
    """Write a new archive, readable by its owner alone; it is there complete or not at all.

    Raises SettingsError where there is no server or the archive exists already.
    """
    if target.exists():
        raise SettingsError(f"{target} exists already", hint="choose another name, with the date in it, say")
    if place.database_url is None and not (place.home / DATABASE).exists():
        raise SettingsError(f"there is no server in {place.home}", hint="give its --home or its --database-url")
    keys = "".join(f"{key}\n" for key in read_keys(place.home)).encode() if with_keys else None
    fresh = target.with_name(f"{target.name}.part")
    fresh.unlink(missing_ok=True)
    store = place.store()
    try:
        with _owners_alone(fresh) as archive, _snapshot(store) as db:
            manifest = Manifest(
                format=FORMAT,
                version=__version__,
                made_at=datetime.now(UTC),
                schema=_revision(db),
                tables={table.name: _write_table(archive, db, table) for table in tables_of(db)},
                keys=_write(archive, KEYS, [keys]) if keys is not None else None,
                inbox=tuple(_waiting(db, place.home)),
            )
            archive.writestr("manifest.json", msgspec.json.format(msgspec.json.encode(manifest)))
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
        store.close()
    return manifest


@contextmanager
def _owners_alone(path: Path) -> Generator[zipfile.ZipFile]:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            yield archive
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _snapshot(store: Store) -> Generator[sa.Connection]:
    """Lend a transaction that sees one moment of the store, and holds nobody up."""
    if store.is_shared:
        options: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    else:
        options = {"lockstitch_reads": True}
    with store.engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


def _revision(db: sa.Connection) -> str:
    revision = revision_of(db)
    if revision is None:
        raise SettingsError("there is no server's data in this database", hint="give its --home or its --database-url")
    refuse_unknown("the control store", revision)
    return revision


def tables_of(db: sa.Connection) -> list[sa.Table]:
    """Return the tables as they are, which may be of an older revision; those that others point to come first."""
    found = sa.MetaData()
    names = set(sa.inspect(db).get_table_names())
    found.reflect(db, only=[name for name in metadata.tables if name in names])
    for column in (column for table in found.tables.values() for column in table.columns):
        if isinstance(column.type, sa.DateTime):
            column.type = Moment()
        elif isinstance(column.type, sa.JSON):
            column.type = sa.JSON(none_as_null=True)
    return [table for table in found.sorted_tables if table.name not in _LEFT_OUT]


def _write_table(archive: zipfile.ZipFile, db: sa.Connection, table: sa.Table) -> Content:
    # Rows that others of the table point to come first: so they can be put back one after the other.
    inward = [one.parent for one in table.foreign_keys if one.column.table is table]
    order = [*(column.asc().nulls_first() for column in inward), *table.primary_key.columns]
    count = 0

    def lines() -> Iterator[bytes]:
        nonlocal count
        rows = db.execution_options(yield_per=AT_ONCE).execute(sa.select(table).order_by(*order))
        for row in rows.mappings():
            count += 1
            yield msgspec.json.encode(dict(row)) + b"\n"

    digest = _write(archive, entry_of(table.name), lines())
    return Content(count, digest, _last_id(db, table))


def entry_of(table: str) -> str:
    return f"tables/{table}.jsonl"


def _write(archive: zipfile.ZipFile, name: str, pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    with archive.open(name, "w", force_zip64=True) as entry:
        for piece in pieces:
            digest.update(piece)
            entry.write(piece)
    return digest.hexdigest()


def _waiting(db: sa.Connection, home: Path) -> Iterator[Waiting]:
    if db.dialect.name == "postgresql":
        for row in db.execute(sa.select(inbox_state.c.source_id, inbox_state.c.bytes).where(inbox_state.c.bytes > 0)):
            yield Waiting(f"{INBOX}/{row.source_id}", row.bytes)
        return
    for path in sorted((home / INBOX).rglob("*")):
        if path.is_file():
            yield Waiting(str(path.relative_to(home)), path.stat().st_size)


def counter_of(db: sa.Connection, table: sa.Table) -> str | None:
    """Return the name of the sequence behind a table's id on PostgreSQL, or None."""
    if "id" not in table.c or not isinstance(table.c.id.type, sa.Integer):
        return None
    return db.scalar(sa.select(sa.func.pg_get_serial_sequence(table.name, "id")))


def _last_id(db: sa.Connection, table: sa.Table) -> int | None:
    """Return the highest id that was ever given: an id is not given again after its row is gone."""
    if db.dialect.name == "sqlite":
        return db.scalar(sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
    counter = counter_of(db, table)
    if counter is None:
        return None
    return db.scalar(sa.text(f"SELECT CASE WHEN is_called THEN last_value END FROM {counter}"))
