"""Limits of requests (`spec/connect-api.md` section 1.5): off, unless the operator switches them on."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from lockstitch.control.refusals import too_many

#: The group "jobs": extractions, their logs and loads, counted together.
JOBS, WINDOW = 30, timedelta(minutes=10)


@dataclass(slots=True)
class RateLimit:
    """So many requests per account within any window of that length. Counted in this process."""

    most: int = JOBS
    window: timedelta = WINDOW
    _seen: dict[int, deque[datetime]] = field(default_factory=lambda: defaultdict(deque))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admit(self, account_id: int, now: datetime) -> None:
        """Count a request, or refuse it with the seconds to wait. One that is refused does not count."""
        with self._lock:
            seen = self._seen[account_id]
            while seen and seen[0] <= now - self.window:
                seen.popleft()
            if len(seen) >= self.most:
                raise too_many(ceil((seen[0] + self.window - now).total_seconds()))
            seen.append(now)
