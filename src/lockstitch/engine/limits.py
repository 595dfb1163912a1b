"""When a load is cut."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """When a load is cut, at the next checkpoint: by rows, by bytes of Arrow, or by age in seconds.

    `spool_bytes` is the most that may wait on disk without a checkpoint in sight.
    """

    rows: int = 1_000_000
    bytes: int = 256 * 2**20
    seconds: float = 300.0
    spool_bytes: int = 8 * 2**30
