"""Heap's limit per identity: so many events of one identity in a minute, counted over all requests of this process."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

#: Events of one identity in a minute, by bulk requests.
MOST_OF_ONE = 1_000


@dataclass(slots=True)
class Pace:
    """Remembers what was sent within the last `minute` (in seconds), and waits where an identity had its share."""

    minute: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    _sent: deque[tuple[float, Counter[str]]] = field(default_factory=deque[tuple[float, Counter[str]]])

    def wait(self, counts: Counter[str]) -> None:
        """Wait until so many more of each may go. None has more than `MOST_OF_ONE`."""
        while wait := self._needed(counts):
            self.sleep(wait)

    def note(self, counts: Counter[str]) -> None:
        """Count what was just answered: Heap has counted it before, so no wait is too short."""
        self._sent.append((time.monotonic(), counts))

    def _needed(self, counts: Counter[str]) -> float:
        now = time.monotonic()
        while self._sent and self._sent[0][0] <= now - self.minute:
            self._sent.popleft()
        for whose, count in counts.items():
            if count + sum(sent[whose] for _, sent in self._sent) > MOST_OF_ONE:
                return self._sent[0][0] + self.minute - now
        return 0.0
