"""Buckets on disk that runs read: made once, by several processes, and kept between runs of the benchmarks.

Imports no Arrow by itself: see bench/measure.py for why the process that measures stays small.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import processes
from bench.sums import Sums, added
from lockstitch.testing.heap_bucket import Codec, DumpTable, file_key, write_avro, write_dump

#: Most rows of one file.
FILE_ROWS = 100_000
MANIFESTS = 100
#: `users.last_modified` of a row that was changed; all others are older.
CHANGED_SINCE = "2026-07-01"

_CODECS: tuple[Codec, ...] = ("deflate", "snappy")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A folder in Heap's layout with one table that is measured, and what is expected to land in it."""

    folder: Path
    table: str
    expected: Sums

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*.avro"))


@dataclass(frozen=True, slots=True)
class _Dump:
    """One dump of one table: its rows are dealt to `files` files, each drawn by the named function of bench/events."""

    number: int
    table: str
    key: str
    draw: str
    rows: int
    files: int
    incremental: bool = False


def events(home: Path, rows: int) -> Bucket:
    """Return a bucket with a full dump of an event table, in 20 files or more, half of them deflate, half snappy."""
    return _made(home / f"events-{rows}", _Dump(1, "events", "event_id", "events", rows, max(20, rows // FILE_ROWS)))


def users(home: Path, rows: int) -> Bucket:
    """Return a bucket with a full dump of the users table."""
    return _made(home / f"users-{rows}", _Dump(1, "users", "user_id", "users", rows, max(4, rows // FILE_ROWS)))


def changed_users(home: Path, base: Bucket, rows: int) -> Bucket:
    """Return a bucket that holds the base's dump and after it an incremental one; of that one the sums are."""
    files = max(4, rows // FILE_ROWS)
    dump = _Dump(2, "users", "user_id", "changed_users", rows, files, incremental=True)
    folder = home / f"users-{base.expected.rows}-changed-{rows}"

    def add_base(partial: Path) -> None:
        for source in (path for path in base.folder.rglob("*") if path.is_file()):
            target = partial / source.relative_to(base.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(source)
        (partial / _EXPECTED).unlink()

    return _made(folder, dump, add_base)


def many_manifests(home: Path) -> Path:
    """Return a bucket of a hundred small dumps, each of five tables as Heap's are."""
    folder = home / f"manifests-{MANIFESTS}"
    with once(folder) as partial:
        if partial is not None:
            with processes() as pool:
                pool.submit(_write_small_dumps, partial).result()
    return folder


_EXPECTED = "expected.json"


def _made(folder: Path, dump: _Dump, prepare: Callable[[Path], None] | None = None) -> Bucket:
    with once(folder) as partial:
        if partial is not None:
            if prepare is not None:
                prepare(partial)
            _write(partial, dump)
    expected = Sums.from_json(json.loads((folder / _EXPECTED).read_text()))
    return Bucket(folder, dump.table, expected)


@contextmanager
def once(folder: Path) -> Generator[Path | None]:
    """Yield where a folder is to be made, or None where it is there; it gets its name when it is complete."""
    if folder.exists():
        yield None
        return
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    partial.rename(folder)


def _write(folder: Path, dump: _Dump) -> None:
    keys = [file_key(dump.number, dump.table, number) for number in range(dump.files)]
    with processes() as pool:
        tasks = [pool.submit(_write_file, folder / key, dump, number) for number, key in enumerate(keys)]
        sums = added(task.result() for task in tasks)
    table = {
        "name": dump.table,
        "columns": list(sums.columns),
        "files": [f"s3://bench/{key}" for key in keys],
        "incremental": dump.incremental,
    }
    manifest = folder / "manifests" / f"sync_{dump.number}.json"
    manifest.parent.mkdir(exist_ok=True)
    manifest.write_text(json.dumps({"dump_id": dump.number, "tables": [table], "property_definitions": {}}))
    (folder / _EXPECTED).write_text(json.dumps(sums.as_json()))


def _write_file(path: Path, dump: _Dump, number: int) -> Sums:
    from bench import events, sums

    first, end = (dump.rows * place // dump.files for place in (number, number + 1))
    extra = (dump.rows,) if dump.draw == "changed_users" else ()
    rows = getattr(events, dump.draw)(number, first, end - first, *extra)
    write_avro(path, rows, codec=_CODECS[number % len(_CODECS)])
    return sums.of_rows(rows, dump.key)


def _write_small_dumps(folder: Path) -> None:
    from bench.events import events, migrations, users

    rows = 20
    for number in range(1, MANIFESTS + 1):
        draw = (number, number * rows, rows)
        tables = {
            "users": DumpTable(users(*draw), incremental=number > 1),
            "user_migrations": DumpTable(migrations(*draw), incremental=False),
            **{
                name: DumpTable(events(*draw), incremental=number > 1)
                for name in ("sessions", "pageviews", "click_add_to_cart")
            },
        }
        write_dump(folder, number, tables)
