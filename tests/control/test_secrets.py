"""Secrets: planted everywhere a user can put one, and then looked for everywhere something is written."""

from __future__ import annotations

import base64
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from tests.control.serving import Served, check_ended, heap_properties, selected, serving, until, write_bucket

from lockstitch.cli.app import main
from lockstitch.control import accounts, connections
from lockstitch.control.backup import Place
from lockstitch.control.keyring import make_key, read_keys
from lockstitch.control.messages import Assignment
from lockstitch.control.notifications.settings import Smtp
from lockstitch.control.server import Settings, open_server
from lockstitch.testing.postgres_server import PostgresDatabase
from lockstitch.verbs import PipelineSettings

#: None is part of another, or of anything else.
SECRETS = {
    "password": "pw!Zk3/t9+Qv7=Xa8 ü",
    "changed password": "pw2.Lk83hTqVb91x",
    "aws key": "AWSk+9dkV0q/7Zn2wLr8YbT5mCx3",
    "refused": "refused.Tz71nVqLp0",
    "wrong bearer": "ac_wrongBearerXq71nV",
    "partner secret": "oc_partnerQw81LmZx",
    "smtp password": "smtp.Vb82kQpZr5",
    "database password": "db.Hy37kLwQz9",
}


class Heard:
    """Everything that came back from a server or a command."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, bytes]] = []

    def answer(self, answer: httpx2.Response) -> httpx2.Response:
        told = f"{answer.headers}".encode() + answer.content
        self.texts.append((f"{answer.request.method} {answer.request.url.path}", told))
        return answer


class _Refusing(BaseHTTPRequestHandler):
    """An S3 that knows nobody."""

    def do_GET(self) -> None:
        self.send_response(403)
        self.end_headers()
        self.wfile.write(b"<Error><Code>InvalidAccessKeyId</Code><Message>unknown key</Message></Error>")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def refusing() -> Iterator[str]:
    """The address of a bucket store that refuses every key."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, heard: Heard) -> Callable[..., None]:
    """Run a command that fails."""

    def run(*arguments: str, **environment: str) -> None:
        with monkeypatch.context() as changed:
            for name, value in environment.items():
                changed.setenv(name, value)
            assert main(arguments) != 0
        told = capfd.readouterr()
        assert told.err
        heard.texts.append((" ".join(arguments[:2]), (told.out + told.err).encode()))

    return run


@pytest.fixture
def short() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ls-") as folder:
        yield Path(folder)


