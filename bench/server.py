"""Works of the server, over HTTP and by the clock: how fast it answers, what it needs idle, what it does at once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import psutil

from bench import buckets, crowd
from bench.measure import BenchFailed, processes
from bench.pushes import pushes, pushes_into_postgres
from bench.report import Result
from bench.task import Task, Work
from lockstitch.demo.served import Client, make_token, serving, started, wait_for

RUNS_EACH = 100
REQUESTS = 100
LISTS = ("/v4/sources", "/v4/{}/extractions", "/v4/{}/extractions?page=10", "/v4/{}/loads")
IDLE_SECONDS = 60
#: Seconds between the copies' making and the moment when all of them are due.
_DUE_IN = 15


def lists(task: Task) -> Result:
    """Ask for each list again and again; the slowest list counts, by the time within which 95 of 100 were answered."""
    home = _crowded(task)
    with serving(home, 0, task.folder) as (client, _):
        account_id = client.call("GET", "/v4/sources")[0]["stitch_client_id"]
        late = {path: _late(client, path.format(account_id)) * 1000 for path in LISTS}
    for path, taken in late.items():
        task.say(f"  {path}: {REQUESTS * 95 // 100} of {REQUESTS} within {taken:.1f} ms")
    return Result.of_server(task.work.name, task.rows, max(late.values()), "ms", task.work.target)


def _late(client: Client, path: str) -> float:
    taken: list[float] = []
    for _ in range(REQUESTS):
        begun = time.perf_counter()
        client.download(path)
        taken.append(time.perf_counter() - begun)
    return sorted(taken)[REQUESTS * 95 // 100 - 1]


def ready(task: Task) -> Result:
    """Start the server, until it says that it is ready."""
    home = _crowded(task)
    begun = time.perf_counter()
    with started(home, 0, task.folder) as (address, _):
        wait_for(lambda: httpx2.get(f"{address}/ready").status_code == 200 or None, "the server to be ready")
        took = time.perf_counter() - begun
    return Result.of_server(task.work.name, task.rows, took, "s", task.work.target)


def idle_memory(task: Task) -> Result:
    """Tell the memory of all the server's processes, once it has answered the lists; shared pages are shared out."""
    home = _crowded(task)
    with serving(home, 0, task.folder) as (client, process):
        account_id = client.call("GET", "/v4/sources")[0]["stitch_client_id"]
        for path in LISTS:
            client.call("GET", path.format(account_id))
        time.sleep(5)
        used = sum(one.memory_full_info().pss for one in _family(process.pid)) / 1e6
    return Result.of_server(task.work.name, task.rows, used, "MB", task.work.target)


def idle_cpu(task: Task) -> Result:
    """Tell how much of a core all the server's processes use while nothing is to be done."""
    home = _crowded(task)
    with serving(home, 0, task.folder) as (_, process):
        time.sleep(5)
        before, begun = _cpu(process.pid), time.perf_counter()
        time.sleep(IDLE_SECONDS)
        share = 100 * (_cpu(process.pid) - before) / (time.perf_counter() - begun)
    return Result.of_server(task.work.name, task.rows, share, "%", task.work.target)


def ticks(task: Task) -> Result:
    """Let all schedules be due at once; tell how long it takes until each has its run."""
    return _fired(task, lambda row: row["begun"] == task.rows)


def nothing_new_at_once(task: Task) -> Result:
    """Let all schedules be due at once, of sources without anything new; tell how long all their runs take."""
    return _fired(task, lambda row: row["ended"] == task.rows)


def _fired(task: Task, is_over: Callable[[sqlite3.Row], bool]) -> Result:
    home = task.folder / "home"
    source_id = _prototype(task, home)
    with processes(1) as process:
        process.submit(crowd.multiply, home, source_id, task.rows, _DUE_IN).result()
    with closing(_reading(home)) as db, started(home, 0, task.settings.home):
        (tick,) = db.execute("select min(next_fire_at) from connections").fetchone()
        due = datetime.fromisoformat(tick).replace(tzinfo=UTC).timestamp()
        if time.time() > due:
            raise BenchFailed("the server was not up when the schedules were due")
        time.sleep(due - time.time())
        row = wait_for(lambda: _over(db, tick, is_over), "the runs")
        took = time.time() - due
    if row["error"] is not None or row["moved"]:
        raise BenchFailed(f"{row['moved']} runs found something new, and one says: {row['error']}")
    return Result.of_server(task.work.name, task.rows, took, "s", task.work.target)


_HOW_RUNS_STAND = """
select count(*) as begun, count(completion_time) as ended, count(*) filter (where rows > 0) as moved,
       min(coalesce(discovery_description, tap_description, target_description)) as error
from runs where tick >= ?"""


def _over(db: sqlite3.Connection, tick: str, is_over: Callable[[sqlite3.Row], bool]) -> sqlite3.Row | None:
    row = db.execute(_HOW_RUNS_STAND, [tick]).fetchone()
    return row if is_over(row) else None


def _reading(home: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"file:{home / 'control.sqlite'}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    return db


def _prototype(task: Task, home: Path) -> int:
    """Make a source over HTTP that has nothing new after its first run; return its id."""
    bucket = buckets.many_manifests(task.data)
    with serving(home, 0, task.settings.home) as (client, _):
        client.create_destination(task.folder / "warehouse.duckdb")
        source_id = client.create_source("Heap", bucket.as_uri())
        client.select_all(source_id)
        client.replicate(source_id)
    return source_id


def _crowded(task: Task) -> Path:
    """Return the home of a server with many sources, each with many past runs."""
    home = task.folder / "home"
    make_token(home)
    with processes(1) as process:
        process.submit(crowd.fill_with_reports, home, task.rows, RUNS_EACH).result()
    return home


def _family(pid: int) -> list[psutil.Process]:
    server = psutil.Process(pid)
    return [server, *server.children(recursive=True)]


def _cpu(pid: int) -> float:
    """Return the CPU seconds of the processes' living threads, by the scheduler: others count by ticks of 10 ms."""
    tasks = (task for one in _family(pid) for task in Path(f"/proc/{one.pid}/task").iterdir())
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


SERVER = (
    Work("server-lists", "95 of 100 requests for each list, with 100 past runs a source", lists, 1_000, 50),
    Work("server-ready", "from the command until it is ready, with 100 past runs a source", ready, 1_000, 5),
    Work("server-idle-memory", "memory of all processes when nothing is to do", idle_memory, 1_000, 250),
    Work("server-idle-cpu", "CPU of all processes when nothing is to do", idle_cpu, 1_000, 2),
    Work("server-ticks", "schedules due at once: until each has its run", ticks, 1_000, 60),
    Work(
        "server-nothing-new",
        "schedules due at once: until all runs without news ended",
        nothing_new_at_once,
        1_000,
        300,
    ),
    Work("server-pushes", "records from the request to the table, a second of CPU", pushes, 200_000, 20_000),
    Work("server-pushes-postgres", "the same with the inbox in PostgreSQL", pushes_into_postgres, 200_000, 20_000),
)
