"""`lockstitch run`: carry what is new, once."""

from __future__ import annotations

import threading
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import click

from lockstitch.cli.display import Style, display_for
from lockstitch.cli.errors import document, report
from lockstitch.cli.logs import warnings_told
from lockstitch.cli.output import columns, count, json_option, json_text, pipeline_argument
from lockstitch.cli.stopping import Stop, stop_on_signals
from lockstitch.cli.tally import Tally, table_rows
from lockstitch.core.errors import EXIT_CODES
from lockstitch.engine.events import Event, Warned

if TYPE_CHECKING:
    from lockstitch.engine.run import RunResult
    from lockstitch.pipeline import Pipeline


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
    from lockstitch.pipeline import load_pipeline

    pipeline = load_pipeline(pipeline_path)
    tally = Tally()
    result, stop = _watched(pipeline, style, tally, as_json=as_json)
    if as_json:
        click.echo(json_text(_document(pipeline, result, tally, stop)))
    else:
        click.echo(_summary(pipeline.schema, result, tally, stop))
    for lane in result.lanes:
        if lane.error is not None:
            report(lane.error, as_json=as_json, where=f"{lane.lane}: ")
    if stop.exit_code is not None:
        return stop.exit_code
    return EXIT_CODES[result.verdict] if result.verdict else 0


def _watched(pipeline: Pipeline, style: Style, tally: Tally, *, as_json: bool) -> tuple[RunResult, Stop]:
    """Run while showing events; they come from several threads."""
    from lockstitch import pipeline as verbs

    display = display_for(style, tally, as_json=as_json)
    lock = threading.Lock()

    def show(event: Event) -> None:
        with lock:
            tally.add(event)
            display.show(event)

    with stop_on_signals(display.close) as stop, warnings_told(lambda text: show(Warned(text))):
        try:
            return verbs.run(pipeline, events=show, stop=stop.flag), stop
        finally:
            display.close()


def _summary(schema: str, result: RunResult, tally: Tally, stop: Stop) -> str:
    lines: list[str] = []
    rows = table_rows(tally.tables)
    if rows:
        lines.append(columns(list(rows[0]), [list(row.values()) for row in rows]))
        lines.append("")
    kept = [f"{count(number, 'row')} {kind}" for kind, number in _set_aside(tally) if number]
    if kept:
        lines.append(f"{' and '.join(kept)}: table {schema}._sdc_rejected holds the originals and the reasons")
    took = f"{monotonic() - tally.began:.1f} s"
    read = sum(lane.rows for lane in result.lanes)
    if stop.signal is not None:
        done = count(tally.loads, "load") if tally.loads else "no load"
        lines.append(f"stopped by {stop.signal.name}: {done} committed; the next run goes on from there ({took})")
    elif not tally.loads and result.verdict is None:
        lines.append(f"nothing new ({took})")
    else:
        lines.append(f"{count(read, 'row')} read, {count(tally.loads, 'load')} committed ({took})")
    return "\n".join(lines)


def _set_aside(tally: Tally) -> list[tuple[str, int]]:
    rows = tally.tables.values()
    return [("rejected", sum(row.rejected for row in rows)), ("adjusted", sum(row.adjusted for row in rows))]


def _document(pipeline: Pipeline, result: RunResult, tally: Tally, stop: Stop) -> dict[str, object]:
    return {
        "command": "run",
        "verdict": result.verdict or "ok",
        "connection": pipeline.connection,
        "schema": pipeline.schema,
        "seconds": round(monotonic() - tally.began, 3),
        "stopped_by": stop.signal.name if stop.signal is not None else None,
        "loads": tally.loads,
        "tables": table_rows(tally.tables),
        "lanes": [
            {
                "lane": lane.lane,
                "rows": lane.rows,
                "rejected": lane.rejected,
                "adjusted": lane.adjusted,
                "loads": lane.loads,
                "error": lane.error and document(lane.error),
            }
            for lane in result.lanes
        ],
    }
