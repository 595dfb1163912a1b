"""`lockstitch demo`: the whole thing at work, with nothing to set up."""

from __future__ import annotations

from pathlib import Path

import click


@click.command
@click.option("--once", is_flag=True, help="Do it once and end.")
@click.option("--port", default=0, help="Where the server listens; a free port unless given.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default="var",
    show_default=True,
    help="Where the demo's buckets, pipelines and DuckDB file lie.",
)
def demo(once: bool, port: int, folder: Path) -> int:
    """Start a server, let it carry a made-up Heap bucket, dump by dump, into a DuckDB file, and show what landed.

    \b
    Example:
      lockstitch demo --once
    """
    from lockstitch.demo import run_demo

    return run_demo(folder, once=once, port=port, echo=click.echo)
