"""A store with an account, a source and a destination, and a clock that a test moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from litestar.testing import TestClient

from lockstitch.api.app import make_app
from lockstitch.control import accounts, connections, tokens
from lockstitch.control.connections import Row
from lockstitch.control.messages import Committed
from lockstitch.control.notifications import hooks, notices, payload
from lockstitch.control.notifications.deliverer import Deliverer
from lockstitch.control.notifications.settings import Outgoing
from lockstitch.control.server import Server, Settings, open_server
from lockstitch.control.store.tables import connections as connection_table
from lockstitch.control.store.tables import deliveries, notifications
from lockstitch.core.loads import LedgerRow
from lockstitch.engine.events import LoadedStream
from lockstitch.toolkit.addresses import Allowed

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
HERE = Allowed((ip_network("127.0.0.0/8"),))
#: One stream with one row that landed.
LOAD = Committed((LedgerRow("orders", read=1, inserted=1),), (LoadedStream("orders", "orders", 0, True, False),))


@dataclass
class Scene:
    server: Server
    account_id: int
    destination_id: int
    source_id: int
    moment: datetime = START

    # --- what happens ----------------------------------------------------------------------------------------------

    def later(self, **delta: float) -> None:
        self.moment += timedelta(**delta)

    def source(self) -> Row:
        with self.server.read() as db:
            return db.execute(sa.select(connection_table).where(connection_table.c.id == self.source_id)).one()

    def add_hook(self, url: str) -> int:
        body = {"type": "post_load", "destination_id": self.destination_id, "config": {"url": url}}
        with self.server.write() as db:
            outgoing = Outgoing(plain_hooks=True)
            return hooks.create(db, self.server.keyring, self.account_id, body, self.moment, outgoing)["id"]

    def load(self, load: Committed = LOAD) -> int:
        with self.server.write() as db:
            return payload.after_load(db, self.source(), load, self.moment)

    def ends(self, **outcome: Any) -> None:
        """Let a run of the source end so."""
        with self.server.write() as db:
            notices.after_run(db, self.server.store, self.source(), outcome, self.moment)

    # --- what is sent ----------------------------------------------------------------------------------------------

    def deliverer(self, **more: Any) -> Deliverer:
        settings = self.server.settings.outgoing
        return Deliverer(self.server.store, self.server.keyring, settings, clock=lambda: self.moment, **more)

    # --- what is stored --------------------------------------------------------------------------------------------

    def outbox(self) -> list[Row]:
        with self.server.read() as db:
            return list(db.execute(sa.select(deliveries).order_by(deliveries.c.id)))

    def raised(self) -> list[Row]:
        with self.server.read() as db:
            return list(db.execute(sa.select(notifications).order_by(notifications.c.id)))

    def open_events(self) -> list[str]:
        with self.server.read() as db:
            return [one["event"] for one in notices.shown(db, self.account_id)]


def make_scene(home: Path, outgoing: Outgoing | None = None, database_url: str | None = None) -> Scene:
    outgoing = outgoing or Outgoing(allowed=HERE, plain_hooks=True)
    return fill(open_server(Settings(home, database_url, outgoing=outgoing)), "owner@example.com")


def fill(server: Server, email: str) -> Scene:
    """Add an account with a source and a destination."""
    account = {**accounts.FIRST, "email": email}
    with server.write() as db:
        account_id = accounts.insert(db, account, START)
        destination_id = _connection(db, account_id, "destination", "postgres", "Warehouse")
        source_id = _connection(db, account_id, "source", "platform.shopify", "shopify", destination_id=destination_id)
    return Scene(server, account_id, destination_id, source_id)


def _connection(db: sa.Connection, account_id: int, kind: str, type_: str, name: str, **more: Any) -> int:
    values = {
        "account_id": account_id,
        "kind": kind,
        "type": type_,
        "name": name,
        "display_name": name.title(),
        "properties": {},
        "secrets": {},
        **more,
    }
    return connections.insert(db, values, START)


@dataclass
class Caller:
    """An account that calls the API."""

    client: TestClient[Any]
    token: str

    def call(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        more: Mapping[str, Any] = (
            {} if body is None else {"content": body} if isinstance(body, bytes) else {"json": body}
        )
        answer = self.client.request(method, f"/notifications/public/v1/api{path}", headers=headers, **more)
        assert answer.status_code == status, (answer.status_code, answer.text)
        return answer.json()


def make_caller(server: Server, account_id: int, client: TestClient[Any]) -> Caller:
    with server.write() as db:
        return Caller(client, tokens.make_api_token(db, account_id, "test", datetime.now(UTC)).text)


def make_client(server: Server) -> TestClient[Any]:
    return TestClient(make_app(server))
