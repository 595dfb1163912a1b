"""Secrets that tests give as credentials: nothing that the suite leaves behind may hold one as it is."""

from __future__ import annotations

import mmap
from pathlib import Path

PASSWORD, AWS_KEY = "open sesame, 3 times", "swordfish/Kq8+Zt71nVqLp0"
PLANTED = (PASSWORD, AWS_KEY)


def found_below(folder: Path) -> list[str]:
    """Return the files that hold a planted secret, and which."""
    return [
        f"{path} holds {secret!r}"
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
        for secret in _found_in(path)
    ]


def _found_in(path: Path) -> list[str]:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return [secret for secret in PLANTED if content.find(secret.encode()) >= 0]
    except (ValueError, OSError):  # empty, or gone by now
        return []
