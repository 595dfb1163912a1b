"""Loads into databases: what is prepared for each, what is timed, and what must come of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import buckets
from bench.buckets import CHANGED_SINCE
from bench.floors import FloorTable
from bench.measure import BenchFailed, Medians, Usage, run
from bench.report import Result
from bench.sides import SCHEMA, Content, Side, opened
from bench.task import Task, Work

PIPELINE = """\
[source]
type = "platform.heap"
name = "{schema}"
streams = "*"
[source.properties]
bucket_url = "file://{bucket}"
[destination]
type = "{type}"
[destination.properties]
{properties}
"""


@dataclass(frozen=True, slots=True)
class Bench:
    """A work under way with its destination; `printed` is what each run of ours has printed."""

    task: Task
    side: Side
    printed: list[str] = field(default_factory=list[str])

    def lockstitch(self, bucket: Path) -> Usage:
        """Run a pipeline from the bucket into the side, as a user does; what it printed is kept."""
        home = self.task.folder / "home"
        shutil.rmtree(home, ignore_errors=True)
        pipeline = self.task.folder / "pipeline.toml"
        settings = self.side.destination_properties()
        lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.items())
        pipeline.write_text(PIPELINE.format(schema=SCHEMA, bucket=bucket, type=self.side.name, properties=lines))
        usage, printed = run(
            ["-m", "bench.profiled" if self.task.settings.profile else "lockstitch", "run", str(pipeline)],
            folder=self.task.folder,
            environment={"LOCKSTITCH_HOME": str(home)},
            other_cpu=self.side.other_cpu,
        )
        self.printed.append(printed)
        return usage

    def floor(self, command: list[str]) -> Usage:
        """Run a floor."""
        usage, printed = run(command, folder=self.task.folder, other_cpu=self.side.other_cpu)
        return replace(usage, parts=json.loads(printed.splitlines()[-1]))

    def contest(
        self, ours: Callable[[], Usage], floor: Callable[[], Usage], check: Callable[[], Content], made: Content
    ) -> tuple[Medians, Medians]:
        """Run both in turn, and check after each that it has made the same table as a run of ours before.

        The first run of the floor is not counted, as that of ours was not, by which the floor's rows were made.
        """
        floor()
        runs: dict[str, list[Usage]] = {"ours": [], "the floor": []}
        for number in range(1, self.task.settings.repeat + 1):
            for name, one in (("ours", ours), ("the floor", floor)):
                runs[name].append(one())
                must_equal(replace(check(), sequence=made.sequence), made, f"the table that {name} made")
            self.task.say(f"  {number}: " + ", ".join(f"{name} {taken[-1].wall:.2f} s" for name, taken in runs.items()))
        return Medians(runs["ours"]), Medians(runs["the floor"])


def _prepared(side: Side, table: str, made: Content, after: int = 0) -> FloorTable:
    """Write down the rows that a run of ours has made, for the floor to load them."""
    rows = side.export(table, after)
    return FloorTable(rows, f"{SCHEMA}.{table}", made.sums.key, made.columns, made.constraint)


def must_equal(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise BenchFailed(f"{what}: found {found}, expected {expected}")


# --- works against a floor --------------------------------------------------------------------------------------------


def first(bench: Bench) -> Result:
    """Fill a table that is not there yet. The floor writes what a run of ours has made."""
    side, task = bench.side, bench.task
    bucket = buckets.events(task.data, task.rows)

    def ours() -> Usage:
        side.begin()
        return bench.lockstitch(bucket.folder)

    def check() -> Content:
        found = side.look(bucket.table, bucket.expected)
        must_equal(found.sums, bucket.expected, "what landed")
        return found

    ours()
    made = check()
    job = side.job(_prepared(side, bucket.table, made))

    def floor() -> Usage:
        side.begin()
        return bench.floor(job.command(f"first_{side.name}"))

    pair = bench.contest(ours, floor, check, made)
    return Result.against_floor(task.work.name, side.title, bucket.expected.rows, task.work.target, pair)


def upsert(bench: Bench) -> Result:
    """Change a tenth of a table's rows by key. The floor writes the finished rows of a run of ours."""
    side, task = bench.side, bench.task
    changed = task.rows
    base = buckets.users(task.data, changed * 10)
    bucket = buckets.changed_users(task.data, base, changed)
    side.begin()
    bench.lockstitch(base.folder)
    before = side.look(base.table, base.expected)
    must_equal(before.sums, base.expected, "the table to change")
    side.keep_as_base()

    def ours() -> Usage:
        side.begin(from_base=True)
        return bench.lockstitch(bucket.folder)

    def check() -> Content:
        found = side.look(bucket.table, bucket.expected, f"last_modified >= '{CHANGED_SINCE}'")
        must_equal(found.sums, bucket.expected, "the changed rows")
        after = side.look(bucket.table, base.expected)
        must_equal(after.sums.rows, base.expected.rows, "the rows of the changed table")
        return after

    ours()
    made = check()
    job = side.job(_prepared(side, bucket.table, made, after=before.sequence))

    def floor() -> Usage:
        side.begin(from_base=True)
        return bench.floor(job.command(f"upsert_{side.name}"))

    pair = bench.contest(ours, floor, check, made)
    return Result.against_floor(task.work.name, side.title, changed, task.work.target, pair)


