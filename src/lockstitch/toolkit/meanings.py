"""What a stranger's answer means to somebody who replicates, as data: a table of them stands beside each connector."""

from __future__ import annotations

from dataclasses import dataclass

from lockstitch.core.errors import LockstitchError


@dataclass(frozen=True, slots=True)
class Meaning:
    """Our error for an answer. Message and hint name in braces what is filled in: `{detail}`, what the answer says."""

    error: type[LockstitchError]
    message: str
    hint: str

    def told(self, **words: object) -> LockstitchError:
        """Return the error with these words filled in."""
        return self.error(self.message.format(**words), hint=self.hint.format(**words))
