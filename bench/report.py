"""What is printed: a JSON line for each work, and a table of all."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.measure import Medians
from lockstitch import __version__

#: By how much the peak at one size may exceed that at another and still count as the same.
_SAME_PEAK = 1.1
#: Digits after the point, by unit; none for others.
_DIGITS = {"x": 2, "s": 2, "%": 1, "ms": 1}


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured of one work. `value` is what the target is for: a ratio (x), or in the unit.

    `ours` and `floor` are runs of commands, where it was these that were measured. `destination` is where the rows
    went, or where a server keeps what it knows.
    """

    work: str
    destination: str
    rows: int
    value: float
    unit: str
    target: float
    reached: bool
    ours: Medians | None = None
    floor: Medians | None = None
    peaks: Mapping[int, float] = field(default_factory=dict[int, float])

    @classmethod
    def against_floor(
        cls, work: str, destination: str, rows: int, target: float, pair: tuple[Medians, Medians]
    ) -> Result:
        ours, floor = pair
        ratio = ours.wall / floor.wall
        return cls(work, destination, rows, ratio, "x", target, ratio <= target, ours, floor)

    @classmethod
    def of_seconds(cls, work: str, destination: str, rows: int, target: float, ours: Medians) -> Result:
        return cls(work, destination, rows, ours.wall, "s", target, ours.wall <= target, ours)

    @classmethod
    def of_peaks(cls, work: str, destination: str, target: float, runs: Mapping[int, Medians]) -> Result:
        peaks = {rows: one.peak / 1e6 for rows, one in runs.items()}
        most = max(peaks.values())
        reached = most <= target and most <= _SAME_PEAK * min(peaks.values())
        return cls(work, destination, max(peaks), most, "MB", target, reached, runs[max(peaks)], peaks=peaks)

    @classmethod
    def of_server(cls, work: str, rows: int, value: float, unit: str, target: float, store: str = "SQLite") -> Result:
        """Return what was measured of a server; a target for so much a second is the least."""
        reached = value >= target if unit.endswith("/s") else value <= target
        return cls(work, store, rows, value, unit, target, reached)

    @property
    def without_key(self) -> float | None:
        """Return the ratio to the floor without the time for its key, where that is a part of it."""
        if self.ours is None or self.floor is None or "key" not in self.floor.parts:
            return None
        return self.ours.wall / (self.floor.wall - self.floor.parts["key"])

    def as_json(self) -> str:
        """Return one line for machines."""
        floor = self.floor
        document = {
            "work": self.work,
            "destination": self.destination,
            "rows": self.rows,
            "value": round(self.value, 3),
            "unit": self.unit,
            "target": self.target,
            "reached": self.reached,
            "ours": _numbers(self.ours) if self.ours is not None else None,
            "floor": _numbers(floor) if floor is not None else None,
            "value_without_key": self.without_key and round(self.without_key, 3),
            "peaks_mb": {str(rows): round(peak, 1) for rows, peak in self.peaks.items()},
            "lockstitch": __version__,
            "python": platform.python_version(),
            "cores": os.cpu_count(),
        }
        return json.dumps(document)

    def cells(self) -> list[str]:
        """Return the table's cells, in the order of `_HEADINGS`."""
        runs = [one for one in (self.ours, self.floor) if one is not None]
        peaks = self.peaks.values() or [one.peak / 1e6 for one in runs[:1]]
        return [
            self.work,
            f"{self.rows:,}",
            *(_seconds(one) if one is not None else "-" for one in (self.ours, self.floor)),
            f"{self.value:,.{_DIGITS.get(self.unit, 0)}f} {self.unit}",
            f"{self.target:,g} {self.unit}",
            "yes" if self.reached else "NO",
            " / ".join(f"{one.cpu:.2f}" for one in runs) or "-",
            " / ".join(f"{peak:.0f}" for peak in peaks) or "-",
        ]

    def note(self) -> str:
        """Return what the table has no room for."""
        told = f"{self.work}: {self.destination}"
        if self.floor is not None:
            told += "; of the floor " + ", ".join(f"{name} {took:.2f} s" for name, took in self.floor.parts.items())
        if self.without_key is not None:
            told += f"; to the floor without its key {self.without_key:.2f} x"
        return told


_HEADINGS = ["work", "rows", "ours (s)", "floor (s)", "result", "target", "reached", "CPU (s)", "peak (MB)"]


def table(results: Sequence[Result]) -> str:
    """Return all results for people."""
    rows = [_HEADINGS, *(result.cells() for result in results)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([lines[0], rule, *lines[1:], "", *(result.note() for result in results)])


def _seconds(runs: Medians) -> str:
    walls = [run.wall for run in runs.runs]
    return f"{runs.wall:.2f} ({min(walls):.2f}-{max(walls):.2f})"


def _numbers(runs: Medians) -> dict[str, object]:
    walls = [run.wall for run in runs.runs]
    return {
        "wall": round(runs.wall, 3),
        "wall_min": round(min(walls), 3),
        "wall_max": round(max(walls), 3),
        "cpu": round(runs.cpu, 3),
        "peak_mb": round(runs.peak / 1e6, 1),
        "parts": {name: round(took, 3) for name, took in runs.parts.items()},
        "runs": len(walls),
    }
