"""Runs Lockstitch and samples its threads: `python -m bench.profiled ARGUMENTS` is `lockstitch ARGUMENTS`. Linux only.

`bench.nested_run` as the first argument runs that program with the others.

Tells for each thread its seconds of CPU, and in which of our functions they were spent: what a thread used since the
last sample counts for the innermost line of ours that it is at, with the library's function that this has called.
Threads without Python (DuckDB's, DataFusion's) are told by their total.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

_PAUSE = 0.005
_MOST = 14
_TASKS = Path("/proc/self/task")


@dataclass(slots=True)
class Sampler:
    """Looks at all threads every few milliseconds, in a thread of its own."""

    used: Counter[int] = field(default_factory=Counter[int])
    names: dict[int, str] = field(default_factory=dict[int, str])
    places: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _done: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        own = threading.get_native_id()
        while not self._done.wait(_PAUSE):
            frames = sys._current_frames()
            python = {thread.native_id: thread for thread in threading.enumerate()}
            for number, used in _nanoseconds().items():
                spent, self.used[number] = used - self.used[number], used
                thread = python.get(number)
                if thread is None or number == own:
                    self.names.setdefault(number, "the sampler" if number == own else "threads without Python")
                    continue
                name = self.names[number] = thread.name.partition(" ")[0]
                frame = frames.get(thread.ident or 0)
                if frame is not None:
                    self.places[name][_place(frame)] += spent

    def stop(self) -> None:
        self._done.set()

    def report(self, wall: float) -> str:
        """Return what was seen, the busiest threads first."""
        threads: Counter[str] = Counter()
        for number, used in self.used.items():
            threads[self.names[number]] += used
        lines = [f"{wall:.2f} s by the clock, {sum(threads.values()) / 1e9:.2f} s of CPU"]
        for name, used in threads.most_common():
            lines += ["", f"{used / 1e9:7.2f} s  {name}"]
            lines += [f"{spent / 1e9:7.2f} s    {place}" for place, spent in self.places[name].most_common(_MOST)]
        return "\n".join(lines)


def _nanoseconds() -> dict[int, int]:
    """Return the CPU time of each living thread of this process."""
    found: dict[int, int] = {}
    for task in _TASKS.iterdir():
        try:
            found[int(task.name)] = int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue  # it has ended
    return found


def _place(frame: FrameType) -> str:
    at: FrameType | None = frame
    called = ""
    while at is not None:
        path = at.f_code.co_filename
        if "/lockstitch/" in path:
            return f"{path.rpartition('/lockstitch/')[2]}:{at.f_lineno} {at.f_code.co_qualname}{called}"
        called = f" > {at.f_code.co_qualname}"
        at = at.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_qualname}"


def main() -> int:
    """Run Lockstitch or our program, then print what was seen."""
    sampler = Sampler()
    thread = threading.Thread(target=sampler.watch, name="sampler", daemon=True)
    began = time.perf_counter()
    thread.start()
    if sys.argv[1:2] == ["bench.nested_run"]:
        from bench.nested_run import main as program

        program(*sys.argv[2:])
        code = 0
    else:
        from lockstitch.cli import main as lockstitch

        code = lockstitch()
    wall = time.perf_counter() - began
    sampler.stop()
    thread.join()
    print(sampler.report(wall))
    return code


if __name__ == "__main__":
    sys.exit(main())
