"""How an error is told: its message and hint, and the document that machines get."""

from __future__ import annotations

from typing import Any

from lockstitch.core.errors import LockstitchError, verdict_of

_OUR_BUG = "this is a bug in lockstitch, not in your settings"
_BUG_HINT = "please report it with the lines above"


def document(error: BaseException, *, traceback: bool = False) -> dict[str, Any]:
    """Return the error as machines get it: verdict, message, hint, and for a bug its traceback."""
    message, hint = message_and_hint(error)
    told = {"verdict": verdict_of(error), "message": message, "hint": hint}
    return {**told, "traceback": traceback_of(error)} if traceback else told


def message_and_hint(error: BaseException) -> tuple[str, str | None]:
    if verdict_of(error) == "bug":
        return f"{_OUR_BUG}: {type(error).__name__}: {error}", _BUG_HINT
    assert isinstance(error, LockstitchError)
    return error.message, error.hint


def error_text(error: BaseException) -> str:
    """Return the message and, on a line of its own, the hint."""
    message, hint = message_and_hint(error)
    return f"{message}\nhint: {hint}" if hint else message


def traceback_of(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))
