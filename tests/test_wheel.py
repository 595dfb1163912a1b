"""The wheel, installed into an empty environment, does what the repository does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lockstitch.demo.flights import INSTALL

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")

POSTGRES = """\
[source]
type = "platform.heap"
name = "heap"
[source.properties]
bucket_url = "{bucket}"
[destination]
type = "postgres"
[destination.properties]
host = "127.0.0.1"
port = 9
username = "nobody"
password = "secret"
database = "none"
"""


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, install it with what it asks for and nothing else, and return its `lockstitch`."""
    folder = tmp_path_factory.mktemp("wheel")
    python = folder / "environment" / "bin" / "python"
    _uv("build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    _uv("venv", "--python", sys.executable, folder / "environment")
    _uv("pip", "install", "--python", python, "--constraint", ROOT / "requirements" / "run.txt", wheel)
    return python.with_name("lockstitch")


def _uv(*arguments: str | Path) -> None:
    done = subprocess.run([UV, "--quiet", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _run(command: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Nothing of the repository's environment, and nothing of the caller's, may help it.
    environment = {"PATH": os.defpath, "HOME": str(folder), "LANG": "C.UTF-8"}
    return subprocess.run(
        [command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_demo_runs(command: Path, tmp_path: Path) -> None:
    done = _run(command, tmp_path, "demo", "--once")
    assert (done.returncode, done.stderr) == (0, "")
    assert "heap.order_completed" in done.stdout
    assert INSTALL in done.stdout
    assert (tmp_path / "var" / "demo.duckdb").is_file()


def test_a_connector_without_its_driver_says_what_to_install(command: Path, tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    pipeline = tmp_path / "pipeline.toml"
    pipeline.write_text(POSTGRES.format(bucket=(tmp_path / "bucket").as_uri()))
    done = _run(command, tmp_path, "run", "pipeline.toml")
    assert done.returncode == 2
    assert "lockstitch[postgres]" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
