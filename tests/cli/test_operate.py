"""What an operator does beside the API: keys, backups, accounts, partners."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
from litestar.testing import TestClient
from tests.planted import PASSWORD

from lockstitch.api.app import make_app
from lockstitch.cli.app import main
from lockstitch.control import connections, destinations
from lockstitch.control.keyring import ENVIRONMENT, Keyring, make_key, read_keys
from lockstitch.control.server import Settings, open_server


class Told(Protocol):
    def __call__(self, *arguments: str, code: int = 0) -> tuple[str, str]: ...


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """Run a command and return what it wrote to stdout and stderr."""

    def run(*arguments: str, code: int = 0) -> tuple[str, str]:
        assert main(arguments) == code, capsys.readouterr()
        captured = capsys.readouterr()
        return captured.out, captured.err

    return run


def test_keys_are_changed_and_old_ones_dropped(tmp_path: Path, told: Told):
    home = ("--home", str(tmp_path))
    told("tokens", "create", *home)
    (first,) = read_keys(tmp_path)
    destination = _destination(tmp_path)
    told("keys", "add", *home)
    (second, kept) = read_keys(tmp_path)
    assert (kept, second == first) == (first, False)
    assert told("keys", "renew", *home, "--drop") == ("", "1 secret renewed; older keys are removed\n")
    assert read_keys(tmp_path) == [second]
    server = open_server(Settings(tmp_path))
    with server.read() as db:
        row = connections.one(db, 1, "destination", destination)
        assert row is not None
        assert connections.settings(server.custody, row)["password"] == PASSWORD
    server.store.close()


def test_keys_of_the_environment_are_left_to_the_operator(tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch):
    old = make_key()
    monkeypatch.setenv(ENVIRONMENT, old)
    home = ("--home", str(tmp_path / "home"))
    told("tokens", "create", *home)
    printed, told_beside = told("keys", "add", *home)
    assert "put this key before those of LOCKSTITCH_KEYS" in told_beside
    monkeypatch.setenv(ENVIRONMENT, f"{printed.strip()},{old}")
    assert Keyring.open(tmp_path).decrypt(Keyring([old]).encrypt("x")) == "x"
    _, error = told("keys", "renew", *home, "--drop", code=2)
    assert "hint: leave --drop out" in error
    assert not (tmp_path / "home" / "keys").exists()


def test_a_backup_is_restored(tmp_path: Path, told: Told):
    first, second, archive = tmp_path / "first", tmp_path / "second", str(tmp_path / "backup.zip")
    token = told("tokens", "create", "--home", str(first))[0].strip()
    _destination(first)
    out, beside = told("backup", "--home", str(first), archive)
    assert out.startswith("4 rows of 4 tables, ")
    assert beside == "the keys are not in it: keep a copy of them elsewhere\n"
    _, beside = told("restore", "--home", str(second), archive)
    assert "the stored credentials cannot be read yet: put the keys of the server that was backed up into " in beside
    _, error = told("restore", "--home", str(second), archive, code=2)
    assert "is not empty" in error
    _, error = told("backup", "--home", str(first), archive, code=2)
    assert "exists already\nhint: choose another name" in error
    server = open_server(Settings(second))
    with TestClient(make_app(server)) as client:
        answer = client.get("/v4/destinations", headers={"Authorization": f"Bearer {token}"})
        assert [one["name"] for one in answer.json()] == ["PostgreSQL"]
    server.store.close()


def test_a_backup_with_keys_needs_nothing_else(tmp_path: Path, told: Told):
    first, second, archive = tmp_path / "first", tmp_path / "second", str(tmp_path / "backup.zip")
    told("tokens", "create", "--home", str(first))
    _destination(first)
    made = json.loads(told("backup", "--home", str(first), "--with-keys", "--json", archive)[0])
    assert made["keys"] is True
    assert made["rows"]["connections"] == 1
    assert told("restore", "--home", str(second), archive)[1] == ""
    assert read_keys(second) == read_keys(first)


def test_an_account_and_a_partner_can_be_made(tmp_path: Path, told: Told):
    home = ("--home", str(tmp_path))
    account = ("accounts", "create", *home, "--email", "jane@example.com", "--company", "Example")
    made = json.loads(told(*account, "--json")[0])
    _, error = told(*account, code=2)
    assert "already associated" in error
    _, error = told("accounts", "create", *home, "--email", "jane", "--company", "x", code=2)
    assert "--email is 'jane'\nhint: give an address" in error
    out, beside = told("partners", "create", *home, "Partner", "--redirect-uri", "https://example.com/back")
    secret, partner_id = out.strip(), beside.partition(" ")[2].partition(";")[0]
    server = open_server(Settings(tmp_path))
    with TestClient(make_app(server)) as client:
        bearer = {"Authorization": f"Bearer {made['access_token']}"}
        assert client.get("/v4/sources", headers=bearer).json() == []
        names: dict[str, Any] = {"first_name": "J", "last_name": "D", "email": "joe@example.com", "company": "Other"}
        answer = client.post("/v3/accounts", json={**names, "partner_id": partner_id, "partner_secret": secret})
        assert answer.status_code == 200, answer.text
        assert answer.json()["stitch_account_id"] == made["account_id"] + 1
    server.store.close()


def _destination(home: Path) -> int:
    """Make a destination with a password, as a client does."""
    server = open_server(Settings(home))
    properties = {"host": "h", "port": "5432", "username": "u", "password": PASSWORD, "database": "d"}
    body = {"type": "postgres", "properties": properties}
    with server.write() as db:
        made = destinations.create(db, server.custody, 1, body, datetime.now(UTC))
    server.store.close()
    return made["id"]
