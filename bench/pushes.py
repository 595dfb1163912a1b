"""Measures pushed records from the request to the committed DuckDB table.

Four client threads push the same records in bodies of 1,000 and of 10,000; the slower ones count. The processor time
is that of the server with all its children; the clients' is not in it.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import psutil

from bench.measure import processes
from bench.report import Result
from bench.sides import PostgresSide, opened, query_file
from bench.task import Task
from lockstitch.demo.served import Client, serving, wait_for

THREADS = 4
SIZES = (1_000, 10_000)


def pushes(task: Task) -> Result:
    """Push into an inbox on disk."""
    return _measured(task, "SQLite", None, lambda: 0.0)


def pushes_into_postgres(task: Task) -> Result:
    """Push into an inbox in PostgreSQL, whose processor time counts."""
    with opened(PostgresSide.name, task.folder, task.settings.postgres) as side:
        assert isinstance(side, PostgresSide)
        side.begin()
        return _measured(task, side.title, side.uri, side.other_cpu)


def _measured(task: Task, store: str, database_url: str | None, other_cpu: Callable[[], float]) -> Result:
    with serving(task.folder / "home", 0, task.folder, database_url) as (client, process):
        server = _Server(process, other_cpu)
        rates = [_rate(task, client, server, size) for size in SIZES]
    return Result.of_server(task.work.name, task.rows, min(rates), "records/s", task.work.target, store)


class _Server:
    """What is measured; `other_cpu` tells the time of what works for it elsewhere."""

    def __init__(self, process: subprocess.Popen[bytes], other_cpu: Callable[[], float]) -> None:
        self._process = psutil.Process(process.pid)
        self._other_cpu = other_cpu

    def is_idle(self) -> bool:
        """Whether no run's process is left: the time of those that have ended is counted."""
        return len(self._process.children(recursive=True)) == len(self._process.children())

    def cpu(self) -> float:
        """Return what the server and its children have used, those that have ended too."""
        total = self._other_cpu()
        for one in (self._process, *self._process.children(recursive=True)):
            try:
                times = one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system + times.children_user + times.children_system
        return total


def _rate(task: Task, client: Client, server: _Server, size: int) -> float:
    warehouse = task.folder / f"{size}.duckdb"
    destination_id = client.create_destination(warehouse)
    made = {"type": "import_api", "display_name": f"Pushes of {size}", "destination_id": destination_id}
    source = client.call("POST", "/v4/sources", made)
    token = client.call("POST", f"/v4/sources/{source['id']}/tokens")["access_token"]
    bodies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    for first in range(0, task.rows, size):
        bodies.put(_body(source["stitch_client_id"], first, min(size, task.rows - first)))
    time.sleep(1)
    wait_for(lambda: server.is_idle() or None, "the check of the destination")
    used, begun = server.cpu(), time.monotonic()
    threads = [threading.Thread(target=_push, args=(client.address, token, bodies)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted = time.monotonic() - begun
    with processes(1) as process:
        counted = f"select count(*) from {source['name']}.orders"
        wait_for(lambda: process.submit(_count, warehouse, counted).result() == task.rows or None, "all rows")
    took = time.monotonic() - begun
    wait_for(lambda: server.is_idle() or None, "the last run")
    used = server.cpu() - used
    task.say(
        f"  bodies of {size:,}: accepted in {accepted:.1f} s, committed in {took:.1f} s; "
        f"{used:.1f} s of processor time: {task.rows / used:,.0f} records a second and core"
    )
    return task.rows / used


def _body(account_id: int, first: int, size: int) -> bytes:
    """Return a push of records with ten fields, of about 330 bytes each."""
    common = {"client_id": account_id, "table_name": "orders", "action": "upsert", "key_names": ["id"]}
    return json.dumps(
        [
            {**common, "sequence": 1_700_000_000_000_000_000 + number, "data": _row(number)}
            for number in range(first, first + size)
        ]
    ).encode()


def _row(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"customer number {number}",
        "email": f"c{number}@example.com",
        "amount": number * 0.25,
        "count": number % 97,
        "active": number % 2 == 0,
        "country": "DE",
        "city": "Berlin",
        "created_at": "2024-05-01T10:00:00Z",
        "note": None,
    }


def _push(address: str, token: str, bodies: queue.SimpleQueue[bytes]) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with httpx2.Client(timeout=120) as client:
        while not bodies.empty():
            try:
                body = bodies.get_nowait()
            except queue.Empty:
                return
            client.post(f"{address}/v2/import/push", content=body, headers=headers).raise_for_status()


def _count(warehouse: Path, statement: str) -> int:
    """Return the count that a statement tells; 0 while the file or the table is not there, or a run holds it."""
    import duckdb

    try:
        (found,) = query_file(warehouse, statement)
    except (duckdb.IOException, duckdb.CatalogException):
        return 0
    return int(found[0])
