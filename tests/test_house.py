"""The rules of the house that no other tool checks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "lockstitch"
SOURCES = sorted(PACKAGE.rglob("*.py"))
CONNECTORS = sorted(
    folder
    for kind in ("sources", "destinations")
    for folder in (PACKAGE / kind).iterdir()
    if folder.is_dir() and folder.name != "__pycache__"
)

#: Names that gather everything, because they say nothing.
EMPTY_NAMES = re.compile(r"(^|_)(utils?|helpers?|managers?|common|misc|base)(_|$)", re.IGNORECASE)
MAX_LINES = 600


def _classes(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            yield re.sub(r"(?<!^)(?=[A-Z])", "_", node.name)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_is_short_and_well_named(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES
    assert [name for name in [path.stem, path.parent.name, *_classes(path)] if EMPTY_NAMES.search(name)] == []


@pytest.mark.parametrize("folder", CONNECTORS, ids=lambda folder: f"{folder.parent.name}.{folder.name}")
def test_a_connector_has_a_contract_test_and_a_page(folder: Path) -> None:
    kind, name = folder.parent.name, folder.name
    assert (folder / "spec.py").is_file()
    assert (ROOT / "docs" / kind / f"{name}.md").is_file()
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert f"from lockstitch.{kind}.{name}" in tests
    if kind == "destinations":
        tested = (ROOT / "tests" / "contracts" / f"test_{name}.py").read_text()
        assert re.search(r"\((DestinationContract|SenderContract)", tested)


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_a_lock_file_has_hashes_and_no_addresses(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*--(extra-)?index", text, re.MULTILINE)
    pinned = re.findall(r"^[a-z0-9][\w.-]*==.*\\$", text, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE)) > 0


def test_the_command_line_loads_nothing_heavy() -> None:
    heavy = ["adbc_driver_manager", "boto3", "datafusion", "duckdb", "obstore", "pyarrow", "rich"]
    code = f"import sys, lockstitch.cli; print(sorted(set(sys.modules) & set({heavy!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "page", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]), ids=lambda page: str(page.relative_to(ROOT))
)
def test_a_page_links_only_to_what_is_there(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
