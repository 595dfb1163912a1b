"""All works, and how one is measured."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from bench.loads import LOADS
from bench.nested import NESTED
from bench.report import Result
from bench.server import SERVER
from bench.task import Settings, Task, Work

WORKS = (*LOADS, *NESTED, *SERVER)


def measured(work: Work, settings: Settings, say: Callable[[str], None]) -> Result:
    """Measure one work in a folder of its own, which is removed afterwards."""
    folder = settings.home / work.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        return work.measure(Task(settings, work, folder, _data_folder(settings.home), say))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _data_folder(home: Path) -> Path:
    """Return the folder of the rows that the present code draws; those of other code are removed."""
    code = (Path(__file__).with_name(name).read_bytes() for name in ("buckets.py", "events.py", "leads.py", "sums.py"))
    folder = home / f"data-{hashlib.sha256(b''.join(code)).hexdigest()[:12]}"
    for other in home.glob("data-*"):
        if other != folder:
            shutil.rmtree(other)
    return folder
