"""Keeps the files that accounts name below folders that are theirs, or that the operator has opened to all accounts.

Which properties name files is said by each connector's `spec.py`, as `PATHS`. A relative path is one below the
account's own folder. Symbolic links are followed before it is judged where a path leads; `..` is refused even where it
stays inside.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from lockstitch.connectors import Connector
from lockstitch.core.errors import SettingsError

#: Folders that all accounts may use, separated as in PATH.
ENVIRONMENT = "LOCKSTITCH_ALLOW_FOLDERS"
#: Below the home folder: one folder an account.
OWN = "files"


def allowed_folders() -> tuple[Path, ...]:
    """Read the environment's list. Raises SettingsError for a folder that is not absolute."""
    folders = tuple(Path(text) for text in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if text)
    for folder in folders:
        if not folder.is_absolute():
            raise SettingsError(f"{ENVIRONMENT} has {str(folder)!r}", hint="give folders that begin with /")
    return folders


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the files of accounts may lie."""

    home: Path
    shared: tuple[Path, ...] = ()

    def refused(self, account_id: int, connector: Connector | None, values: Mapping[str, Any]) -> set[str]:
        """Return the properties that name a file which this account must not touch."""
        return {
            name for name, prefix, text in _paths(connector, values) if self._real(account_id, prefix, text) is None
        }

    def settled(self, account_id: int, connector: Connector | None, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values with every path as the real, absolute one that was judged; make the account's folder.

        Raises SettingsError where one leads elsewhere by now: a link may have changed, or the operator's list.
        """
        settled = dict(values)
        for name, prefix, text in _paths(connector, values):
            real = self._real(account_id, prefix, text)
            if real is None:
                raise SettingsError(f"{name} is {values[name]!r}, which is outside the allowed folders", hint=_HINT)
            self._own(account_id).mkdir(mode=0o700, parents=True, exist_ok=True)
            settled[name] = real.as_uri() if prefix else str(real)
        return settled

    def _own(self, account_id: int) -> Path:
        return self.home / OWN / str(account_id)

    def _real(self, account_id: int, prefix: str, text: str) -> Path | None:
        """Return where a path leads, or None where it must not."""
        path = Path(unquote(text) if prefix else text)
        if ".." in path.parts or "\0" in str(path):
            return None
        own = self._own(account_id)
        try:
            real = (own / path).resolve()
            allowed = [folder.resolve() for folder in (own, *self.shared)]
        except (OSError, RuntimeError):  # a circle of links, a name that is too long
            return None
        return real if any(real.is_relative_to(folder) for folder in allowed) else None


_HINT = f"give a path relative to the account's own folder, or have the operator add the folder to {ENVIRONMENT}"


def _paths(connector: Connector | None, values: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    """Yield name, prefix and path of each value that names a file."""
    patterns: Mapping[str, str] = getattr(connector.spec, "PATHS", {}) if connector is not None else {}
    for name, pattern in patterns.items():
        value = values.get(name)
        found = re.match(pattern, value) if isinstance(value, str) else None
        if found is not None and isinstance(value, str):
            yield name, found.group(), value[found.end() :]
