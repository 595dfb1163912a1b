"""A source that plays a script of messages: any test's rows, cut where the test wants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from lockstitch.core.model import Checkpoint, Json, Lane, Message, Part, Selected, Stream, Version


@dataclass
class Playback:
    """Yields the messages after the cursor's checkpoint, up to the one whose cursor is `until`.

    Cursors are the checkpoints' own, each but once. A version that a checkpoint interrupts is repeated.
    """

    streams: Sequence[Stream]
    messages: Sequence[Message]
    until: Json = None
    new_fields: ClassVar[Literal["add", "report"]] = "add"

    def check(self) -> None: ...

    def discover(self) -> Sequence[Stream]:
        return self.streams

    def lanes(self, wanted: Sequence[Selected]) -> Sequence[Lane]:
        return [Lane("playback", tuple(one.stream.name for one in wanted), "exact")]

    def parts(self, lane: Lane, cursor: Json) -> Sequence[Part]:  # noqa: ARG002 - the protocol's
        return ()

    def read(self, lane: Lane, cursor: Json) -> Iterator[Message]:  # noqa: ARG002 - there is one lane
        at = 0 if cursor is None else 1 + self._place(cursor)
        yield from self._current(at)
        end = len(self.messages) if self.until is None else 1 + self._place(self.until)
        if end <= at:
            yield Checkpoint(cursor)
        yield from self.messages[at:end]

    def _place(self, cursor: Json) -> int:
        return next(
            n for n, message in enumerate(self.messages) if isinstance(message, Checkpoint) and message.cursor == cursor
        )

    def _current(self, at: int) -> Iterator[Version]:
        """Yield the version that each stream is in at this place."""
        found = {message.stream: message for message in self.messages[:at] if isinstance(message, Version)}
        yield from found.values()

    def committed(self, lane: Lane, cursor: Json) -> None: ...

    def close(self) -> None: ...
