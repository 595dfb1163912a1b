"""A bundle of any size goes through in the same memory, and in several loads."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from lockstitch.testing.vendors.messages import Reply, Request, json_reply
from lockstitch.testing.vendors.server import VendorServer

#: Reads all events in a process of its own, whose memory is looked at.
READER = """
import sys
from pathlib import Path
from lockstitch.core.model import Batch, Checkpoint, Lane, Selected
from lockstitch.sources.fullstory.source import FullStorySource
from lockstitch.sources.fullstory.spec import Properties

url, folder = sys.argv[1], Path(sys.argv[2])
properties = Properties(
    api_key="key", start_date="2026-01-01", base_url=url, export_base_url=url, events_api="data_export"
)
source = FullStorySource(properties, spool=folder, home=folder)
(events,) = [one for one in source.discover() if one.name == "events"]
source.lanes([Selected(events)])
rows = checkpoints = 0
for message in source.read(Lane("events", ("events",)), None):
    rows += message.rows.num_rows if isinstance(message, Batch) else 0
    checkpoints += isinstance(message, Checkpoint)
source.close()
# Not ru_maxrss: it begins with what the process had that started this one.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(rows, checkpoints, int(peak.split()[1]) >> 10)
"""


def read(url: str, folder: Path) -> tuple[int, int, int]:
    """Return rows, checkpoints, and the most memory that the process had, in MiB."""
    command = [sys.executable, "-c", READER, url, str(folder)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    rows, checkpoints, memory = map(int, ended.stdout.split())
    return rows, checkpoints, memory


class Huge(VendorServer):
    """Has one bundle, of so many times the same 2,000 events: about 3 MB of JSON."""

    def __init__(self, times: int) -> None:
        super().__init__()
        draw = random.Random(1)
        events = [
            {"EventStart": "2026-01-01T00:00:00Z", "UserId": draw.randrange(10**15, 10**16), **_texts(draw)}
            for _ in range(2000)
        ]
        text = json.dumps(events).encode()
        again = gzip.compress(b"," + text[1:-1], 1)
        self.body = b"".join([gzip.compress(text[:-1], 1), again * (times - 1), gzip.compress(b"]")])

    def answer(self, request: Request) -> Reply:
        if request.path.endswith("/list"):
            start = int(request.get("start") or 0)
            return json_reply(
                {"exports": [] if start >= 1_800_000_000 else [{"Id": 1, "Start": 1, "Stop": 1_800_000_000}]}
            )
        return Reply(200, self.body, {"Content-Type": "application/gzip"})


def _texts(draw: random.Random) -> dict[str, str]:
    return {
        f"Page{name}": f"{draw.random()} }},{{ " * 4 for name in ("Url", "RefererUrl", "Agent", "Browser", "Device")
    } | {f"user_field{number}_str": "x" * 70 for number in range(8)}


def test_memory_is_bounded(tmp_path: Path) -> None:
    with Huge(times=20) as server:
        rows, checkpoints, memory = read(server.url, tmp_path)
    assert rows == 40_000
    assert checkpoints == 1
    assert memory < 350


@pytest.mark.long
def test_a_gigabyte_takes_no_more_memory(tmp_path: Path) -> None:
    with Huge(times=10) as server:
        _, _, small = read(server.url, tmp_path / "small")
    with Huge(times=350) as server:
        rows, checkpoints, memory = read(server.url, tmp_path / "large")
    assert rows == 700_000
    assert checkpoints >= 7
    assert memory < small + 200  # of 1,200
