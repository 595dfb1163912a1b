"""In a notebook a run shows how it goes on, and its result is a table: on a real kernel, without its page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager


@pytest.fixture
def kernel(folder: Path) -> Iterator[BlockingKernelClient]:
    manager = KernelManager(transport="ipc", ip=str(folder / "kernel"))
    manager.start_kernel(cwd=str(folder))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.context.destroy()


def shown(kernel: BlockingKernelClient, code: str) -> list[tuple[str, dict[str, Any]]]:
    """Run a cell; return what the page would get."""
    told: list[tuple[str, dict[str, Any]]] = []
    kernel.execute_interactive(
        code, timeout=60, output_hook=lambda message: told.append((message["msg_type"], message["content"]))
    )
    return told


def test_a_run_in_a_cell(kernel: BlockingKernelClient, bucket: Path) -> None:
    code = f"""
import lockstitch
lockstitch.pipeline("heap", source="platform.heap", properties={{"bucket_url": "{bucket.as_uri()}"}}).run()
"""
    told = shown(kernel, code)
    assert not [content for kind, content in told if kind == "error"]
    assert not [content for kind, content in told if kind == "stream"]
    live = [content["data"]["text/html"] for kind, content in told if kind in ("display_data", "update_display_data")]
    assert "<th>rows/s</th>" in live[0]
    assert "sessions" in live[-1]
    assert live[-1].count("done") == 2
    (result,) = [content["data"] for kind, content in told if kind == "execute_result"]
    assert "<th>inserted</th>" in result["text/html"]
    assert "7 rows read, 2 loads committed" in result["text/html"]
    assert "7 rows read, 2 loads committed" in result["text/plain"]
    (nothing,) = [content["data"] for kind, content in shown(kernel, "_.pipeline.run()") if kind == "execute_result"]
    assert "nothing new" in nothing["text/html"]
