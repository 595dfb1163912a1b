"""The command line begins at once: what it imports before a command's body, and how errors leave it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lockstitch import __version__
from lockstitch.cli import main
from lockstitch.cli.app import cli

HEAVY = {"pyarrow", "duckdb", "datafusion", "boto3", "obstore", "rich", "msgspec", "importlib.metadata", "numpy"}


def test_neither_the_command_line_nor_a_pipelines_reader_import_anything_heavy() -> None:
    code = "import sys, lockstitch.cli, lockstitch.pipeline_file, lockstitch.verbs; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & HEAVY


def test_the_version_is_the_packages() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"lockstitch {__version__}\n"


@pytest.mark.parametrize("name", list(cli.commands))
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert "Example:\n" in out
    assert f"  lockstitch {name}" in out


def test_help_is_told_where_nothing_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_a_users_mistake_is_two_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["run", str(tmp_path / "none.toml")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == f"error: {tmp_path}/none.toml: there is no such file"
    assert err.splitlines()[1].startswith("hint: ")
    assert len(err.splitlines()) == 2


def test_a_users_mistake_is_json_with_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["run", str(tmp_path / "none.toml"), "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err)["error"]["verdict"] == "user"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rum"], "No such command 'rum'. Did you mean 'run'?"),
        (["run", "--jsn"], "No such option '--jsn'"),
        (["reset"], "Missing argument 'STREAM'"),
        (["run", "--progress", "loud"], "Invalid value for '--progress'"),
    ],
)
def test_a_wrong_call_is_an_error_with_a_hint(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.splitlines()[-1].startswith("hint: lockstitch")


def test_a_bug_of_ours_keeps_its_traceback_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path) -> None:
        raise ZeroDivisionError("one by none")

    monkeypatch.setattr("lockstitch.pipeline_file.load_pipeline", broken)
    assert main(["run", "x.toml"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):")
    assert "error: this is a bug in lockstitch, not in your settings: ZeroDivisionError: one by none" in err
    assert main(["run", "x.toml", "--json"]) == 1
    told = json.loads(capsys.readouterr().err)["error"]
    assert told["verdict"] == "bug"
    assert "Traceback" in told["traceback"]


def test_a_reader_who_has_gone_is_no_error() -> None:
    command = [sys.executable, "-m", "lockstitch", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
