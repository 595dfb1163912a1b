"""From a warehouse to Heap: the pipeline file of the documentation, run as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
from tests.destinations.heap.sending import Sender

_PIPELINE = """
[source]
type = "query"
name = "shop"

[source.properties]
path = "{folder}/warehouse.duckdb"

[source.properties.streams.orders]
table = "shop.orders"
key = ["id"]
cursor = "updated_at"

[destination]
type = "heap"

[destination.properties]
app_id = "1234567890"
base_url = "{url}"

[[destination.properties.send.orders]]
as = "track"
event = "Order Paid"
identity = "email"
timestamp = "updated_at"
properties = ["total"]

[[destination.properties.send.orders]]
as = "add_user_properties"
identity = "email"
properties = {{ "Last total" = "total" }}
"""


def lockstitch(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "LOCKSTITCH_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "lockstitch", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_from_a_warehouse_to_heap(sender: Sender) -> None:
    folder = sender.folder
    with duckdb.connect(str(folder / "warehouse.duckdb")) as db:
        db.execute("create schema shop")
        db.execute("create table shop.orders (id int, email varchar, total decimal(10, 2), updated_at timestamptz)")
        db.execute(
            "insert into shop.orders select n, 'user-' || n % 5 || '@example.com', n / 4, "
            "timestamptz '2026-01-01 10:00:00+00' + to_days(n::int) from range(20) as t(n)"
        )
        db.execute("insert into shop.orders values (99, null, 1, '2026-03-01 00:00:00+00')")
    pipeline = folder / "pipeline.toml"
    pipeline.write_text(_PIPELINE.format(folder=folder, url=sender.server.url))
    lockstitch(folder, "check", str(pipeline))
    assert sender.server.requests == []
    assert "Heap has each row as soon as it is sent" in lockstitch(folder, "plan", str(pipeline))
    told = lockstitch(folder, "run", str(pipeline))
    assert "1 row rejected" in told
    assert len([one for one in sender.server.accepted if one["call"] == "track"]) == 20
    assert sender.server.profiles["user-4@example.com"] == {"Last total": 4.75}
    before = len(sender.server.requests)
    assert "nothing new" in lockstitch(folder, "run", str(pipeline))
    assert len(sender.server.requests) == before
    with duckdb.connect(str(folder / "warehouse.duckdb")) as db:
        db.execute("insert into shop.orders values (100, 'new@example.com', 5, '2026-04-01 00:00:00+00')")
    lockstitch(folder, "run", str(pipeline))
    assert sender.server.accepted[-1]["identity"] == "new@example.com"
    assert len([one for one in sender.server.accepted if one["call"] == "track"]) == 21
    assert "cannot be read back" in lockstitch(folder, "verify", str(pipeline))
