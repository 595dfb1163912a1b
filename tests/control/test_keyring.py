"""Keys: where they come from, what a wrong one tells, and how all secrets move to a new one while a server works."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from lockstitch.control import accounts, connections
from lockstitch.control.keyring import ENVIRONMENT, Keyring, add_key, keep_keys, make_key, read_keys
from lockstitch.control.renewal import renew_secrets
from lockstitch.control.server import Server, Settings, open_server
from lockstitch.control.store.tables import connections as connection_table
from lockstitch.control.store.tables import hooks
from lockstitch.core.errors import AccessError, SettingsError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_key_is_made_for_the_owner_alone_and_kept(tmp_path: Path):
    text = Keyring.open(tmp_path).encrypt({"a": ["ü", 1]})
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]
    assert Keyring.open(tmp_path).decrypt(text) == {"a": ["ü", 1]}


def test_keys_of_the_environment_need_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    old, new = make_key(), make_key()
    text = Keyring([old]).encrypt("secret")
    monkeypatch.setenv(ENVIRONMENT, f"{new}, {old}")
    assert Keyring.open(tmp_path).decrypt(text) == "secret"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", ["tooshort", ",", "A" * 42])
def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str):
    monkeypatch.setenv(ENVIRONMENT, given)
    with pytest.raises(SettingsError, match="32 bytes") as raised:
        Keyring.open(tmp_path)
    assert given == "," or given not in str(raised.value)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path):
    Keyring.open(tmp_path)
    (tmp_path / "keys").chmod(0o640)
    with pytest.raises(SettingsError, match="can be read by others\nhint: chmod 600"):
        Keyring.open(tmp_path)


def test_a_wrong_key_tells_the_mend():
    text = Keyring([make_key()]).encrypt("secret")
    for attempt in (Keyring([make_key()]).decrypt, Keyring([make_key()]).renew):
        with pytest.raises(AccessError, match="hint: put the old key back behind the new one"):
            attempt(text)


def test_neither_repr_nor_str_shows_a_key(tmp_path: Path):
    keyring = Keyring.open(tmp_path)
    (key,) = read_keys(tmp_path)
    assert key not in f"{keyring!r} {keyring} {keyring.__dict__}"


def test_a_server_at_work_takes_up_a_new_key_and_still_reads_the_old(tmp_path: Path):
    keyring = Keyring.open(tmp_path)
    before, signature = keyring.encrypt("before"), keyring.sign("log 1")
    add_key(tmp_path)
    after = keyring.encrypt("after")
    assert Keyring(read_keys(tmp_path)[:1]).decrypt(after) == "after"
    assert keyring.decrypt(before) == "before"
    assert keyring.is_signature(signature, "log 1")
    assert not keyring.is_signature(signature, "log 2")


def test_renewing_moves_every_secret_to_the_new_key(tmp_path: Path):
    server = open_server(Settings(tmp_path))
    _plant(server, 250)
    add_key(tmp_path)
    assert renew_secrets(server.store, server.keyring) == 250 * 2 + 1
    keep_keys(tmp_path, read_keys(tmp_path)[:1])
    with server.read() as db:
        rows = db.execute(sa.select(connection_table)).all()
        hook = db.execute(sa.select(hooks.c.secret)).scalar_one()
    assert [server.keyring.decrypt(row.secrets["password"]) for row in rows] == [f"pass {n}" for n in range(250)]
    assert all(server.keyring.decrypt(row.secrets["token"]) == "tok" for row in rows)
    assert server.keyring.decrypt(hook) == "signing"
    server.store.close()


def test_renewing_that_meets_an_unknown_key_says_so_and_can_be_repeated(tmp_path: Path):
    server = open_server(Settings(tmp_path))
    _plant(server, 3)
    (first,) = read_keys(tmp_path)
    keep_keys(tmp_path, [make_key()])
    with pytest.raises(AccessError, match="put the old key back"):
        renew_secrets(server.store, server.keyring)
    keep_keys(tmp_path, [*read_keys(tmp_path), first])
    assert renew_secrets(server.store, server.keyring) == 7
    assert renew_secrets(server.store, server.keyring) == 7
    server.store.close()


def test_two_servers_that_start_at_once_agree_on_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def faster(fresh: str, path: Path) -> None:
        path.write_text(other + "\n")
        path.chmod(0o600)
        link(fresh, path)

    link, other = os.link, make_key()
    monkeypatch.setattr(os, "link", faster)
    text = Keyring.open(tmp_path).encrypt("x")
    assert Keyring([other]).decrypt(text) == "x"


def _plant(server: Server, count: int) -> None:
    with server.write() as db:
        account_id = accounts.insert(db, accounts.FIRST, NOW)
        for number in range(count):
            hidden = {"password": f"pass {number}", "token": "tok"}
            values = {
                "account_id": account_id,
                "kind": "destination",
                "type": "postgres",
                "name": f"d{number}",
                "properties": {},
                "secrets": {name: server.keyring.encrypt(value) for name, value in hidden.items()},
            }
            made = connections.insert(db, values, NOW)
        hook = {"account_id": account_id, "destination_id": made, "url": "https://example.com"}  # pyright: ignore[reportPossiblyUnboundVariable]
        secret = server.keyring.encrypt("signing")
        db.execute(sa.insert(hooks).values(**hook, secret=secret, created_at=NOW, modified_at=NOW))
