"""What is asked for: a work of the table of works, with the settings of the command line, in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.report import Result


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured. `rows` None means the sizes of the table of works."""

    home: Path
    rows: int | None
    repeat: int
    postgres: int
    full: bool
    profile: bool


@dataclass(frozen=True, slots=True)
class Work:
    """A row of the table of works: at most `target`, or at least where the unit says a second.

    `rows` are what it is done with: rows of a table, sources of a server, records that are pushed.
    """

    name: str
    what: str
    measure: Callable[[Task], Result]
    rows: int
    target: float


@dataclass(frozen=True, slots=True)
class Task:
    """One work under way. `data` is the folder of what is drawn once and kept."""

    settings: Settings
    work: Work
    folder: Path
    data: Path
    say: Callable[[str], None]

    @property
    def rows(self) -> int:
        return self.settings.rows or self.work.rows