# --- works without one ------------------------------------------------------------------------------------------------


def nothing_new(bench: Bench) -> Result:
    """Find nothing to do."""
    task, bucket = bench.task, buckets.many_manifests(bench.task.data)
    bench.side.begin()
    bench.lockstitch(bucket)
    runs: list[Usage] = []
    for _ in range(task.settings.repeat):
        runs.append(bench.lockstitch(bucket))
        if "nothing new" not in bench.printed[-1]:
            raise BenchFailed(f"a run with nothing new says: {bench.printed[-1]}")
    return Result.of_seconds(task.work.name, bench.side.title, buckets.MANIFESTS, task.work.target, Medians(runs))


def memory(bench: Bench) -> Result:
    """Load tables of several sizes, once each."""
    task = bench.task
    smallest = task.rows
    runs: dict[int, Medians] = {}
    for rows in (smallest, smallest * 5, *([smallest * 25] if task.settings.full else [])):
        bucket = buckets.events(task.data, rows)
        bench.side.begin()
        usage = bench.lockstitch(bucket.folder)
        runs[rows] = Medians([usage])
        must_equal(bench.side.look(bucket.table, bucket.expected).sums, bucket.expected, "what landed")
        task.say(f"  {rows} rows: {usage.peak / 1e6:.0f} MB, {usage.wall:.1f} s")
    return Result.of_peaks(task.work.name, bench.side.title, task.work.target, runs)


def into(name: str, measure: Callable[[Bench], Result]) -> Callable[[Task], Result]:
    """Return a measuring with the destination of this name. A profile is that of its last run."""

    def run_with_side(task: Task) -> Result:
        with opened(name, task.folder, task.settings.postgres) as side:
            task.say(f"{task.work.name}: {task.work.what}, into {side.title}")
            bench = Bench(task, side)
            result = measure(bench)
            if task.settings.profile:
                print(bench.printed[-1])
            return result

    return run_with_side


LOADS = (
    Work("first-duckdb", "first load of 26 columns out of Avro files", into("duckdb", first), 2_000_000, 1.8),
    Work("first-postgres", "first load of 26 columns out of Avro files", into("postgres", first), 2_000_000, 1.6),
    Work("upsert-postgres", "change rows of a table of ten times as many", into("postgres", upsert), 500_000, 1.2),
    Work("upsert-duckdb", "change rows of a table of ten times as many", into("duckdb", upsert), 500_000, 1.5),
    Work("nothing-new-duckdb", "a bucket of manifests without anything new", into("duckdb", nothing_new), 0, 0.5),
    Work("nothing-new-postgres", "a bucket of manifests without anything new", into("postgres", nothing_new), 0, 0.5),
    Work("memory-duckdb", "peak memory, the same at every size", into("duckdb", memory), 2_000_000, 600),
    Work("memory-postgres", "peak memory, the same at every size", into("postgres", memory), 2_000_000, 350),
)
