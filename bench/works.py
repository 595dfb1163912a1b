"""The works that are measured: what is prepared for each, what is timed, and what must come of it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import buckets
from bench.buckets import CHANGED_SINCE
from bench.measure import BenchFailed, Medians, Usage, run
from bench.report import Result
from bench.sides import SCHEMA, Content, Side, opened

PIPELINE = """\
[source]
type = "platform.heap"
name = "{schema}"
streams = "*"
[source.properties]
bucket_url = "file://{bucket}"
[destination]
{destination}"""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line asks for. `rows` None means the sizes of the issue's table."""

    home: Path
    rows: int | None
    repeat: int
    postgres: int
    full: bool
    profile: bool


@dataclass(frozen=True, slots=True)
class Work:
    """A row of the table of works; `target` is a ratio to the floor, seconds, or megabytes."""

    name: str
    what: str
    measure: Callable[[Bench, Work], Result]
    side: str
    rows: int
    target: float


@dataclass(frozen=True, slots=True)
class Bench:
    """One work under way: its destination, and a folder of its own."""

    settings: Settings
    side: Side
    folder: Path
    data: Path
    say: Callable[[str], None]
    printed: list[str] = field(default_factory=list[str])

    def rows(self, work: Work) -> int:
        return self.settings.rows or work.rows

    def lockstitch(self, bucket: Path) -> Usage:
        """Run a pipeline from the bucket into the side, as a user does; what it printed is kept."""
        home = self.folder / "home"
        shutil.rmtree(home, ignore_errors=True)
        pipeline = self.folder / "pipeline.toml"
        pipeline.write_text(PIPELINE.format(schema=SCHEMA, bucket=bucket, destination=self.side.destination()))
        usage, printed = run(
            ["-m", "bench.profiled" if self.settings.profile else "lockstitch", "run", str(pipeline)],
            folder=self.folder,
            environment={"LOCKSTITCH_HOME": str(home)},
            other_cpu=self.side.other_cpu,
        )
        self.printed.append(printed)
        return usage

    def floor(self, command: list[str]) -> Usage:
        """Run a floor."""
        usage, printed = run(command, folder=self.folder, other_cpu=self.side.other_cpu)
        return replace(usage, parts=json.loads(printed.splitlines()[-1]))

    def contest(
        self, ours: Callable[[], Usage], floor: Callable[[], Usage], check: Callable[[], Content], made: Content
    ) -> tuple[Medians, Medians]:
        """Run both in turn, and check after each that it has made the same table as a run of ours before.

        The first run of the floor is not counted, as that of ours was not, by which the floor's rows were made.
        """
        floor()
        runs: dict[str, list[Usage]] = {"ours": [], "the floor": []}
        for number in range(1, self.settings.repeat + 1):
            for name, one in (("ours", ours), ("the floor", floor)):
                runs[name].append(one())
                _must_equal(replace(check(), sequence=made.sequence), made, f"the table that {name} made")
            self.say(f"  {number}: " + ", ".join(f"{name} {taken[-1].wall:.2f} s" for name, taken in runs.items()))
        return Medians(runs["ours"]), Medians(runs["the floor"])


def measured(work: Work, settings: Settings, say: Callable[[str], None]) -> Result:
    """Measure one work in a folder of its own, which is removed afterwards. A profile is that of its last run."""
    folder = settings.home / work.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with opened(work.side, folder, settings.postgres) as side:
            say(f"{work.name}: {work.what}, into {side.title}")
            bench = Bench(settings, side, folder, _data_folder(settings.home), say)
            result = work.measure(bench, work)
            if settings.profile:
                print(bench.printed[-1])
            return result
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _data_folder(home: Path) -> Path:
    """Return the folder of the rows that the present code draws; those of other code are removed."""
    code = (Path(__file__).with_name(name).read_bytes() for name in ("buckets.py", "events.py", "sums.py"))
    folder = home / f"data-{hashlib.sha256(b''.join(code)).hexdigest()[:12]}"
    for other in home.glob("data-*"):
        if other != folder:
            shutil.rmtree(other)
    return folder


