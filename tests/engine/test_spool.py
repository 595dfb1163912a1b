"""The folders in which rows wait for their commit: made and swept by runs that start at the same time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lockstitch.core.errors import TransientError
from lockstitch.engine.leftovers import sweep
from lockstitch.engine.spool import Spool
from lockstitch.toolkit.downloads import Downloads


def test_no_run_sweeps_the_folder_of_another_that_is_just_being_made(tmp_path: Path) -> None:
    start = threading.Barrier(4)
    lost: list[Path] = []

    def make() -> None:
        start.wait()
        for _ in range(100):
            sweep(tmp_path)
            spool = Spool(tmp_path)
            if not (spool.folder / "lock").exists():
                lost.append(spool.folder)
            spool.close()

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == []
    assert list(tmp_path.glob("spool/run-*")) == []


def test_the_folder_of_a_dead_run_is_swept_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    living = Spool(tmp_path)
    dead = tmp_path / "spool" / "run-dead"
    dead.mkdir()
    (dead / "000001.arrow").write_bytes(b"rows")
    fetched = tmp_path / "spool" / "fetch-dead"
    fetched.mkdir()
    downloads = Downloads(tmp_path / "spool")
    kept = downloads.folder()
    fetched.mkdir(exist_ok=True)
    sweep(tmp_path)
    assert not fetched.exists()
    assert kept.is_dir()
    downloads.close()
    assert [path.name for path in living.folder.parent.glob("run-*")] == [living.folder.name]
    living.close()


def test_a_home_that_cannot_hold_a_spool_is_told(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    with pytest.raises(TransientError, match=r"cannot write to .*spool"):
        Spool(tmp_path)
