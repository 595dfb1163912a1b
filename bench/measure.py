"""Runs a command as a child process and tells what it took.

Linux counts a parent's own memory as the peak of each child that it starts. So the process that measures stays small:
it imports neither Arrow nor DuckDB; what needs them is done in other `processes`.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

_ROOT = Path(__file__).parents[1]


class BenchFailed(Exception):
    """A run failed, or what it made is not what it should be: its numbers are worth nothing."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run took: seconds by the clock, seconds of CPU of all processes, bytes of the child's peak memory.

    `parts` are seconds that the child itself has measured, by name.
    """

    wall: float
    cpu: float
    peak: int
    parts: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Medians:
    """Several runs of one kind."""

    runs: Sequence[Usage]

    @property
    def wall(self) -> float:
        return statistics.median(run.wall for run in self.runs)

    @property
    def cpu(self) -> float:
        return statistics.median(run.cpu for run in self.runs)

    @property
    def peak(self) -> int:
        return max(run.peak for run in self.runs)

    @property
    def parts(self) -> dict[str, float]:
        return {name: statistics.median(run.parts[name] for run in self.runs) for name in self.runs[0].parts}


def run(
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    other_cpu: Callable[[], float] = lambda: 0.0,
) -> tuple[Usage, str]:
    """Run `python arguments` in a folder; return what it took and what it printed.

    `other_cpu` tells the CPU time of other processes that work for the child, such as a server's. The peak is the
    resident memory of the child alone (ru_maxrss), pages of files that it maps included.
    """
    log = folder / "output.txt"
    os.sync()  # what is still to be written is not this run's
    variables = {**os.environ, **_python(folder), **(environment or {})}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, *arguments]
    with log.open("wb") as output:
        others, began = other_cpu(), time.perf_counter()
        child = subprocess.Popen(command, cwd=folder, env=variables, stdout=output, stderr=output)
        _, status, used = os.wait4(child.pid, 0)
        wall, others = time.perf_counter() - began, other_cpu() - others
    child.returncode = os.waitstatus_to_exitcode(status)
    printed = log.read_text()
    if child.returncode != 0:
        raise BenchFailed(f"python {' '.join(arguments)} ended with {child.returncode}:\n{printed[-4000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Usage(wall, used.ru_utime + used.ru_stime + others, used.ru_maxrss * unit), printed


def _python(folder: Path) -> dict[str, str]:
    """Return variables by which a child finds the benchmarks, and all modules compiled once a first one has run.

    It finds no pandas: only our tests need it, and PyArrow loads it wherever it is, which takes up to a second.
    """
    hiding = folder.parent / "without_pandas"
    hiding.mkdir(exist_ok=True)
    (hiding / "pandas.py").write_text("raise ImportError('pandas is hidden from this process')\n")
    path = os.pathsep.join(filter(None, [str(_ROOT), str(hiding), os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path, "PYTHONPYCACHEPREFIX": str(folder.parent / "bytecode")}


def processes(count: int | None = None) -> ProcessPoolExecutor:
    """Return processes for what needs Arrow or DuckDB, one for each core or so many."""
    return ProcessPoolExecutor(count or os.cpu_count(), multiprocessing.get_context("spawn"))
