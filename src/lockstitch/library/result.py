"""What a run did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Literal

from lockstitch.core.errors import Verdict
from lockstitch.display.summary import summary
from lockstitch.display.tally import Tally, counts_of
from lockstitch.library.dataset import Dataset
from lockstitch.library.html import line_html, table_html

if TYPE_CHECKING:
    from lockstitch.engine.run import RunResult
    from lockstitch.library.pipeline import Pipeline


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """What a run did, in the numbers of `lockstitch run --json`.

    `rows` were read, in `loads` transactions. `tables` has by name what became of the rows: read = inserted + updated
    + superseded + rejected; adjusted counts the texts that were changed, and the columns and subtables that were left
    out. `errors` has that of each lane that failed,
    `verdict` who must act on the gravest, or "ok".
    """

    pipeline: Pipeline
    verdict: Verdict | Literal["ok"]
    rows: int
    loads: int
    seconds: float
    tables: Mapping[str, Mapping[str, int]]
    errors: Mapping[str, BaseException]
    warnings: tuple[str, ...]
    text: str

    @classmethod
    def of(cls, pipeline: Pipeline, result: RunResult, tally: Tally) -> Run:
        """Sum up a run that has ended."""
        return cls(
            pipeline,
            verdict=result.verdict or "ok",
            rows=sum(lane.rows for lane in result.lanes),
            loads=tally.loads,
            seconds=monotonic() - tally.began,
            tables={name: counts_of(tally.tables[name]) for name in sorted(tally.tables)},
            errors={lane.lane: lane.error for lane in result.lanes if lane.error is not None},
            warnings=tuple(tally.warnings),
            text=summary(pipeline.settings.schema, result, tally),
        )

    def dataset(self) -> Dataset:
        """Return what has landed, by this run and those before it."""
        return self.pipeline.dataset()

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows."""
        rows = [[name, *counts.values()] for name, counts in self.tables.items()]
        headers = ["table", *next(iter(self.tables.values()))] if rows else []
        lines = [*self.text.rpartition("\n\n")[2].splitlines(), *(f"warning: {text}" for text in self.warnings)]
        lines += [f"{lane}: {error}" for lane, error in self.errors.items()]
        return table_html(headers, rows) + "".join(map(line_html, lines))
