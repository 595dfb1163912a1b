"""What the commands that work on a pipeline file have in common: the file's argument, and `--json`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def pipeline_argument(command: Command) -> Command:
    """Give a command its pipeline file."""
    return click.argument(
        "pipeline_path", metavar="[PIPELINE]", type=click.Path(path_type=Path), default=Path("pipeline.toml")
    )(command)


def json_option(command: Command) -> Command:
    """Give a command its `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document; errors as JSON on stderr.")(
        command
    )
