"""What of a stream's fields is wanted; those that nobody could choose are told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from lockstitch.toolkit.shapes import Fields

_log = logging.getLogger(__name__)


class Choice:
    """The wanted fields of one stream. `declared` are the fields that discovery offers."""

    def __init__(self, stream: str, declared: Fields, wants: Callable[[str], bool]) -> None:
        self._stream = stream
        self._declared = declared
        self._wants = wants
        self._unchosen: set[str] = set()

    def of(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the wanted columns."""
        wanted = [name for name in rows.schema.names if self._wants(name)]
        self._unchosen |= {*rows.schema.names} - {*wanted} - {*self._declared}
        return rows.select(wanted)

    def warn_of_unchosen(self) -> None:
        """Tell which fields were left out although nobody left them out: FullStory has added them."""
        if self._unchosen:
            names = ", ".join(sorted(self._unchosen))
            _log.warning(
                "%s: left out %s, which FullStory also sends: where fields are chosen, those it adds are not",
                self._stream,
                names,
            )
