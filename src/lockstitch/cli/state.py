"""The commands that move a mark without rows: `reset` and `adopt`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

from lockstitch.cli.output import json_option, pipeline_argument
from lockstitch.core.errors import SettingsError
from lockstitch.display.text import json_text


@click.command
@click.argument("stream")
@pipeline_argument
@json_option
def reset(stream: str, pipeline_path: Path, as_json: bool) -> None:
    """Let the next run read STREAM from its beginning.

    The table stays as it is, and can be read, until the next run has everything; then its rows are replaced in one
    step.

    \b
    Example:
      lockstitch reset users pipeline.toml
    """
    from lockstitch import verbs
    from lockstitch.pipeline_file import load_pipeline

    lane = verbs.reset(load_pipeline(pipeline_path), stream)
    if as_json:
        click.echo(json_text({"command": "reset", "lane": lane.name, "streams": lane.streams}))
        return
    click.echo(f"{stream}: the next run reads it from its beginning; until then its table stays as it is")
    others = ", ".join(name for name in lane.streams if name != stream)
    if others:
        click.echo(f"with it: {others}, which are read together with it")


@click.command
@pipeline_argument
@click.option(
    "--state",
    "state_path",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="The tap's last state, as JSON.",
)
@json_option
def adopt(pipeline_path: Path, state_path: Path, as_json: bool) -> None:
    """Take over a Singer tap's state, so that the next run goes on where the tap stopped.

    \b
    Example:
      lockstitch adopt pipeline.toml --state state.json
    """
    from lockstitch import verbs
    from lockstitch.pipeline_file import load_pipeline

    pipeline = load_pipeline(pipeline_path)
    marks = verbs.adopt(pipeline, _state(state_path))
    if as_json:
        lanes = [{"lane": lane, "cursor": mark.cursor} for lane, mark in marks.items()]
        click.echo(json_text({"command": "adopt", "lanes": lanes}))
        return
    for lane, mark in marks.items():
        click.echo(f"{lane}: the next run goes on after {json_text(mark.cursor)}")


def _state(path: Path) -> dict[str, Any]:
    """Read a tap's state, bare or as the STATE message that the tap wrote."""
    import json

    try:
        state: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path}: no state could be read: {error}", hint="name the JSON file of the tap's state"
        ) from error
    if isinstance(state, dict) and state.get("type") == "STATE":
        state = state.get("value")
    if not isinstance(state, dict):
        raise SettingsError(f"{path} holds no JSON object", hint='a tap\'s state looks like {"bookmarks": {...}}')
    return cast("dict[str, Any]", state)
