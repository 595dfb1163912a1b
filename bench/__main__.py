"""`python -m bench`, or `make bench ARGS="first-duckdb --rows 200000"`: measure, and print JSON lines and a table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.measure import BenchFailed
from bench.report import Result, table
from bench.task import Settings, Work
from bench.works import WORKS, measured
from lockstitch.core.errors import LockstitchError

_ROOT = Path(__file__).parents[1]


def main() -> int:
    given = _parser().parse_args()
    works = [work for work in WORKS if any(work.name.startswith(name) for name in given.works or [""])]
    unknown = [name for name in given.works if not any(work.name.startswith(name) for work in WORKS)]
    if unknown:
        print(f"no work is called {unknown[0]}; there are {', '.join(work.name for work in WORKS)}", file=sys.stderr)
        return 2
    repeat = 1 if given.profile else given.repeat
    settings = Settings(given.folder.absolute(), given.rows, repeat, given.postgres, given.full, given.profile)
    try:
        results = [_told(work, settings) for work in works]
        if not settings.profile:
            print(table(results))
    except (BenchFailed, LockstitchError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


def _told(work: Work, settings: Settings) -> Result:
    result = measured(work, settings, _say)
    if settings.profile:
        return result  # sampling takes time, so that its numbers are none
    line = result.as_json()
    with (settings.home / "results.jsonl").open("a") as file:
        file.write(line + "\n")
    print(line, flush=True)
    return result


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    names = "\n".join(f"  {work.name:22} {work.what}" for work in WORKS)
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure Lockstitch against what the databases themselves do (see docs/performance.md).",
        epilog=f"works:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("works", nargs="*", metavar="WORK", help="what to measure, by name or the beginning of one")
    parser.add_argument("--rows", type=int, help="rows to load or to change, instead of the full size")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each kind, in turn; medians are told (5)")
    parser.add_argument("--postgres", type=int, default=18, help="PostgreSQL's version: 18, or 15 where installed (18)")
    parser.add_argument("--full", action="store_true", help="memory at 25 times the rows, too: 50 million")
    parser.add_argument("--profile", action="store_true", help="one run of each, and where its time goes")
    parser.add_argument("--folder", type=Path, default=_ROOT / "var" / "bench", help="where data is kept (var/bench)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
