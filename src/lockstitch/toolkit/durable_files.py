"""Files that are there as a whole or not at all, also after the power has failed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: bytes, *, mode: int = 0o600, only_new: bool = False) -> None:
    """Put a file in its place at once and for good: others see the old content or the new, nobody a part of it.

    With `only_new`, raises FileExistsError where there is one; of several who try at once, one succeeds.
    """
    handle, fresh = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            file.write(content)
            file.flush()
            os.fsync(handle)
        if only_new:
            os.link(fresh, path)
        else:
            Path(fresh).replace(path)
    finally:
        Path(fresh).unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
