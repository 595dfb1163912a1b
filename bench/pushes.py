"""Measures pushed records from the request to the committed DuckDB table: `python -m bench.pushes`.

One `lockstitch up`; four client threads push the same records in bodies of 1,000 and of 10,000. The processor time is
that of the server with all its children; the clients' is not in it.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import duckdb
import httpx2
import psutil

THREADS = 4
SIZES = (1_000, 10_000)


@dataclass(frozen=True)
class Served:
    """A server with an account's token."""

    process: subprocess.Popen[bytes]
    address: str
    token: str

    def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = httpx2.request(method, self.address + path, json=body, headers=headers, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def is_idle(self) -> bool:
        """Whether no run's process is left: the time of those that have ended is counted."""
        server = psutil.Process(self.process.pid)
        return len(server.children(recursive=True)) == len(server.children())

    def processor_seconds(self) -> float:
        """What the server and its children have used, those that have ended too."""
        server = psutil.Process(self.process.pid)
        total = 0.0
        for one in (server, *server.children(recursive=True)):
            try:
                times = one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system + times.children_user + times.children_system
        return total


def _until(ready: Callable[[], Any], seconds: float = 300) -> Any:
    ends = time.monotonic() + seconds
    while not (found := ready()):
        if time.monotonic() > ends:
            raise TimeoutError(f"waited {seconds:.0f} seconds")
        time.sleep(0.05)
    return found


def _start(home: Path) -> Served:
    environment = {**os.environ, "LOCKSTITCH_ALLOW_FOLDERS": str(home.parent)}
    command = [sys.executable, "-m", "lockstitch"]
    log = home.parent / "log"
    with log.open("wb") as output:
        up = [*command, "up", "--home", str(home), "--port", "0"]
        process = subprocess.Popen(up, stdout=output, stderr=output, env=environment)
    first = _until(lambda: [line for line in log.read_text().splitlines() if line.startswith("Lockstitch listens on ")])
    made = subprocess.run(
        [*command, "tokens", "create", "--home", str(home)], stdout=subprocess.PIPE, env=environment, check=True
    )
    return Served(process, first[0].rpartition(" ")[2], made.stdout.decode().splitlines()[-1])


def _body(account_id: int, first: int, size: int) -> bytes:
    """A push of records with ten fields, of about 330 bytes each."""
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


def _count(warehouse: Path, schema: str) -> int:
    try:
        with duckdb.connect(str(warehouse), read_only=True) as db:
            found = db.execute(f"select count(*) from {schema}.orders").fetchone()
    except (duckdb.IOException, duckdb.CatalogException):
        return 0
    return int(found[0]) if found is not None else 0


def _measure(served: Served, folder: Path, size: int, records: int) -> str:
    warehouse = folder / f"{size}.duckdb"
    properties = {"path": str(warehouse)}
    destination = served.call("POST", "/v4/destinations", {"type": "duckdb", "properties": properties})
    made = {"type": "import_api", "display_name": f"Pushes of {size}", "destination_id": destination["id"]}
    source = served.call("POST", "/v4/sources", made)
    token = served.call("POST", f"/v4/sources/{source['id']}/tokens")["access_token"]
    bodies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    for first in range(0, records, size):
        bodies.put(_body(source["stitch_client_id"], first, size))
    time.sleep(1)
    _until(served.is_idle)  # the check of the destination is over
    used, begun = served.processor_seconds(), time.monotonic()
    threads = [threading.Thread(target=_push, args=(served.address, token, bodies)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted = time.monotonic() - begun
    _until(lambda: _count(warehouse, source["name"]) == records)
    took = time.monotonic() - begun
    _until(served.is_idle)
    used = served.processor_seconds() - used
    return (
        f"{records:,} records in bodies of {size:,}: accepted in {accepted:.1f} s, committed in {took:.1f} s; "
        f"{used:.1f} s of processor time: {records / used:,.0f} records a second and core"
    )


@click.command()
@click.option("--records", default=200_000, show_default=True)
@click.option("--database-url", envvar="LOCKSTITCH_DATABASE_URL", help="Keep the inbox in this empty PostgreSQL.")
def main(records: int, database_url: str | None) -> None:
    """Measure pushes through HTTP."""
    if database_url is not None:
        os.environ["LOCKSTITCH_DATABASE_URL"] = database_url
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        served = _start(folder / "home")
        try:
            for size in SIZES:
                click.echo(_measure(served, folder, size, records))
        finally:
            served.process.kill()
            served.process.wait()


if __name__ == "__main__":
    main()
