"""The commands that look and change nothing: `check`, `discover`, `plan` and `show`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockstitch.cli.errors import report
from lockstitch.cli.output import json_option, pipeline_argument
from lockstitch.core.errors import EXIT_CODES, verdict_of
from lockstitch.display.documents import check_document, discover_document, is_wanted
from lockstitch.display.text import count, json_text, size

if TYPE_CHECKING:
    from lockstitch.core.model import Field, Stream
    from lockstitch.engine.forecast import StreamForecast


@click.command
@pipeline_argument
@json_option
def check(pipeline_path: Path, as_json: bool) -> int:
    """Try both ends: settings, access, rights.

    \b
    Example:
      lockstitch check pipeline.toml
    """
    from lockstitch import verbs
    from lockstitch.pipeline_file import load_pipeline

    ends = verbs.check(load_pipeline(pipeline_path))
    if as_json:
        click.echo(json_text(check_document(ends)))
    for end in ends:
        if end.error is not None:
            report(end.error, as_json=as_json, where=f"{end.kind} {end.type}: ")
        elif not as_json:
            click.echo(f"{end.kind} {end.type}: works")
    failed = [end.error for end in ends if end.error is not None]
    return EXIT_CODES[verdict_of(failed[0])] if failed else 0


@click.command
@pipeline_argument
@json_option
def discover(pipeline_path: Path, as_json: bool) -> None:
    """List the source's streams with their fields and keys, and which of them the pipeline carries.

    \b
    Example:
      lockstitch discover pipeline.toml
      lockstitch discover pipeline.toml --json
    """
    from lockstitch import verbs
    from lockstitch.pipeline_file import load_pipeline

    pipeline = load_pipeline(pipeline_path)
    streams = verbs.discover(pipeline)
    if as_json:
        click.echo(json_text(discover_document(streams, pipeline.selection)))
        return
    for stream in streams:
        click.echo(_stream_text(stream, wanted=is_wanted(stream, pipeline.selection)))
    click.echo(f"{count(len(streams), 'stream')}")


def _stream_text(stream: Stream, *, wanted: bool) -> str:
    facts = [
        f"key {', '.join(stream.key)}" if stream.key else "no key: rows are appended",
        *filter(None, [stream.replication_method]),
        *([f"replication key {stream.replication_key}"] if stream.replication_key else []),
        *([] if wanted else ["not selected"]),
    ]
    fields = textwrap.fill(_fields_text(stream.fields), width=100, initial_indent="    ", subsequent_indent="    ")
    return f"{stream.name}  ({'; '.join(facts)})\n{fields}"


def _fields_text(fields: Sequence[Field]) -> str:
    # A field and its type stay on one line: the joining space is one that the wrapping does not know.
    said = [f"{field.name}\0{field.format or field.type}" for field in fields]
    return ", ".join(said).replace("\0", "\u00a0") or "(no fields known)"


@click.command
@pipeline_argument
@json_option
def plan(pipeline_path: Path, as_json: bool) -> None:
    """Say what the next run would read, create, alter and replace, and what it cannot promise. Changes nothing.

    \b
    Example:
      lockstitch plan pipeline.toml
    """
    from lockstitch import verbs
    from lockstitch.pipeline_file import load_pipeline

    forecast = verbs.plan(load_pipeline(pipeline_path))
    if as_json:
        click.echo(json_text({"command": "plan", **asdict(forecast)}))
        return
    new = [one for one in forecast.streams if one.reads]
    for one in new:
        click.echo(_forecast_text(one, forecast.schema))
    click.echo(f"{len(new)} of {count(len(forecast.streams), 'stream')} with something new")
    if forecast.reservations:
        click.echo("not promised:")
    for text in forecast.reservations:
        click.echo(textwrap.fill(text, width=100, initial_indent="  - ", subsequent_indent="    "))


def _forecast_text(one: StreamForecast, schema: str) -> str:
    left = [] if one.files is None or one.bytes is None else [f"{count(one.files, 'file')}, {size(one.bytes)}"]
    start = "from its beginning" if one.after is None else f"after load {one.after}"
    rows = f"upserts by {', '.join(one.key)}" if one.key else "appends"
    table = "creates" if one.creates else "replaces all rows of" if one.replaces else f"{rows} into"
    lines = [f"{one.stream}", f"  reads {', '.join([*left, start])}", f"  {table} {schema}.{one.table}"]
    if one.creates or one.replaces:
        lines[-1] += f", {rows}" if one.key else ""
    if one.columns:
        lines.append(f"  new columns, each with its first value: {', '.join(one.columns)}")
    return "\n".join(textwrap.fill(line, width=100, subsequent_indent="    ") for line in lines)


@click.command
@pipeline_argument
@json_option
def show(pipeline_path: Path, as_json: bool) -> None:
    """Show what is in the destination: tables with columns and rows, load history, marks. The source is not asked.

    \b
    Example:
      lockstitch show pipeline.toml
      lockstitch show pipeline.toml --json
    """
    from lockstitch import verbs
    from lockstitch.display.state import state_document, state_text
    from lockstitch.pipeline_file import load_pipeline

    state = verbs.show(load_pipeline(pipeline_path))
    click.echo(json_text({"command": "show", **state_document(state)}) if as_json else state_text(state))
