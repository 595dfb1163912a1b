"""Stopped by a signal, or by a file that cannot be read: what was read up to the last checkpoint lands."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from faults.dumps import DUMPS, KEYLESS
from faults.rig import Rig
from lockstitch.testing.faults import Fault


@pytest.mark.parametrize("asked", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_asked_to_stop(rig: Rig, asked: signal.Signals) -> None:
    """Asked while the first file of the last lane is read: that file still lands, whole, and nothing after it.

    The lane is that of the table without a key, where rows that landed ahead of their cursor would come twice.
    """
    done = 0
    for dump, deliveries in DUMPS.items():
        rig.bucket.write(dump)
        assert max(deliveries) == KEYLESS
        files = 1 + sum(len(one.files) for table, one in deliveries.items() if table != KEYLESS)
        running = rig.start(Fault("batch spooled", hit=files, how="stop"))
        running.wait_until_stopped()
        running.process.send_signal(asked)
        running.wake()
        ended = running.end()
        assert ended.code == 128 + asked, str(ended)
        loads = sum(rig.marks().values()) - done
        assert loads == files
        assert f"stopped by {asked.name}: {loads} loads committed" in ended.out
        rig.run_to_the_end()
        rig.check()
        done = sum(rig.marks().values())


def test_asked_twice_it_ends_at_once(rig: Rig) -> None:
    rig.bucket.write(next(iter(DUMPS)))
    running = rig.start(Fault("mark written", hit=2, how="stop"))
    running.wait_until_stopped()
    for asked in (signal.SIGTERM, signal.SIGINT):  # two of a kind that arrive together are one
        running.process.send_signal(asked)
    running.wake()
    ended = running.end()
    assert ended.code in (128 + signal.SIGTERM, 128 + signal.SIGINT), str(ended)
    assert "stopped at once" in ended.err
    rig.run_to_the_end()
    rig.check()


def test_a_file_that_is_cut_short(rig: Rig) -> None:
    """The files before it land, though they were to make one load with it; the rest once it is whole again."""
    rig.write_pipeline(load_rows=20)
    for dump in DUMPS:
        rig.bucket.write(dump)
        cut = {path: path.read_bytes() for path in _third_files(rig.bucket.folder / f"sync_{dump}")}
        assert cut
        for path, whole in cut.items():
            path.write_bytes(whole[:-20])
        ended = rig.start().end()
        assert ended.code == 2, str(ended)
        assert len(re.findall(r"error: \w+: .* is cut short", ended.err)) == len(cut)
        for path, whole in cut.items():
            path.write_bytes(whole)
        told = rig.run_to_the_end().err
        assert set(re.findall(r"(\w+): reading 1 file\n", told)) == {path.parent.name for path in cut}
        rig.check()


def _third_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/part-00002-*.avro"))
