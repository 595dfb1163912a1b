"""`lockstitch verify`: compare the destination with the source and with the ledger."""

from __future__ import annotations

from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockstitch.cli.output import json_option, pipeline_argument
from lockstitch.core.errors import EXIT_CODES
from lockstitch.display.text import columns, json_text

if TYPE_CHECKING:
    from lockstitch.engine.verify import TableVerdict


@click.command
@pipeline_argument
@json_option
def verify(pipeline_path: Path, as_json: bool) -> int:
    """Prove that the destination holds what the source gave.

    \b
    Each table gets one of three grades:
      source   the source is read again up to the mark, and every row compared
      ledger   the rows that are there are as many as all loads together say
      none     there is nothing to compare with; it says why

    Exit code 3 where rows are missing, too many or changed.

    \b
    Example:
      lockstitch verify pipeline.toml
    """
    from lockstitch import verbs
    from lockstitch.pipeline_file import load_pipeline

    verdicts = verbs.verify(load_pipeline(pipeline_path))
    holds = all(verdict.holds for verdict in verdicts)
    if as_json:
        told = [{**asdict(verdict), "holds": verdict.holds} for verdict in verdicts]
        click.echo(json_text({"command": "verify", "holds": holds, "tables": told}))
    elif not verdicts:
        click.echo("nothing to compare: this pipeline has not brought any table yet")
    else:
        rows = [[verdict.table, verdict.grade, verdict.rows, _finding(verdict)] for verdict in verdicts]
        click.echo(columns(["table", "grade", "rows", "finding"], rows))
        for line in chain.from_iterable(map(_examples, verdicts)):
            click.echo(line)
    return 0 if holds else EXIT_CODES["data"]


def _finding(verdict: TableVerdict) -> str:
    """Say in one line whether the table holds what it should."""
    kinds = [(verdict.missing, "missing"), (verdict.extra, "too many"), (verdict.changed, "changed")]
    found = [f"{difference.count:,} {kind}" for difference, kind in kinds if difference.count]
    if not found and not verdict.holds:
        found = [f"{verdict.expected:,} rows expected"]
    if not found:
        found = ["not compared"] if verdict.grade == "none" else ["holds"]
    return ", ".join(found) + (f" ({verdict.note})" if verdict.note else "")


def _examples(verdict: TableVerdict) -> list[str]:
    kinds = [("missing", verdict.missing), ("too many", verdict.extra), ("changed", verdict.changed)]
    return [f"{verdict.table}: {kind}: {example}" for kind, found in kinds for example in found.examples]
