"""`lockstitch mcp` as a command."""

from __future__ import annotations

import sys

import pytest

from lockstitch.cli import main


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delitem(sys.modules, "lockstitch.mcp.server", raising=False)
    monkeypatch.setitem(sys.modules, "mcp.server.mcpserver", None)
    assert main(["mcp"]) == 2
    assert "hint: uv pip install 'lockstitch[mcp]'" in capsys.readouterr().err


def test_help_shows_how_assistants_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mcp", "--help"]) == 0
    assert '"args": ["mcp", "--folder", "/home/jane/pipelines"]' in capsys.readouterr().out
