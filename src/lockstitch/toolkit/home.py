"""The folder below which everything of ours lies that belongs to this machine: spools, quotas, tokens, states."""

from __future__ import annotations

import os
from pathlib import Path

from lockstitch.core.errors import SettingsError


def home_folder() -> Path:
    """Return the folder for what waits between runs and loads, made so that only its owner can look inside."""
    home = Path(os.environ.get("LOCKSTITCH_HOME") or "~/.lockstitch").expanduser()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"the home folder {home} cannot be made: {error.strerror}",
            hint="set LOCKSTITCH_HOME to a folder that can be written",
        ) from error
    return home


def home_of(spool: Path | None) -> Path:
    """Return the folder in which this spool lies: the home folder, by whichever way a connector was opened."""
    return spool.parent if spool is not None else home_folder()
