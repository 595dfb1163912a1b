"""A private folder for files that are fetched and soon deleted. What a killed run leaves, the next one removes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import IO

_PREFIX = "fetch-"
_LOCK = "lock"


class Downloads:
    """A folder below `root`, made when it is first asked for. It belongs to this process as long as that lives."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._making = threading.Lock()
        self._folder: Path | None = None
        self._held: IO[bytes] | None = None

    def folder(self) -> Path:
        with self._making:
            if self._folder is None:
                self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
                _sweep(self._root)
                self._folder, self._held = _make(self._root)
            return self._folder

    def close(self) -> None:
        """Remove the folder and all that is in it."""
        with self._making:
            if self._folder is not None and self._held is not None:
                import shutil

                shutil.rmtree(self._folder, ignore_errors=True)
                self._held.close()
                self._folder = None


def _make(root: Path) -> tuple[Path, IO[bytes]]:
    """Make a folder whose lock we hold; one that another run swept before we held it is made again."""
    import fcntl
    import tempfile

    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        try:
            held = (folder / _LOCK).open("wb")
        except FileNotFoundError:
            continue
        fcntl.flock(held, fcntl.LOCK_EX)
        if (folder / _LOCK).exists():
            return folder, held
        held.close()


def _sweep(root: Path) -> None:
    import fcntl
    import shutil

    for folder in root.glob(f"{_PREFIX}*"):
        try:
            with (folder / _LOCK).open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # its process lives, or another one sweeps it
