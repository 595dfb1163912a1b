"""Runs, told line by line while they go, and kept in a log for later questions."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Flag
from typing import Any

from lockstitch import verbs
from lockstitch.display.displays import PlainLines, watched
from lockstitch.display.documents import run_document
from lockstitch.display.errors import error_text
from lockstitch.display.summary import summary
from lockstitch.display.tally import Tally
from lockstitch.mcp.hiding import Secrets
from lockstitch.toolkit.home import home_folder

#: Bytes of a connection's log, beyond which its older half is dropped.
MOST_OF_A_LOG = 262_144


class RunLog:
    """The lines of a connection's last runs, in a file below the home folder. `tell` hears each line, too."""

    def __init__(self, pipeline: Path, secrets: Secrets, tell: Callable[[str], None] = lambda _: None) -> None:
        place = hashlib.sha256(str(pipeline.parent).encode()).hexdigest()[:12]
        self.path = home_folder() / "mcp" / f"{pipeline.stem}-{place}.log"
        self._secrets = secrets
        self._tell = tell

    def write(self, text: str) -> None:
        """Add lines with the time before them, without secrets."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        lines = self._secrets.hidden(text).splitlines()
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        with os.fdopen(
            os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="utf-8"
        ) as file:
            file.writelines(f"{now} {line}\n" for line in lines)
        for line in lines:
            self._tell(line)

    def read(self, lines: int) -> str:
        """Return the last lines, the newest at the end."""
        if not self.path.exists():
            return "no run yet by this server; runs of `lockstitch run` show in `show`"
        # Once more: what is a secret now may have been written before it was one.
        return self._secrets.hidden("\n".join(self.path.read_text(encoding="utf-8").splitlines()[-lines:]))

    def shorten(self) -> None:
        """Drop the older half where it has grown too long."""
        if self.path.exists() and self.path.stat().st_size > MOST_OF_A_LOG:
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            self.path.write_text("".join(lines[len(lines) // 2 :]), encoding="utf-8")


def run_logged(settings: verbs.PipelineSettings, log: RunLog, stop: Flag) -> dict[str, Any]:
    """Run a connection once and return what it did. What fails before it reads is logged and raised."""
    log.shorten()
    log.write("run begins")
    tally = Tally()
    try:
        with watched(PlainLines(tally, log.write), tally) as events:
            result = verbs.run(settings, events=events, stop=stop)
    except Exception as error:
        log.write(f"run failed: {error_text(error)}")
        raise
    for lane in result.lanes:
        if lane.error is not None:
            log.write(f"{lane.lane}: {error_text(lane.error)}")
    stopped_by = "the assistant" if result.stopped else None
    log.write(summary(settings.schema, result, tally, stopped_by))
    return run_document(settings, result, tally, stopped_by)
