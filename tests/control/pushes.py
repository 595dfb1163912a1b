"""Pushes to a server of its own, whose source fills a DuckDB file."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import httpx2
from tests.control.serving import Served, check_ended


@dataclass(frozen=True)
class Target:
    """An Import API source and the warehouse that it fills."""

    source_id: int
    token: str
    warehouse: Path

    def query(self, sql: str) -> list[tuple[Any, ...]] | None:
        """Return what the warehouse says; None where a run holds it, or has not made the table."""
        if not self.warehouse.exists():
            return None
        unready = suppress(duckdb.IOException, duckdb.CatalogException)
        with unready, duckdb.connect(str(self.warehouse), read_only=True) as db:
            return db.execute(sql).fetchall()
        return None


def make_target(served: Served, warehouse: Path) -> Target:
    made = served.call("POST", "/v4/destinations", {"type": "duckdb", "properties": {"path": str(warehouse)}})
    check_ended(served, "destination", made["id"])
    source = served.call("POST", "/v4/sources", {"type": "import_api", "display_name": "Import API"})
    token = served.call("POST", f"/v4/sources/{source['id']}/tokens")["access_token"]
    return Target(source["id"], token, warehouse)


def keyed_push(account_id: int, rows: list[tuple[int, dict[str, Any]]]) -> Any:
    """A push to the keyed table `keyed`; each row with its sequence."""
    common = {"client_id": account_id, "table_name": "keyed", "action": "upsert", "key_names": ["id"]}
    return [{**common, "sequence": sequence, "data": data} for sequence, data in rows]


def keyless_batch(rows: list[tuple[int, dict[str, Any]]]) -> Any:
    """A batch to the table `keyless`, which every record becomes a row of."""
    messages = [{"action": "upsert", "sequence": sequence, "data": data} for sequence, data in rows]
    return {"table_name": "keyless", "schema": {}, "messages": messages}


def post(client: httpx2.Client, address: str, token: str, kind: str, body: Any) -> int:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return client.post(f"{address}/v2/import/{kind}", content=json.dumps(body).encode(), headers=headers).status_code


@dataclass
class Clients:
    """Threads that push until their server is gone. `stored` has what was answered 201, `sent` all that was tried."""

    token: str
    account_id: int
    addresses: Callable[[], str]
    stored: list[int] = field(default_factory=list[int])
    sent: set[int] = field(default_factory=set[int])
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread])
    _numbers: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, count: int) -> None:
        for _ in range(count):
            thread = threading.Thread(target=self._push)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _push(self) -> None:
        with httpx2.Client(timeout=30) as client:
            while not self._stop.is_set():
                with self._lock:
                    number = self._numbers
                    self._numbers += 1
                self.sent.add(number)
                rows: list[tuple[int, dict[str, Any]]] = [(number, {"id": number * 10 + one}) for one in range(3)]
                try:
                    keyed_status = post(client, self.addresses(), self.token, "push", keyed_push(self.account_id, rows))
                    keyless_status = post(client, self.addresses(), self.token, "batch", keyless_batch(rows))
                except httpx2.TransportError:
                    self._stop.wait(0.05)
                    continue
                if keyed_status == keyless_status == 201:
                    self.stored.append(number)
