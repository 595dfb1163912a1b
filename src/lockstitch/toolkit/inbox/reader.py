"""What a source needs of an inbox, wherever it lies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class InboxReader(Protocol):
    """The reading end of an inbox: entries in the order of their positions, which only grow."""

    @property
    def place(self) -> str:
        """Where it lies, for messages; without any secret."""
        ...

    def read(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield position and payload of each entry after a position, oldest first; none is skipped."""
        ...

    def trim(self, position: int) -> None:
        """Everything up to the position is durable elsewhere: it may be removed."""
        ...

    def committed(self) -> int:
        """Return the greatest position that was ever trimmed to; 0 where none was."""
        ...

    def size(self, after: int = 0) -> int:
        """Return the bytes that lie after a position."""
        ...

    def load_tables(self) -> bytes | None:
        """Return what the source has saved of its tables, or None."""
        ...

    def save_tables(self, content: bytes) -> None:
        """Keep what the source knows of its tables; durable when this returns."""
        ...

    def close(self) -> None: ...
