"""A pipeline on disk, with a bucket, a home and a warehouse of its own, and runs of it as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from faults import holds
from faults.dumps import LOAD_ROWS, Bucket
from faults.warehouses import Warehouse
from lockstitch.testing.faults import Fault, command

#: Seconds after which a run is said to hang.
PATIENCE = 120.0


@dataclass(frozen=True)
class Ended:
    """What a run left behind."""

    code: int
    out: str
    err: str
    trace: Sequence[str] = ()

    def __str__(self) -> str:
        return f"exit code {self.code}, last points {self.trace[-3:]}\n{self.out}{self.err}"


@dataclass
class Running:
    """A run under way; what it writes goes to the files `log`.out and .err, and its points to .trace."""

    process: subprocess.Popen[bytes]
    log: Path

    def end(self, patience: float = PATIENCE) -> Ended:
        """Wait for the end of the run."""
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the run hangs:\n{self._written('err')}") from None
        trace = self._written("trace").splitlines()
        return Ended(self.process.returncode, self._written("out"), self._written("err"), trace)

    def _written(self, what: str) -> str:
        path = self.log.with_suffix(f".{what}")
        return path.read_text() if path.exists() else ""

    def wait_until_it_says(self, words: str) -> None:
        """Wait until the words are on the run's stderr."""
        deadline = time.monotonic() + PATIENCE
        while words not in self._written("err"):
            assert self.process.poll() is None, f"the run ended before it said {words!r}: {self.end()}"
            assert time.monotonic() < deadline, f"the run hangs:\n{self._written('err')}"
            time.sleep(0.02)

    def wait_until_stopped(self) -> None:
        """Wait until the process has stopped itself."""
        deadline = time.monotonic() + PATIENCE
        while True:
            seen = os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if seen is not None and seen.si_code == os.CLD_STOPPED:
                return
            assert seen is None, f"the run ended before it was stopped: {self.end()}"
            assert time.monotonic() < deadline, "the run hangs"
            time.sleep(0.01)

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill_after(self, seconds: float) -> Ended:
        """Kill the run from outside, if it has not ended before."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
        return self.end()


@dataclass
class Rig:
    """`home` can be moved elsewhere before the first run."""

    folder: Path
    warehouse: Warehouse
    bucket: Bucket = field(init=False)
    home: Path = field(init=False)
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])

    def __post_init__(self) -> None:
        self.bucket = Bucket(self.folder / "bucket")
        self.home = self.folder / "home"
        self.write_pipeline()

    def write_pipeline(self, way: Warehouse | None = None, load_rows: int = LOAD_ROWS) -> None:
        """Write the pipeline file; `way` can be another way to the same warehouse."""
        source = f'[source]\ntype = "platform.heap"\nname = "{holds.SCHEMA}"\n'
        source += f'[source.properties]\nbucket_url = "{self.bucket.folder.as_uri()}"\n'
        (self.folder / "pipeline.toml").write_text(
            f"{source}[load]\nrows = {load_rows}\n{(way or self.warehouse).toml}"
        )

    def start(self, fault: Fault | None = None, *, traced: bool = False, file_limit: int | None = None) -> Running:
        """Start a run; see `lockstitch.testing.faults.command`."""
        log = self.folder / f"run-{len(self._started)}"
        trace = log.with_suffix(".trace") if traced else None
        with log.with_suffix(".out").open("wb") as out, log.with_suffix(".err").open("wb") as err:
            process = subprocess.Popen(
                command(["run", "pipeline.toml", "--progress", "plain"], fault, trace=trace, file_limit=file_limit),
                cwd=self.folder,
                env={**os.environ, "LOCKSTITCH_HOME": str(self.home)},
                stdout=out,
                stderr=err,
            )
        self._started.append(process)
        return Running(process, log)

    def close(self) -> None:
        """Kill what a failed test has left running, or stopped."""
        for process in self._started:
            process.kill()
            process.wait()

    def run_killed(self, fault: Fault) -> None:
        """Run until the fault; fail where the run never came to it."""
        ended = self.start(fault).end()
        assert ended.code == -signal.SIGKILL, f"the run passed by {fault}: {ended}"

    def run_to_the_end(self) -> Ended:
        ended = self.start().end()
        assert ended.code == 0, str(ended)
        return ended

    def marks(self) -> dict[str, int]:
        """Return the number of loads that each lane has committed."""
        with self.warehouse.reading() as read:
            return holds.read_marks(read)

    def check(self) -> None:
        """Fail unless every row written is there, once, and nothing else."""
        holds.check_whole(self.warehouse, self.bucket, self.home)

    def check_between(self, before: Mapping[str, int]) -> dict[str, int]:
        """Fail unless what is there is what a reader may see; see `holds.check_between`."""
        return holds.check_between(self.warehouse, self.bucket, before)
