"""What the README and the pages show can be done as shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from lockstitch.cli.app import cli
from lockstitch.connectors import find_connector, open_source, parse_properties
from lockstitch.pipeline_file import load_pipeline
from lockstitch.testing.heap_bucket import DumpTable, write_dump
from lockstitch.testing.vendors.heap_api import HeapServer

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _pipelines() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        blocks = re.findall(r"^( *)```toml\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)
        for number, (indent, block) in enumerate(blocks):
            if "[source]" in block and "[destination]" in block:
                yield f"{page.relative_to(ROOT)}:{number}", re.sub(f"^{indent}", "", block, flags=re.MULTILINE)


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in _pipelines()])
def test_a_pipeline_is_right_as_shown(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"\$\{(\w+)\}", text):
        monkeypatch.setenv(name, "value")
    path = tmp_path / "pipeline.toml"
    path.write_text(text)
    pipeline = load_pipeline(path)
    source = find_connector("source", pipeline.source_type)
    open_source(source, parse_properties(source, pipeline.source_properties), spool=tmp_path).close()
    destination = find_connector("destination", pipeline.destination_type)
    assert parse_properties(destination, pipeline.destination_properties)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_shown_exists(page: Path) -> None:
    shown = set(re.findall(r"^ *(?:\.venv/bin/)?lockstitch ([a-z]+)\b", page.read_text(), re.MULTILINE))
    shown |= set(re.findall(r"`lockstitch ([a-z]+)\b", page.read_text()))
    assert shown <= set(cli.commands)


def test_the_readme_shows_what_make_offers() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        assert set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)) <= targets


def _programs() -> Iterator[tuple[str, str, str | None]]:
    for page in PAGES:
        blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
        if any("import lockstitch" in block for block in blocks):
            secrets = re.search(
                r"^```toml\n(# \.lockstitch/secrets\.toml\n.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
            )
            yield str(page.relative_to(ROOT)), "\n".join(blocks), secrets and secrets[1]


@pytest.mark.parametrize(
    ("program", "secrets"), [pytest.param(text, secrets, id=name) for name, text, secrets in _programs()]
)
def test_a_program_runs_as_shown(
    program: str, secrets: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of a page are one program; only the bucket and Heap are others."""
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    users = pa.table({"user_id": pa.array([1, 2], pa.int64())})
    sessions = pa.table({"event_id": pa.array([1, 2], pa.int64()), "country": ["FR", "DE"]})
    tables = {"users": users, "sessions": sessions}
    write_dump(bucket, 100, {name: DumpTable(table, incremental=False) for name, table in tables.items()})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LOCKSTITCH_HOME", raising=False)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("HEAP_CLIENT_SECRET", "test-secret")
    if secrets is not None:
        file = tmp_path / ".lockstitch" / "secrets.toml"
        file.parent.mkdir()
        file.write_text(secrets)
        file.chmod(0o600)
    with HeapServer() as heap:
        program = program.replace("file:///data/heap-rs3-acme", bucket.as_uri()).replace(
            "https://api.heap.io", heap.url
        )
        exec(compile(program, "page", "exec"), {"__name__": "__main__"})
