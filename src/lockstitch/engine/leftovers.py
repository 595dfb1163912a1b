"""What dead runs have left below the home folder goes. Light: every run looks, also one with nothing to carry."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Folders of runs (`run-`) and of downloads (`fetch-`, toolkit/downloads.py).
_FOLDERS = "*-*"


def spools(home: Path) -> Path:
    """Return the folder with a folder for each run that has rows to keep."""
    return home / "spool"


@contextmanager
def nobody_else_makes(root: Path) -> Generator[None]:
    """Hold the lock of the folder of spools: nobody sweeps a spool that is made but not locked yet."""
    with (root / ".lock").open("w") as making:
        fcntl.flock(making, fcntl.LOCK_EX)
        yield


def sweep(home: Path) -> None:
    """Remove what dead runs have spooled and fetched; whoever lives holds the lock in its folder."""
    root = spools(home)
    if not any(root.glob(_FOLDERS)):
        return
    # Whatever stands against it, this run can do its work beside what is left.
    with suppress(OSError), nobody_else_makes(root):
        for folder in root.glob(_FOLDERS):
            with suppress(OSError), (folder / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where its run lives
                shutil.rmtree(folder, ignore_errors=True)