def test_no_secret_is_written_anywhere(
    tmp_path: Path,
    short: Path,
    monkeypatch: pytest.MonkeyPatch,
    postgres: PostgresDatabase,
    refusing: str,
    heard: Heard,
):
    # A link to it, as the paths of sockets must be short.
    (tmp_path / "temporary").mkdir()
    temporary = short / "t"
    temporary.symlink_to(tmp_path / "temporary")
    given = {
        "TMPDIR": str(temporary),
        "LOCKSTITCH_ALLOW_NETWORKS": "127.0.0.0/8",
        "LOCKSTITCH_SMTP_HOST": "127.0.0.1",
        "LOCKSTITCH_SMTP_PORT": "9",
        "LOCKSTITCH_SMTP_FROM": "lockstitch@example.com",
        "LOCKSTITCH_SMTP_USERNAME": "lockstitch",
        "LOCKSTITCH_SMTP_PASSWORD": SECRETS["smtp password"],
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    home = tmp_path / "home"
    with serving(home) as served:
        served.client.event_hooks = {"response": [lambda answer: (answer.read(), heard.answer(answer))]}
        _refused_requests(served)
        destination = _destination(served, postgres)
        _failing_source(served, refusing)
        _failing_run(served, destination, write_bucket(tmp_path / "bucket", 1))
        back_up = [sys.executable, "-m", "lockstitch", "backup", "--home", str(home), str(tmp_path / "backup.zip")]
        subprocess.run(back_up, check=True, capture_output=True)
        token = served.token
        served.kill()  # so that the write-ahead log stays
    assert (home / "control.sqlite-wal").stat().st_size > 0
    assert len(heard.texts) > 30
    _check(heard.texts, SECRETS)
    (key,) = read_keys(home)
    everything = {**SECRETS, "token": token, "key": key}
    _check(_written(tmp_path), everything)
    _check(_archived(tmp_path / "backup.zip"), everything)


def _refused_requests(served: Served) -> None:
    secret = SECRETS["refused"]
    bodies: list[Any] = [
        {"type": "postgres", "properties": {"password": {"x": secret}, "host": "h"}},
        {"type": "postgres", "properties": {"password": secret, "port": "no port"}},
        {"type": "postgres", "properties": secret},
        {"type": "postgres", "password": secret, "properties": {}},
    ]
    for body in bodies:
        answer = served.client.post(served.address + "/v4/destinations", json=body, headers=_bearer(served.token))
        assert answer.status_code == 400
    broken = f'{{"type": "postgres", "properties": {{"password": "{secret}"'
    answer = served.client.post(served.address + "/v4/destinations", content=broken, headers=_bearer(served.token))
    assert answer.status_code == 400
    answer = served.client.get(served.address + "/v4/sources", headers=_bearer(SECRETS["wrong bearer"]))
    assert answer.status_code == 401
    account = {"partner_id": "oc_x", "partner_secret": SECRETS["partner secret"], "email": "a@example.com"}
    assert served.client.post(served.address + "/v3/accounts", json=account).status_code == 400
    form = {"grant_type": "authorization_code", "client_secret": SECRETS["partner secret"], "code": secret}
    assert served.client.post(served.address + "/oauth/token", data=form).status_code == 401


def _destination(served: Served, postgres: PostgresDatabase) -> int:
    """Make a destination whose password is wrong, and change it to another wrong one."""
    properties = {**postgres.properties, "password": SECRETS["password"]}
    del properties["ssl"]
    made = served.call("POST", "/v4/destinations", {"type": "postgres", "properties": properties})
    assert check_ended(served, "destination", made["id"])["status"] == "failed"
    changed = {"properties": {"password": SECRETS["changed password"]}}
    served.call("PUT", f"/v4/destinations/{made['id']}", changed)
    assert check_ended(served, "destination", made["id"])["status"] == "failed"
    return made["id"]


def _failing_source(served: Served, endpoint_url: str) -> None:
    keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": SECRETS["aws key"]}
    properties = {**heap_properties("s3://heap-rs3-acme"), **keys, "endpoint_url": endpoint_url}
    del properties["account_id"], properties["role_name"]
    body = {"type": "platform.heap", "display_name": "Closed", "properties": properties}
    made = served.call("POST", "/v4/sources", body)
    assert check_ended(served, "source", made["id"])["status"] == "failed"


def _failing_run(served: Served, destination_id: int, bucket: str) -> None:
    keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": SECRETS["aws key"]}
    body = {"type": "platform.heap", "display_name": "Heap", "properties": {**heap_properties(bucket), **keys}}
    source = served.call("POST", "/v4/sources", {**body, "destination_id": destination_id})
    assert check_ended(served, "source", source["id"])["status"] == "succeeded"
    selected(served, source["id"], "users")
    served.call("POST", f"/v4/sources/{source['id']}/sync")

    def told() -> dict[str, Any] | None:
        page = served.call("GET", f"/v4/{served.account_id}/extractions")
        return next((one for one in page["data"] if one["source_id"] == source["id"]), None)

    extraction = until(told, "the failed run")
    assert extraction["target_exit_status"] == 1
    moved = served.ask("GET", f"/v4/{served.account_id}/extractions/{extraction['job_name']}")
    log = served.client.get(served.address + moved.headers["location"])
    assert "CRITICAL" in log.text
    for path in ("sources", "destinations", f"{served.account_id}/loads"):
        served.call("GET", f"/v4/{path}")


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


def test_commands_do_not_show_the_database_password(tmp_path: Path, heard: Heard, command: Callable[..., None]):
    home, secret = str(tmp_path / "home"), quote(SECRETS["database password"])
    for url in (
        f"postgresql://someone:{secret}@127.0.0.1:9/nowhere",
        f"mysql://someone:{secret}@127.0.0.1:9/nowhere",
        f"postgresql://someone:{secret}@127.0.0.1:no-port/nowhere",
        f"postgresql+nodriver://someone:{secret}@127.0.0.1/nowhere",
        f"{secret}@nowhere",
    ):
        command("tokens", "create", "--home", home, "--database-url", url)
    unreachable = f"postgresql://someone:{secret}@127.0.0.1:9/nowhere"
    command("up", "--home", home, "--port", "0", LOCKSTITCH_DATABASE_URL=unreachable)
    command("worker", "--home", home, LOCKSTITCH_DATABASE_URL=unreachable)
    command("keys", "renew", "--home", home, LOCKSTITCH_DATABASE_URL=unreachable)
    command("backup", "--home", home, "--database-url", unreachable, str(tmp_path / "backup.zip"))
    _check(heard.texts, SECRETS)
    _check(_written(tmp_path), SECRETS)


def test_wrong_keys_are_not_shown(tmp_path: Path, heard: Heard, command: Callable[..., None]):
    key = make_key()
    command("tokens", "create", "--home", str(tmp_path), LOCKSTITCH_KEYS=key[:-4])
    (tmp_path / "keys").write_text(f"{key}\nnonsense {key}")
    (tmp_path / "keys").chmod(0o600)
    command("tokens", "create", "--home", str(tmp_path))
    _check(heard.texts, {"key": key[:-4]})


def test_no_repr_shows_a_secret(tmp_path: Path):
    secret = "hidden.Qz81"
    server = open_server(Settings(tmp_path))
    (key,) = read_keys(tmp_path)
    encrypted = server.keyring.encrypt(secret)
    with server.write() as db:
        account_id = accounts.insert(db, accounts.FIRST, datetime.now(UTC))
        values = {"account_id": account_id, "kind": "destination", "type": "postgres", "name": "pg"}
        values |= {"properties": {}, "secrets": {"password": encrypted}}
        made = connections.insert(db, values, datetime.now(UTC))
        row = connections.one(db, account_id, "destination", made)
    things = [
        Settings(tmp_path, f"postgresql://someone:{secret}@host/database"),
        Place(tmp_path, f"postgresql://someone:{secret}@host/database"),
        Assignment(kind="check", home="", destination_type="postgres", destination_properties={"password": secret}),
        PipelineSettings("c", "s", "postgres", {"password": secret}, "postgres", {"password": secret}),
        Smtp("host", 25, "tls", "a@example.com", "someone", secret),
        *(server, server.store, server.store.engine, server.keyring, server.custody, row),
        *(vars(server), vars(server.keyring)),
    ]
    for thing in things:
        for text in (repr(thing), str(thing)):
            assert secret not in text
            assert key not in text
    server.store.close()


def test_what_looks_for_secrets_finds_them(tmp_path: Path):
    for number, form in enumerate(sorted(_forms(SECRETS["password"]))):
        (tmp_path / f"{number}").write_bytes(b"\0before" + form + b"after")
        with pytest.raises(AssertionError, match=f"password in {number}"):
            _check(_written(tmp_path), SECRETS)
        (tmp_path / f"{number}").unlink()


# --- looking ----------------------------------------------------------------------------------------------------------


def _forms(secret: str) -> set[bytes]:
    """Return how a secret may look that was passed on carelessly."""
    plain = secret.encode()
    escaped = secret.encode("ascii", "backslashreplace")
    coded = base64.b64encode(plain).rstrip(b"=")[:-1]
    return {plain, escaped, quote(secret, safe="").encode(), coded, plain.hex().encode(), plain[:-2]}


def _check(texts: Iterator[tuple[str, bytes]] | list[tuple[str, bytes]], secrets: dict[str, str]) -> None:
    found = [
        f"{name} in {place}: {text[max(0, text.find(form) - 80) :][:160]!r}"
        for place, text in texts
        for name, secret in secrets.items()
        for form in _forms(secret)
        if form in text
    ]
    assert found == []


def _written(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "keys":
            yield str(path.relative_to(folder)), path.read_bytes()


def _archived(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            yield name, archive.read(name)
