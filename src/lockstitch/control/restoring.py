"""Makes a control store, on SQLite or PostgreSQL, out of an archive that `backup` wrote from either."""

from __future__ import annotations

import hashlib
import zipfile
from base64 import b64decode
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from lockstitch.control.backup import (
    AT_ONCE,
    DATABASE,
    FORMAT,
    Content,
    Manifest,
    Place,
    counter_of,
    entry_of,
    tables_of,
)
from lockstitch.control.keyring import FILE as KEYS
from lockstitch.control.keyring import Keyring, keep_keys
from lockstitch.control.store.database import Store, refuse_unknown
from lockstitch.control.store.tables import Moment, connections, metadata
from lockstitch.core.errors import AccessError, SettingsError, SourceDataError


def restore(source: Path, place: Place) -> Manifest:
    """Make the store anew out of an archive, all or nothing, and bring it to this version's schema.

    Raises SettingsError where anything is there already, AccessError for an archive of a newer version, and
    SourceDataError for a damaged one.
    """
    with _opened(source) as archive:
        manifest = _checked(archive, source)
        _refuse_used(place, with_keys=manifest.keys is not None)
        place.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if place.database_url is not None:
            _fill(archive, manifest, place.store())
        else:
            part = f"{DATABASE}.part"
            (place.home / part).touch(mode=0o600)
            try:
                _fill(archive, manifest, place.store(part))
                (place.home / part).replace(place.home / DATABASE)
            finally:
                for left in place.home.glob(f"{part}*"):
                    left.unlink()
        if manifest.keys is not None:
            keep_keys(place.home, archive.read(KEYS).decode().split())
    return manifest


@contextmanager
def _opened(source: Path) -> Generator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(source)
    except FileNotFoundError:
        raise SettingsError(
            f"there is no file {source}", hint="give the archive that `lockstitch backup` made"
        ) from None
    except zipfile.BadZipFile:
        raise SourceDataError(f"{source} is no archive, or was cut", hint="take another backup") from None
    with archive:
        yield archive


def _checked(archive: zipfile.ZipFile, source: Path) -> Manifest:
    """Return the manifest after every entry was compared with it."""
    damaged = SourceDataError(f"{source} is damaged, or no backup of Lockstitch", hint="take another backup")
    try:
        manifest = msgspec.json.decode(archive.read("manifest.json"), type=Manifest)
        if manifest.format != FORMAT:
            raise AccessError(f"{source} has format {manifest.format}", hint="restore it with a newer version")
        refuse_unknown(str(source), manifest.schema)
        expected = {entry_of(name): table.sha256 for name, table in manifest.tables.items()}
        if manifest.keys is not None:
            expected[KEYS] = manifest.keys
        for name, digest in expected.items():
            if _digest(archive, name) != digest:
                raise damaged
    except (KeyError, msgspec.DecodeError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise damaged from error
    return manifest


def _digest(archive: zipfile.ZipFile, name: str) -> str:
    digest = hashlib.sha256()
    with archive.open(name) as entry:
        while piece := entry.read(1_048_576):
            digest.update(piece)
    return digest.hexdigest()


def _refuse_used(place: Place, *, with_keys: bool) -> None:
    """Refuse a place where something is; keys may be, where the archive brings none."""
    hint = "restore into an empty folder, and into an empty database"
    mine = {KEYS} if not with_keys else set[str]()
    if place.database_url is None:
        found = {path.name for path in place.home.glob("*")} - mine
        if found:
            raise SettingsError(f"{place.home} is not empty: it has {', '.join(sorted(found)[:3])}", hint=hint)
        return
    if with_keys and (place.home / KEYS).exists():
        raise SettingsError(f"{place.home} has keys already", hint="move them away: the archive brings its own")
    with closing(place.store()) as store, store.read() as db:
        looked_at = sa.inspect(db)
        found = {*metadata.tables, "alembic_version"} & set(looked_at.get_table_names())
        if found or "dbos" in looked_at.get_schema_names():
            raise SettingsError("a server has used this database already", hint=hint)


def _fill(archive: zipfile.ZipFile, manifest: Manifest, store: Store) -> None:
    with closing(store):
        with store.begin() as db:
            store.upgrade(db, manifest.schema)
            for table in tables_of(db):
                content = manifest.tables.get(table.name)
                if content is not None:
                    _read_table(archive, db, table, content)
        store.migrate()


def _read_table(archive: zipfile.ZipFile, db: sa.Connection, table: sa.Table, content: Content) -> None:
    readers = {
        column.name: read
        for column in table.columns
        for kind, read in _READERS.items()
        if isinstance(column.type, kind)
    }
    count = 0
    with archive.open(entry_of(table.name)) as entry:
        for lines in _in_turn(entry, AT_ONCE):
            rows = [_row(line, readers) for line in lines]
            count += len(rows)
            db.execute(sa.insert(table), rows)
    if count != content.rows:
        raise SourceDataError(f"{table.name} has {count} rows instead of {content.rows}", hint="take another backup")
    if content.last_id is not None:
        _count_on(db, table, content.last_id)


#: How a value is made of the text that JSON has instead of it.
_READERS: Mapping[type[Any], Callable[[str], Any]] = {Moment: datetime.fromisoformat, sa.LargeBinary: b64decode}


def _row(line: bytes, readers: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.json.decode(line)
    for name, read in readers.items():
        if row.get(name) is not None:
            row[name] = read(row[name])
    return row


def _in_turn(lines: Iterable[bytes], count: int) -> Iterator[list[bytes]]:
    found: list[bytes] = []
    for line in lines:
        found.append(line)
        if len(found) == count:
            yield found
            found = []
    if found:
        yield found


def _count_on(db: sa.Connection, table: sa.Table, last_id: int) -> None:
    if db.dialect.name == "sqlite":
        values = {"name": table.name, "seq": last_id}
        db.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
        db.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"), values)
    elif (counter := counter_of(db, table)) is not None:
        db.execute(sa.select(sa.func.setval(counter, last_id)))


def can_read(place: Place, keyring: Keyring) -> bool:
    """Tell whether the keys that are here can read what is stored; True where nothing secret is."""
    with closing(place.store()) as store, store.read() as db:
        found = next((secrets for secrets in db.scalars(sa.select(connections.c.secrets)) if secrets), {})
    try:
        return all(keyring.decrypt(text) is not None for text in found.values())
    except AccessError:
        return False
