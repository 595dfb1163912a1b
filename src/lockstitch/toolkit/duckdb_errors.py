"""DuckDB's errors as ours: a table of what its messages say, first match wins."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lockstitch.core.errors import AccessError, LockstitchError, TransientError

#: (DuckDB's words, our error, what we say of the file, what mends it)
_ERRORS: tuple[tuple[str, type[LockstitchError], str, str], ...] = (
    (r"Conflicting lock is held", TransientError, "{path} is in use by {holder}", "close that program, or wait for it"),
    (
        r"No space left|Disk quota exceeded",
        TransientError,
        "no space left on the disk of {path}",
        "free some space; nothing committed is lost",
    ),
    (
        r"File too large",
        TransientError,
        "{path} has reached the size that a file may have here",
        "raise the limit (ulimit -f), or move the file to another disk; nothing committed is lost",
    ),
    (
        r"not a valid DuckDB",
        AccessError,
        "{path} is not a DuckDB database file",
        "name another file, or move this one away",
    ),
    (
        r"Could not read enough bytes",
        AccessError,
        "{path} is damaged: it ends before its content does",
        "put a whole copy in its place, or move it away: the next run makes a new one",
    ),
    (
        r"database file with version number|newer version",
        AccessError,
        "{path} was written by another version of DuckDB",
        "upgrade Lockstitch's duckdb package to that version",
    ),
    (r"Permission denied", AccessError, "{path} may not be read or written by this user", "change the file's rights"),
    (r"[Rr]ead-only", AccessError, "{path} is read-only", "change the file's rights, or name another file"),
    (r"No such file or directory", AccessError, "the folder of {path} does not exist", "make the folder first"),
    (r"Cannot open file", AccessError, "{path} cannot be opened", "check the file and its folder's rights"),
    (
        r"Out of Memory|could not allocate|failed to (allocate|offload)",
        TransientError,
        "DuckDB's memory limit is too small for this load into {path}",
        "raise `memory_limit` in [destination.properties]",
    ),
    (
        r"Transaction conflict|write-write conflict",
        TransientError,
        "another transaction changed {path} meanwhile",
        "run again",
    ),
)


@contextmanager
def translated(path: Path) -> Generator[None]:
    """Raise DuckDB's known errors as ours; unknown ones pass, as they are bugs of ours."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        text = str(error)
        for words, kind, message, hint in _ERRORS:
            if re.search(words, text):
                raise kind(message.format(path=path, holder=_holder(text)), hint=hint) from error
        raise


def _holder(text: str) -> str:
    found = re.search(r"held in (.+?)\s*\(PID (\d+)\)", text)
    return f"{found[1]} (process {found[2]})" if found else "another program"
