"""A pipeline of another author's source into a DuckDB file, and the command line as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import acme

PIPELINE = """
[source]
type = "acme.things"
name = "Things"
streams = {streams}
[source.properties]
host = "h"
token = "${{ACME_TOKEN}}"
{properties}
[destination]
type = "duckdb"
[destination.properties]
path = "{folder}/warehouse.duckdb"
"""


@dataclass(frozen=True)
class Site:
    """A folder with a pipeline, an installed connector and a home of its own."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        paths = [str(self.folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
        own = {
            "PYTHONPATH": os.pathsep.join(paths),
            "LOCKSTITCH_HOME": str(self.folder / "home"),
            "ACME_TOKEN": "s3cret",
        }
        return {**os.environ, **own}

    def write(self, properties: str = "", streams: str = '"*"') -> None:
        text = PIPELINE.format(streams=streams, properties=properties, folder=self.folder)
        (self.folder / "pipeline.toml").write_text(text)

    def start(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "lockstitch", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def call(self, *arguments: str) -> Called:
        with self.start(arguments) as process:
            out, err = process.communicate(timeout=60)
        return Called(process.returncode, out, err)

    def query(self, text: str) -> list[tuple[Any, ...]]:
        import duckdb

        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as db:
            return db.execute(text).fetchall()


@dataclass(frozen=True)
class Called:
    """What a call of the command line left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def site(tmp_path: Path) -> Site:
    acme.install(tmp_path / "site")
    made = Site(tmp_path)
    made.write()
    return made
