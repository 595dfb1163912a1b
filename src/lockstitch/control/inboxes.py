"""Where pushed records wait: one inbox for each Import API source, below the server's home."""

from __future__ import annotations

import threading
from pathlib import Path

from lockstitch.core.model import Json
from lockstitch.toolkit.inbox.inbox import Inbox

#: What one source's inbox may hold, in bytes: weeks of a destination that is down.
LARGEST = 10 * 2**30


class Inboxes:
    """The inboxes of one server process, each opened when first needed. May be used by several threads."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._open: dict[int, Inbox] = {}
        self._stirred = {int(one.name) for one in _root(home).glob("*") if one.name.isdecimal()}
        self._lock = threading.Lock()

    def append(self, source_id: int, payloads: list[bytes]) -> None:
        """Keep the entries of one accepted request; they are on disk when this returns. Raises Full."""
        with self._lock:
            if source_id not in self._open:
                self._open[source_id] = Inbox(_folder(self._home, source_id), LARGEST)
            inbox = self._open[source_id]
        inbox.append(*payloads)
        self._stirred.add(source_id)

    def unread(self) -> list[int]:
        """Return the sources whose inboxes hold something that is not loaded."""
        found: list[int] = []
        for source_id in sorted(self._stirred):
            # Taken off first, so that what is pushed meanwhile puts it back.
            self._stirred.discard(source_id)
            inbox = Inbox(_folder(self._home, source_id))
            if inbox.size(inbox.committed()) > 0:
                self._stirred.add(source_id)
                found.append(source_id)
        return found

    def close(self) -> None:
        for inbox in self._open.values():
            inbox.close()


def inbox_properties(home: Path, source_id: int) -> dict[str, Json]:
    """Return what the source's connector must know."""
    return {"inbox": str(_folder(home, source_id))}


def _root(home: Path) -> Path:
    return home / "inbox"


def _folder(home: Path, source_id: int) -> Path:
    return _root(home) / str(source_id)