def _must_equal(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise BenchFailed(f"{what}: found {found}, expected {expected}")


# --- works against a floor --------------------------------------------------------------------------------------------


def first(bench: Bench, work: Work) -> Result:
    """Fill a table that is not there yet. The floor writes what a run of ours has made."""
    side, bucket = bench.side, buckets.events(bench.data, bench.rows(work))

    def ours() -> Usage:
        side.begin()
        return bench.lockstitch(bucket.folder)

    def check() -> Content:
        found = side.look(bucket.table, bucket.expected)
        _must_equal(found.sums, bucket.expected, "what landed")
        return found

    ours()
    made = check()
    job = side.prepare(made, bucket.table, after=0)

    def floor() -> Usage:
        side.begin()
        return bench.floor(job.command(f"first_{side.name}"))

    return Result.against_floor(
        work.name, side.title, bucket.expected.rows, work.target, bench.contest(ours, floor, check, made)
    )


def upsert(bench: Bench, work: Work) -> Result:
    """Change a tenth of a table's rows by key. The floor writes the finished rows of a run of ours."""
    side, changed = bench.side, bench.rows(work)
    base = buckets.users(bench.data, changed * 10)
    bucket = buckets.changed_users(bench.data, base, changed)
    side.begin()
    bench.lockstitch(base.folder)
    before = side.look(base.table, base.expected)
    _must_equal(before.sums, base.expected, "the table to change")
    side.keep_as_base()

    def ours() -> Usage:
        side.begin(from_base=True)
        return bench.lockstitch(bucket.folder)

    def check() -> Content:
        found = side.look(bucket.table, bucket.expected, f"last_modified >= '{CHANGED_SINCE}'")
        _must_equal(found.sums, bucket.expected, "the changed rows")
        after = side.look(bucket.table, base.expected)
        _must_equal(after.sums.rows, base.expected.rows, "the rows of the changed table")
        return after

    ours()
    made = check()
    job = side.prepare(made, bucket.table, after=before.sequence)

    def floor() -> Usage:
        side.begin(from_base=True)
        return bench.floor(job.command(f"upsert_{side.name}"))

    return Result.against_floor(work.name, side.title, changed, work.target, bench.contest(ours, floor, check, made))


# --- works without one ------------------------------------------------------------------------------------------------


def nothing_new(bench: Bench, work: Work) -> Result:
    """Find nothing to do."""
    bucket = buckets.many_manifests(bench.data)
    bench.side.begin()
    bench.lockstitch(bucket)
    runs: list[Usage] = []
    for _ in range(bench.settings.repeat):
        runs.append(bench.lockstitch(bucket))
        if "nothing new" not in bench.printed[-1]:
            raise BenchFailed(f"a run with nothing new says: {bench.printed[-1]}")
    return Result.of_seconds(work.name, bench.side.title, buckets.MANIFESTS, work.target, Medians(runs))


def memory(bench: Bench, work: Work) -> Result:
    """Load tables of several sizes, once each."""
    smallest = bench.rows(work)
    runs: dict[int, Medians] = {}
    for rows in (smallest, smallest * 5, *([smallest * 25] if bench.settings.full else [])):
        bucket = buckets.events(bench.data, rows)
        bench.side.begin()
        usage = bench.lockstitch(bucket.folder)
        runs[rows] = Medians([usage])
        _must_equal(bench.side.look(bucket.table, bucket.expected).sums, bucket.expected, "what landed")
        bench.say(f"  {rows} rows: {usage.peak / 1e6:.0f} MB, {usage.wall:.1f} s")
    return Result.of_peaks(work.name, bench.side.title, work.target, runs)


WORKS = (
    Work("first-duckdb", "first load of 26 columns out of Avro files", first, "duckdb", 2_000_000, 1.8),
    Work("first-postgres", "first load of 26 columns out of Avro files", first, "postgres", 2_000_000, 1.6),
    Work("upsert-postgres", "change rows of a table of ten times as many", upsert, "postgres", 500_000, 1.2),
    Work("upsert-duckdb", "change rows of a table of ten times as many", upsert, "duckdb", 500_000, 1.5),
    Work("nothing-new-duckdb", "a bucket of manifests without anything new", nothing_new, "duckdb", 0, 0.5),
    Work("nothing-new-postgres", "a bucket of manifests without anything new", nothing_new, "postgres", 0, 0.5),
    Work("memory-duckdb", "peak memory, the same at every size", memory, "duckdb", 2_000_000, 600),
    Work("memory-postgres", "peak memory, the same at every size", memory, "postgres", 2_000_000, 350),
)
