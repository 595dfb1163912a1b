"""Every error the product raises on purpose, and who must act on it.

    LockstitchError
    ├── SettingsError      user   a setting is wrong or missing
    ├── AccessError        user   the other side refuses us: credentials, rights, names that do not exist
    ├── SourceDataError    user   the source holds something that cannot be read: a cut file, a broken manifest
    ├── TransientError     retry  it may work later: network, locks, throttling, a full disk
    │   └── Superseded     retry  another run committed first; nothing of ours landed
    └── (anything else)    bug    ours: the traceback is kept

A row or column that cannot be loaded is no exception: it is a `Reject`, counted and shown.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Verdict = Literal["user", "data", "retry", "bug"]

#: Exit codes of every command, by the verdict of the error that ended it. 75 is EX_TEMPFAIL: try again later.
EXIT_CODES: dict[Verdict, int] = {"bug": 1, "user": 2, "data": 3, "retry": 75}


class LockstitchError(Exception):
    """Says what failed, where and with which value; `hint` says what mends it."""

    verdict: ClassVar[Verdict] = "bug"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class SettingsError(LockstitchError):
    """A setting is wrong or missing. Always comes with a hint."""

    verdict = "user"


class AccessError(LockstitchError):
    """The source or destination refuses: credentials, rights, or a name that does not exist there."""

    verdict = "user"


class SourceDataError(LockstitchError):
    """The source holds something that nobody could read rightly; going on would lose rows."""

    verdict = "user"


class TransientError(LockstitchError):
    """May work later without anyone's help. `retry_after` is in seconds, where the other side named it."""

    verdict = "retry"

    def __init__(self, message: str, *, hint: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class Superseded(TransientError):
    """Another run committed to this lane first. Nothing of this load landed, so nothing doubles."""


def verdict_of(error: BaseException) -> Verdict:
    """Return who must act on `error`; whatever is not ours is a bug."""
    return error.verdict if isinstance(error, LockstitchError) else "bug"
