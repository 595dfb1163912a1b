"""Backups: all that is stored comes back, on either database, out of a server at work; and nothing is overwritten."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from tests.control.serving import (
    check_ended,
    extraction_of,
    heap_properties,
    selected,
    serving,
    start,
    until,
    write_bucket,
)
from tests.planted import AWS_KEY

from lockstitch.control import accounts, connections, runs, tokens
from lockstitch.control.backup import Place, back_up
from lockstitch.control.keyring import Keyring, read_keys
from lockstitch.control.restoring import can_read, restore
from lockstitch.control.server import Settings, open_server
from lockstitch.control.store.database import Store
from lockstitch.control.store.tables import Moment, metadata
from lockstitch.core.errors import AccessError, SettingsError, SourceDataError
from lockstitch.testing.postgres_server import PostgresDatabase, PostgresServer

NOW = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def first(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A server's place with something of everything in it."""
    return _filled(_place(request, tmp_path / "first", request.param))


@pytest.fixture(params=["sqlite", "postgres"])
def second(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place."""
    return _place(request, tmp_path / "second", request.param)


def _place(request: pytest.FixtureRequest, home: Path, kind: str) -> Place:
    if kind == "sqlite":
        return Place(home)
    server: PostgresServer = request.getfixturevalue("postgres_18")
    database: PostgresDatabase = server.create_database()
    request.addfinalizer(lambda: server.drop_database(database))
    return Place(home, database.uri)


def test_everything_comes_back_on_either_database(first: Place, second: Place, tmp_path: Path):
    archive = tmp_path / "backup.zip"
    made = back_up(first, archive, with_keys=True)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.zip", "first"]

    assert restore(archive, second) == made
    before, after = _content(first), _content(second)
    for name in ("workers", "inbox", "inbox_state"):
        assert before.pop(name)
        assert after[name] == []
    assert before == {name: after[name] for name in before}
    assert made.tables["connections"].rows == len(after["connections"]) == 3
    assert all(before[name] for name in before), "something of everything is in it"
    keyring = Keyring(read_keys(second.home))
    assert can_read(second, keyring)
    assert stat.S_IMODE((second.home / "keys").stat().st_mode) == 0o600

    again = tmp_path / "again.zip"
    back_up(second, again, with_keys=True)
    assert _entries(again) == _entries(archive)


def test_ids_that_were_given_are_not_given_again(first: Place, second: Place, tmp_path: Path):
    store = first.store()
    with store.begin() as db:
        last = accounts.insert(db, {**accounts.FIRST, "email": "gone@example.com"}, NOW)
        db.execute(sa.delete(metadata.tables["accounts"]).where(metadata.tables["accounts"].c.id == last))
    store.close()
    back_up(first, tmp_path / "backup.zip", with_keys=False)
    restore(tmp_path / "backup.zip", second)
    store = second.store()
    with store.begin() as db:
        assert accounts.insert(db, {**accounts.FIRST, "email": "new@example.com"}, NOW) == last + 1
    store.close()


def test_without_keys_none_is_in_it_and_those_that_are_there_stay(tmp_path: Path):
    first, second = _filled(Place(tmp_path / "first")), Place(tmp_path / "second")
    made = back_up(first, tmp_path / "backup.zip", with_keys=False)
    (key,) = read_keys(first.home)
    assert made.keys is None
    with zipfile.ZipFile(tmp_path / "backup.zip") as archive:
        assert "keys" not in archive.namelist()
        assert all(key.encode() not in archive.read(name) for name in archive.namelist())
    own = Keyring.open(_made(second.home))
    restore(tmp_path / "backup.zip", second)
    assert not can_read(second, own)
    assert can_read(second, Keyring(read_keys(first.home)))


def test_the_inbox_is_listed(tmp_path: Path):
    first = _filled(Place(tmp_path / "first"))
    _made(first.home / "inbox" / "7")
    (first.home / "inbox" / "7" / "000.log").write_bytes(b"12345")
    made = back_up(first, tmp_path / "backup.zip", with_keys=False)
    assert [(one.path, one.bytes) for one in made.inbox] == [("inbox/7/000.log", 5)]


def test_an_inbox_in_the_store_is_listed_too(tmp_path: Path, postgres: PostgresDatabase):
    made = back_up(_filled(Place(tmp_path / "first", postgres.uri)), tmp_path / "backup.zip", with_keys=False)
    assert [(one.path, one.bytes) for one in made.inbox] == [("inbox/1", 2**31 - 1)]


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_nothing_is_overwritten(tmp_path: Path, postgres: PostgresDatabase):
    first = _filled(Place(tmp_path / "first"))
    archive = tmp_path / "backup.zip"
    back_up(first, archive, with_keys=True)
    with pytest.raises(SettingsError, match="exists already"):
        back_up(first, archive, with_keys=True)
    before = _content(first)
    with pytest.raises(SettingsError, match=r"is not empty: it has control\.sqlite"):
        restore(archive, first)
    assert _content(first) == before
    used = _filled(Place(tmp_path / "used", postgres.uri))
    with pytest.raises(SettingsError, match="has keys already"):
        restore(archive, used)
    with pytest.raises(SettingsError, match="a server has used this database already"):
        restore(archive, Place(tmp_path / "fresh", postgres.uri))
    assert not (tmp_path / "fresh").exists()


def test_where_no_server_is_there_is_nothing_to_back_up(tmp_path: Path, postgres: PostgresDatabase):
    for place in (Place(tmp_path / "none"), Place(tmp_path / "none", postgres.uri)):
        with pytest.raises(SettingsError, match="there is no server"):
            back_up(place, tmp_path / "backup.zip", with_keys=False)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_of_a_newer_schema_is_refused(tmp_path: Path):
    archive = _archive(tmp_path)
    _rewrite(archive, "manifest.json", lambda text: re.sub(rb'"schema": "\d+"', b'"schema": "9999"', text))
    with pytest.raises(AccessError, match="has schema 9999, which this version does not know\nhint: a newer version"):
        restore(archive, Place(tmp_path / "second"))
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize(
    ("entry", "change"),
    [
        ("tables/accounts.jsonl", lambda text: text.replace(b"localhost", b"elsewhere")),
        ("tables/accounts.jsonl", None),
        ("keys", lambda text: text[:-1]),
        ("manifest.json", lambda text: text[:-5]),
        ("manifest.json", None),
    ],
)
def test_a_damaged_archive_is_refused(tmp_path: Path, entry: str, change: Callable[[bytes], bytes] | None):
    archive = _archive(tmp_path)
    _rewrite(archive, entry, change)
    with pytest.raises(SourceDataError, match="damaged"):
        restore(archive, Place(tmp_path / "second"))
    assert not (tmp_path / "second").exists()


def test_a_cut_or_missing_archive_is_refused(tmp_path: Path):
    archive = _archive(tmp_path)
    archive.write_bytes(archive.read_bytes()[:-40])
    with pytest.raises(SourceDataError, match="is no archive, or was cut"):
        restore(archive, Place(tmp_path / "second"))
    with pytest.raises(SettingsError, match="there is no file"):
        restore(tmp_path / "other.zip", Place(tmp_path / "second"))


def test_a_restore_that_fails_half_way_leaves_no_trace(tmp_path: Path):
    archive = _archive(tmp_path)
    # Its checksum is right, but a row in it points to nothing.
    with zipfile.ZipFile(archive) as read:
        manifest = json.loads(read.read("manifest.json"))
        text = read.read("tables/hooks.jsonl").replace(b'"destination_id":', b'"destination_id":99')
    manifest["tables"]["hooks"]["sha256"] = hashlib.sha256(text).hexdigest()
    _rewrite(archive, "tables/hooks.jsonl", lambda _: text)
    _rewrite(archive, "manifest.json", lambda _: json.dumps(manifest).encode())
    with pytest.raises(IntegrityError):
        restore(archive, Place(tmp_path / "second"))
    assert list((tmp_path / "second").iterdir()) == []


# --- a server at work -------------------------------------------------------------------------------------------------


def test_a_backup_of_a_server_at_work_carries_on_elsewhere(tmp_path: Path):
    """What had not ended when the backup was made is carried out by the restored server."""
    home, other = tmp_path / "home", tmp_path / "other"
    bucket = write_bucket(tmp_path / "bucket", 1)
    with serving(home) as served:
        made = {"type": "duckdb", "properties": {"path": str(tmp_path / "warehouse.duckdb")}}
        destination = served.call("POST", "/v4/destinations", made)
        made = {"type": "platform.heap", "display_name": "Heap", "properties": heap_properties(bucket)}
        source = served.call("POST", "/v4/sources", made)
        check_ended(served, "destination", destination["id"])
        check_ended(served, "source", source["id"])
        selected(served, source["id"], "users")
        store = Store(f"sqlite:///{home}/control.sqlite")

        def under_way() -> str | None:
            served.call("POST", f"/v4/sources/{source['id']}/sync")
            with store.read() as db:
                found = runs.waiting(db)
            if not found:
                return None
            (tmp_path / "backup.zip").unlink(missing_ok=True)
            back_up(Place(home), tmp_path / "backup.zip", with_keys=True)
            (run,) = (row for row in _archived(tmp_path / "backup.zip", "runs") if row["active_source_id"])
            return run["name"]

        job = until(under_way, "a run under way")
        store.close()
        assert extraction_of(served, job)["target_exit_status"] == 0
        token, account = served.token, served.account_id
    restore(tmp_path / "backup.zip", Place(other))
    again = start(other)
    try:
        again.token, again.account_id = token, account
        extraction = extraction_of(again, job)
        assert extraction["tap_exit_status"] == extraction["target_exit_status"] == 0, extraction
    finally:
        again.close()


# --- what the tests need ----------------------------------------------------------------------------------------------


def _filled(place: Place) -> Place:
    """Store at least one row in every table, with every kind of value; a source's id is below its destination's."""
    server = open_server(Settings(place.home, place.database_url))
    with server.store.begin() as db:
        account_id = accounts.insert(db, {**accounts.FIRST, "company": 'Ümlaut "&" 🧵\n'}, NOW)
        accounts.make_partner(db, "Partner", ["https://example.com/?a=b"], NOW)
        tokens.make_api_token(db, account_id, "first", NOW)
        common = {"account_id": account_id, "properties": {"a": ["1", {"b": None}], "ü": "🧵"}}
        secrets = {"password": server.keyring.encrypt(AWS_KEY)}
        source = {**common, "kind": "source", "type": "platform.heap", "name": "heap", "secrets": {}}
        destination = {**common, "kind": "destination", "type": "postgres", "name": "pg", "secrets": secrets}
        source_id = connections.insert(db, source, NOW)
        for target in (connections.insert(db, destination, NOW), connections.insert(db, destination, NOW)):
            connections.update(db, source_id, {"destination_id": target, "next_fire_at": NOW}, NOW)
        source_row = connections.one(db, account_id, "source", source_id)
        assert source_row is not None
        assert runs.begin(db, server.store.insert_new, source_row, NOW) is not None
        _fill_the_rest(db, {"account_id": account_id, "source_id": source_id, "connection_id": source_id})
    server.store.close()
    return place


def _fill_the_rest(db: sa.Connection, ids: dict[str, int]) -> None:
    """Put a row into every table that has none, whatever columns it has."""
    for table in metadata.sorted_tables:
        if db.execute(sa.select(table)).first() is not None:
            continue
        values: dict[str, Any] = {}
        for column in table.columns:
            if column.foreign_keys:
                (key,) = column.foreign_keys
                values[column.name] = ids.get(column.name) or db.scalar(sa.select(key.column).limit(1))
            elif not (column.primary_key and isinstance(column.type, sa.Integer) and len(table.primary_key) == 1):
                values[column.name] = _some_value(column)
        db.execute(sa.insert(table).values(values))


def _some_value(column: sa.Column[Any]) -> Any:
    if isinstance(column.type, Moment):
        return NOW
    if isinstance(column.type, sa.JSON):
        return {"ü": [1, None, "🧵"]}
    values: dict[type[Any], Any] = {int: 2**31 - 1, bool: True, str: f"some {column.name} 🧵", bytes: bytes(range(256))}
    return values[column.type.python_type]


def _content(place: Place) -> dict[str, list[dict[str, Any]]]:
    store = place.store()
    with store.read() as db:
        content = {
            table.name: [dict(row) for row in db.execute(sa.select(table).order_by(*table.primary_key)).mappings()]
            for table in metadata.sorted_tables
        }
    store.close()
    return content


def _archive(folder: Path) -> Path:
    back_up(_filled(Place(folder / "first")), folder / "backup.zip", with_keys=True)
    return folder / "backup.zip"


def _entries(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as read:
        return {name: read.read(name) for name in read.namelist() if name != "manifest.json"}


def _archived(archive: Path, table: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _entries(archive)[f"tables/{table}.jsonl"].splitlines()]


def _rewrite(archive: Path, entry: str, change: Callable[[bytes], bytes] | None) -> None:
    """Change one entry of an archive, or take it out."""
    with zipfile.ZipFile(archive) as read:
        entries = {name: read.read(name) for name in read.namelist()}
    with zipfile.ZipFile(archive, "w") as write:
        for name, text in entries.items():
            if name != entry:
                write.writestr(name, text)
            elif change is not None:
                assert change(text) != text
                write.writestr(name, change(text))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
