"""How an error looks, for people and for machines, and the exit code that goes with it."""

from __future__ import annotations

from typing import Any

import click

from lockstitch.cli.output import json_text
from lockstitch.core.errors import EXIT_CODES, LockstitchError, verdict_of

_OUR_BUG = "this is a bug in lockstitch, not in your settings"
_BUG_HINT = "please report it with the lines above"


def report(error: BaseException, *, as_json: bool, where: str = "") -> int:
    """Tell the error on stderr and return the exit code of its verdict."""
    verdict = verdict_of(error)
    if as_json:
        click.echo(json_text({"error": document(error, traceback=verdict == "bug")}), err=True)
        return EXIT_CODES[verdict]
    if verdict == "bug":
        click.echo(_traceback(error), err=True, nl=False)
    message, hint = _message(error)
    click.echo(f"error: {where}{message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
    return EXIT_CODES[verdict]


def warn(text: str, *, as_json: bool) -> None:
    """Tell on stderr what a user should know though nothing failed."""
    click.echo(json_text({"warning": text}) if as_json else f"warning: {text}", err=True)


def document(error: BaseException, *, traceback: bool = False) -> dict[str, Any]:
    """Return the error as machines get it: verdict, message, hint, and for a bug its traceback."""
    message, hint = _message(error)
    told = {"verdict": verdict_of(error), "message": message, "hint": hint}
    return {**told, "traceback": _traceback(error)} if traceback else told


def _message(error: BaseException) -> tuple[str, str | None]:
    if verdict_of(error) == "bug":
        return f"{_OUR_BUG}: {type(error).__name__}: {error}", _BUG_HINT
    assert isinstance(error, LockstitchError)
    return error.message, error.hint


def _traceback(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))
