"""The folder for downloads: private, removed at the end, and swept after a kill."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

from lockstitch.toolkit.downloads import Downloads

KILLED = """
import os, signal, sys
from pathlib import Path
from lockstitch.toolkit.downloads import Downloads
downloads = Downloads(Path(sys.argv[1]))
(downloads.folder() / "half.avro").write_bytes(b"rows")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    Downloads(tmp_path / "spool").close()
    assert not (tmp_path / "spool").exists()


def test_a_folder_is_private_and_removed_with_its_content(tmp_path: Path) -> None:
    downloads = Downloads(tmp_path / "spool")
    folder = downloads.folder()
    assert folder == downloads.folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "x").write_bytes(b"x")
    downloads.close()
    assert list((tmp_path / "spool").iterdir()) == []


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    living = Downloads(tmp_path)
    mine = living.folder()
    assert not left.exists()
    other = Downloads(tmp_path)
    other.folder()
    assert mine.exists()
    other.close()
    living.close()
