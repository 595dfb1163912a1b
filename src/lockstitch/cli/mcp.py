"""`lockstitch mcp`: let a coding assistant work with pipeline files."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    help="Where the pipeline files are; the working directory where left out.",
)
@click.option("--read-only", is_flag=True, help="Offer only what looks at connections, their logs and their tables.")
def mcp(folder: Path, read_only: bool) -> None:
    """Let a coding assistant make, check, run and query pipelines, over stdin and stdout. It never sees a secret.

    \b
    Example:
      lockstitch mcp --folder /home/jane/pipelines

    \b
    Most assistants start it by themselves, once they are told of it:
      {"mcpServers": {"lockstitch": {"command": "lockstitch",
                                     "args": ["mcp", "--folder", "/home/jane/pipelines"]}}}

    What it can do, and how to limit it, is in docs/mcp.md.
    """
    from lockstitch.core.errors import SettingsError

    try:
        from lockstitch.mcp.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        raise SettingsError("the MCP server needs a package", hint="uv pip install 'lockstitch[mcp]'") from error
    # Paths in the files, and .lockstitch/secrets.toml, are looked for from here.
    os.chdir(folder)
    serve(Path.cwd(), read_only=read_only)
