"""`import lockstitch` costs nothing, and offers what it says."""

from __future__ import annotations

import subprocess
import sys

import pytest

import lockstitch


def test_the_import_loads_nothing() -> None:
    code = "import sys; before = set(sys.modules); import lockstitch; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [name for name in done.stdout.split() if name.startswith("lockstitch")] == ["lockstitch"]
    assert not {"pyarrow", "duckdb", "msgspec", "rich", "numpy"} & set(done.stdout.split())


def test_the_face_loads_no_driver() -> None:
    code = "import sys, lockstitch; lockstitch.pipeline, lockstitch.Dataset, lockstitch.Run; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pyarrow", "duckdb", "msgspec", "rich", "numpy"} & set(done.stdout.split())


def test_every_name_that_is_offered_is_there() -> None:
    for name in lockstitch.__all__:
        assert getattr(lockstitch, name).__name__ == name
    assert set(lockstitch.__all__) <= set(dir(lockstitch))


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'pipelin'"):
        _ = lockstitch.pipelin  # pyright: ignore[reportAttributeAccessIssue]
