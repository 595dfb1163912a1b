"""Puts a server together: its home folder, its store, its keys, and the worker and clock in this process."""

from __future__ import annotations

import fcntl
import os
import socket
import uuid
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import sqlalchemy as sa

from lockstitch.control.connections import Custody
from lockstitch.control.folders import Folders, allowed_folders
from lockstitch.control.inboxes import open_inboxes, warn_of_forgotten
from lockstitch.control.keyring import Keyring
from lockstitch.control.metrics import Network, allowed_networks
from lockstitch.control.notifications.settings import Outgoing
from lockstitch.control.store.database import Store
from lockstitch.core.errors import SettingsError

if TYPE_CHECKING:
    from lockstitch.control.dispatch import Dispatcher
    from lockstitch.control.durable import Durable

#: Seconds that runs under way have to commit what they have read, when the server is asked to stop.
LEAVING = 60


@dataclass(frozen=True, slots=True)
class Settings:
    """How one server process is to work. `database_url` None means SQLite in the home folder.

    Files of all accounts may lie in `folders`, and in folders of their own below the home folder. `metrics_from` are
    the networks from which metrics may be read.
    """

    home: Path
    database_url: str | None = field(default=None, repr=False)
    runs_at_once: int = 4
    rate_limited: bool = False
    folders: tuple[Path, ...] = field(default_factory=allowed_folders)
    metrics_from: tuple[Network, ...] = field(default_factory=allowed_networks)
    outgoing: Outgoing = field(default_factory=Outgoing.from_environment)
    #: Seconds after which a worker that says nothing is taken for dead, and its runs are taken over.
    silence: float = 60.0


class Server:
    """All that a request needs. `dispatcher` is None where this process only answers."""

    def __init__(self, settings: Settings, store: Store, keyring: Keyring) -> None:
        self.settings = settings
        self.store = store
        self.keyring = keyring
        self.inboxes = open_inboxes(store, settings.home)
        self.custody = Custody(keyring, Folders(settings.home, settings.folders))
        self.dispatcher: Dispatcher | None = None
        self._leaving = False

    @contextmanager
    def write(self) -> Generator[sa.Connection]:
        """Lend a transaction; once it is committed, what it wrote down is looked at."""
        with self.store.begin() as db:
            yield db
        if self.dispatcher is not None:
            self.dispatcher.wake()

    def read(self) -> AbstractContextManager[sa.Connection]:
        return self.store.read()


def open_server(settings: Settings) -> Server:
    """Make what is missing in the home folder and the store, and open both."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    keyring = Keyring.open(settings.home)
    store = Store(settings.database_url or _sqlite(settings.home, "control"))
    store.migrate()
    warn_of_forgotten(store, settings.home)
    return Server(settings, store, keyring)


def _sqlite(home: Path, name: str) -> str:
    path = home / f"{name}.sqlite"
    if not path.exists():
        path.touch(mode=0o600)
    return f"sqlite:///{path}"


@contextmanager
def working(server: Server) -> Generator[None]:
    """Carry out jobs and fire schedules in this process, until the end of the block."""
    from lockstitch.control.dispatch import Dispatcher
    from lockstitch.control.durable import CHECKS, RUNS, Durable
    from lockstitch.control.notifications.deliverer import Deliverer
    from lockstitch.control.work import Worker

    with _alone(server) as alone:
        executor = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
        url = server.store.url if server.store.is_shared else _sqlite(server.settings.home, "jobs")
        durable = Durable(url, executor, runs_at_once=server.settings.runs_at_once)
        worker = Worker(server.store, server.custody, server.settings.home, executor, lambda: server._leaving)
        silence = server.settings.silence
        dispatcher = server.dispatcher = Dispatcher(server.store, durable, executor, server.inboxes, silence)
        dispatcher.join(alone=alone)
        durable.launch({RUNS: worker.run, CHECKS: worker.check})
        dispatcher.start()
        deliverer = Deliverer(server.store, server.keyring, server.settings.outgoing)
        deliverer.start()
        try:
            yield
        finally:
            _leave(server, dispatcher, durable)
            deliverer.stop()


def _leave(server: Server, dispatcher: Dispatcher, durable: Durable) -> None:
    from lockstitch.control import process

    server._leaving = True
    server.dispatcher = None
    dispatcher.stop()
    durable.close(LEAVING)
    process.kill_all()
    dispatcher.leave()


@contextmanager
def _alone(server: Server) -> Generator[bool]:
    """With SQLite one process at a time works in a home folder: hold its lock, and tell that nobody else can."""
    if server.store.is_shared:
        yield False
        return
    path = server.settings.home / "server.lock"
    with path.open("a+") as lock:
        _lock(lock, path)
        yield True


def _lock(lock: TextIO, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SettingsError(
            f"another server works in {path.parent}",
            hint="stop it, choose another --home, or let both use one PostgreSQL by --database-url",
        ) from None
