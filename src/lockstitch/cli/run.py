"""`lockstitch run`: carry what is new, once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockstitch.cli.errors import report
from lockstitch.cli.output import json_option, pipeline_argument
from lockstitch.cli.stopping import Stop, stop_on_signals
from lockstitch.core.errors import EXIT_CODES
from lockstitch.display.displays import Style, display_for, watched
from lockstitch.display.documents import run_document
from lockstitch.display.summary import summary
from lockstitch.display.tally import Tally
from lockstitch.display.text import json_text

if TYPE_CHECKING:
    from lockstitch.engine.run import RunResult
    from lockstitch.verbs import PipelineSettings


@click.command
@pipeline_argument
@click.option(
    "--progress",
    "style",
    type=click.Choice(["auto", "live", "plain", "json", "none"]),
    default="auto",
    help="How to show the run on stderr; auto: live on a terminal, plain lines elsewhere, none with --json.",
)
@json_option
def run(pipeline_path: Path, style: Style, as_json: bool) -> int:
    """Carry what is new from the source to the destination, once.

    Rows and progress become visible together: a run that is killed leaves nothing half done, and the next one goes on
    from the last commit. Ctrl-C commits what is read up to the last checkpoint and ends.

    \b
    Example:
      lockstitch run pipeline.toml
      lockstitch run pipeline.toml --json --progress json 2> events.jsonl
    """
    from lockstitch.pipeline_file import load_pipeline

    pipeline = load_pipeline(pipeline_path)
    tally = Tally()
    result, stop = _watched(pipeline, style, tally, as_json=as_json)
    stopped_by = stop.signal.name if stop.signal is not None else None
    if as_json:
        click.echo(json_text(run_document(pipeline, result, tally, stopped_by)))
    else:
        click.echo(summary(pipeline.schema, result, tally, stopped_by))
    for lane in result.lanes:
        if lane.error is not None:
            report(lane.error, as_json=as_json, where=f"{lane.lane}: ")
    if stop.exit_code is not None:
        return stop.exit_code
    return EXIT_CODES[result.verdict] if result.verdict else 0


def _watched(pipeline: PipelineSettings, style: Style, tally: Tally, *, as_json: bool) -> tuple[RunResult, Stop]:
    """Run while showing events; they come from several threads."""
    from lockstitch import verbs

    display = display_for(style, tally, as_json=as_json)
    with stop_on_signals(display.close) as stop, watched(display, tally) as events:
        return verbs.run(pipeline, events=events, stop=stop.flag), stop
