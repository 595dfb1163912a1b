"""How an error leaves a command, for people and for machines, and the exit code that goes with it."""

from __future__ import annotations

import click

from lockstitch.core.errors import EXIT_CODES, verdict_of
from lockstitch.display.errors import document, message_and_hint, traceback_of
from lockstitch.display.text import json_text


def report(error: BaseException, *, as_json: bool, where: str = "") -> int:
    """Tell the error on stderr and return the exit code of its verdict."""
    verdict = verdict_of(error)
    if as_json:
        click.echo(json_text({"error": document(error, traceback=verdict == "bug")}), err=True)
        return EXIT_CODES[verdict]
    if verdict == "bug":
        click.echo(traceback_of(error), err=True, nl=False)
    message, hint = message_and_hint(error)
    click.echo(f"error: {where}{message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
    return EXIT_CODES[verdict]


def warn(text: str, *, as_json: bool) -> None:
    """Tell on stderr what a user should know though nothing failed."""
    click.echo(json_text({"warning": text}) if as_json else f"warning: {text}", err=True)
