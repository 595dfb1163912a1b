"""An assistant that speaks to the server as the SDK's client does, and a folder with a person's secrets in it."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pyarrow as pa
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp.types import CallToolResult

from lockstitch.mcp.hiding import Secrets
from lockstitch.mcp.server import make_server
from lockstitch.testing.heap_bucket import DumpTable, write_dump
from mcp import Client


@dataclass
class Assistant:
    """Calls tools and keeps all that it is told."""

    portal: BlockingPortal
    client: Client
    heard: list[str] = field(default_factory=list[str])
    progress: list[str] = field(default_factory=list[str])

    def tools(self) -> set[str]:
        listed = self.portal.call(self.client.list_tools)
        self.heard.append(str(listed))
        return {tool.name for tool in listed.tools}

    def call(self, tool: str, **arguments: Any) -> Any:
        """Return a tool's answer, which is no error."""
        answer = self._call(tool, arguments)
        assert not answer.is_error, answer.content
        content = answer.structured_content
        assert content is not None
        return content["result"] if list(content) == ["result"] else content

    def refused(self, tool: str, **arguments: Any) -> str:
        """Return the text of a tool's error."""
        answer = self._call(tool, arguments)
        assert answer.is_error, answer.content
        text = str(getattr(answer.content[0], "text", ""))
        assert "Traceback" not in text
        return text

    def cancel(self, tool: str, seconds: float, **arguments: Any) -> None:
        """Call a tool, and cancel it before it ends."""

        async def call() -> bool:
            with anyio.move_on_after(seconds) as scope:
                await self.client.call_tool(tool, arguments)
            return scope.cancelled_caught

        assert self.portal.call(call)

    def _call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        async def told(progress: float, total: float | None, message: str | None) -> None:
            del progress, total
            self.progress.append(message or "")

        async def call() -> CallToolResult:
            return await self.client.call_tool(tool, arguments, progress_callback=told)

        answer = self.portal.call(call)
        self.heard += [str(answer), *self.progress]
        return answer


@contextmanager
def assistant_of(client: Client) -> Generator[Assistant]:
    """Connect a client from synchronous code."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(client) as entered:
        yield Assistant(portal, entered)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory and a home of a test's own, without settings from outside."""
    for name in [name for name in os.environ if name.startswith("LOCKSTITCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCKSTITCH_HOME", str(tmp_path / "home"))
    work = tmp_path / "pipelines"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def assistant(folder: Path) -> Iterator[Assistant]:
    with assistant_of(Client(make_server(folder, Secrets()))) as made:
        yield made


@pytest.fixture
def reader(folder: Path) -> Iterator[Assistant]:
    """One of a server that only looks."""
    with assistant_of(Client(make_server(folder, Secrets(), read_only=True))) as made:
        yield made


def write_secrets(folder: Path, text: str) -> None:
    """Write what a person keeps in secrets.toml."""
    (folder / ".lockstitch").mkdir()
    path = folder / ".lockstitch" / "secrets.toml"
    path.write_text(text)
    path.chmod(0o600)


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    """A bucket in Heap's format: four users and three sessions."""
    made = tmp_path / "bucket"
    made.mkdir()
    users = pa.table({"user_id": pa.array([1, 2, 3, 4], pa.int64()), "visits": pa.array([7, None, 2**62, 0])})
    sessions = pa.table({"event_id": pa.array([1, 2, 3], pa.int64()), "country": ["FR", "DE", "FR"]})
    tables = {"users": users, "sessions": sessions}
    write_dump(made, 100, {name: DumpTable(table, incremental=False) for name, table in tables.items()})
    return made
