"""At every fault of the dial, after a kill and beside a rival: Heap has each event once, and none is missing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from tests.destinations.heap.sending import CONNECTION, ORDERS, SCHEMA, Sender, event, in_order, order, pages

from lockstitch.core.errors import Superseded, TransientError
from lockstitch.core.loads import Load
from lockstitch.core.model import Mark
from lockstitch.core.points import Point
from lockstitch.destinations.heap import writer
from lockstitch.engine import patience
from lockstitch.testing.faults import POINTS
from lockstitch.testing.vendors.faults import LASTING, TRANSIENT, Failure, NoAnswer
from lockstitch.toolkit.held import held

ROWS = [order(n, email=f"user-{n % 7}@example.com") for n in range(60)]
SCRIPT = pages(ROWS, 10)

#: What goes with the events: each kind of call.
ALL_CALLS = [
    {"as": "identify", "identity": "email", "user_id": "id"},
    {"as": "add_user_properties", "identity": "email", "properties": {"last sku": "sku"}},
    ORDERS,
]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "WAITS", (0.01, 0.01))


def holds(sender: Sender) -> None:
    """All events are there, once; all properties are the last ones; nothing was rejected."""
    tracked = [one for one in sender.tracked() if one["call"] == "track"]
    assert in_order(tracked) == in_order([event(row) for row in ROWS])
    assert sender.rejected() == []
    assert sum(row.inserted for _, _, row in sender.state.ledger(CONNECTION)) == len(ROWS)


def all_calls_hold(sender: Sender) -> None:
    holds(sender)
    assert sender.server.identities == {str(row["id"]): row["email"] for row in ROWS}
    assert sender.server.profiles == {row["email"]: {"last sku": row["sku"]} for row in ROWS}


@pytest.mark.parametrize("name", TRANSIENT)
def test_all_rows_come_through_each_fault(sender: Sender, name: str) -> None:
    sender.send = {"orders": ALL_CALLS}
    sender.server.faults.add(TRANSIENT[name])
    sender.carried(SCRIPT, rows=20)
    assert sender.server.faults.met
    all_calls_hold(sender)


@pytest.mark.parametrize("name", LASTING)
def test_a_lasting_fault_stops_with_its_reason_and_once_mended_all_rows_come(sender: Sender, name: str) -> None:
    sender.send = {"orders": ALL_CALLS}
    sender.server.faults.add(LASTING[name])
    [lane] = sender.run(SCRIPT, rows=20).lanes
    assert lane.error is not None
    assert "POST /api/" in str(lane.error)
    assert sender.server.faults.met
    sender.server.faults.clear()
    sender.carried(SCRIPT, rows=20)
    all_calls_hold(sender)


@pytest.mark.parametrize("after", range(1, 12))
def test_what_was_taken_before_a_failure_is_not_sent_again(sender: Sender, after: int) -> None:
    sender.send = {"orders": ALL_CALLS}
    sender.server.faults.add(Failure(status=403, times=None, after=after))
    assert sender.run(SCRIPT[:4]).lanes[0].error is not None
    sender.server.faults.clear()
    sender.carried(SCRIPT[:4])
    sent = [json.loads(each.request.body) for each in sender.server.requests if each.status == 200]
    objects = [json.dumps(one) for body in sent for one in body.get("events", body.get("users", [body]))]
    assert len(objects) == len(set(objects)) == 20 + 7 + 20


def test_an_event_whose_answer_was_lost_is_there_once(sender: Sender) -> None:
    sender.server.faults.add(NoAnswer(done=True, times=2))
    sender.carried(SCRIPT, rows=20)
    assert sender.server.faults.met == 2
    holds(sender)


def test_properties_that_change_back_between_attempts_end_as_they_are_last(sender: Sender) -> None:
    sender.send = {"orders": ALL_CALLS}
    sender.server.faults.add(Failure(status=403, times=None, on="/api/track"))
    for sku in ("first", "second"):
        assert sender.run(pages([order(1, sku=sku)], 1)).lanes[0].error is not None
        assert sender.server.profiles["user-1@example.com"] == {"last sku": sku}
    sender.server.faults.clear()
    sender.carried(pages([order(1, sku="first")], 1))
    assert sender.server.profiles["user-1@example.com"] == {"last sku": "first"}


# --- fences -----------------------------------------------------------------------------------------------------------


def test_a_load_that_begins_elsewhere_than_the_mark_sends_nothing(sender: Sender) -> None:
    sender.carried(SCRIPT[:2])
    before = len(sender.server.requests)
    zombie = sender.open()
    zombie.open(CONNECTION, SCHEMA)
    for after in (None, Mark(1, 2, None), Mark(2, 1, None)):
        with pytest.raises(Superseded), zombie.begin(Load(CONNECTION, "playback", ()), after) as writer:
            writer.commit(Mark(1, 3, None), [])
    assert len(sender.server.requests) == before


def test_of_two_loads_at_once_the_second_to_commit_sends_nothing(sender: Sender) -> None:
    destination = sender.open()
    destination.open(CONNECTION, SCHEMA)
    load = Load(CONNECTION, "playback", ())
    with destination.begin(load, None) as writer:
        sender.carried(SCRIPT[:2])
        with pytest.raises(Superseded):
            writer.commit(Mark(1, 1, None), [])
    assert sender.state.marks(CONNECTION)["playback"].cursor == 0


def test_a_reset_sends_all_again_and_heap_keeps_each_event_once(sender: Sender) -> None:
    sender.carried(SCRIPT)
    destination = sender.open()
    destination.open(CONNECTION, SCHEMA)
    mark = destination.marks(CONNECTION)["playback"]
    destination.adopt(CONNECTION, "playback", Mark(2, mark.number + 1, None, mark.sequence), mark)
    before = list(sender.server.accepted)
    sender.carried(SCRIPT)
    assert sender.server.accepted == before
    assert sender.state.marks(CONNECTION)["playback"].epoch == 2


# --- kills ------------------------------------------------------------------------------------------------------------

_RUN = """
import sys
from functools import partial
from pathlib import Path
from lockstitch.testing.faults import Fault, _meet
from tests.destinations.heap.sending import Sender
from tests.destinations.heap.test_faults import ALL_CALLS, SCRIPT

class Server:
    url, minute = sys.argv[1], 0.5

if sys.argv[3]:
    _meet(Fault(sys.argv[3], int(sys.argv[4]), sys.argv[5]))
sender = Sender(Server(), Path(sys.argv[2]), {"orders": ALL_CALLS})
result = sender.run(SCRIPT, rows=20)
sys.exit(next((str(lane.error) for lane in result.lanes if lane.error), 0))
"""


def process(sender: Sender, point: str = "", hit: int = 1, how: str = "kill") -> subprocess.Popen[bytes]:
    """Start a run as a process of its own, which meets a fault at a point."""
    arguments = [sender.server.url, str(sender.folder), point, str(hit), how]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}"}
    command = [sys.executable, "-c", _RUN, *arguments]
    with (sender.folder / "stderr").open("w") as errors:
        return subprocess.Popen(command, env=environment, cwd=root, stderr=errors)


def ended(run: subprocess.Popen[bytes], code: int, sender: Sender) -> None:
    assert run.wait(120) == code, (sender.folder / "stderr").read_text()


#: Points that a load of this destination passes, with the times that it passes them before it is killed.
KILLS = [
    *[("step applied", 1), ("step applied", 24), ("mark written", 2)],
    *(pytest.param(point, 2, marks=pytest.mark.long) for point in POINTS if point != "changes made"),
    pytest.param("step applied", 21, marks=pytest.mark.long),
]


@pytest.mark.parametrize(("point", "hit"), KILLS)
def test_a_run_killed_at_any_point_loses_and_doubles_nothing(sender: Sender, point: Point, hit: int) -> None:
    ended(process(sender, point, hit), -signal.SIGKILL, sender)
    ended(process(sender), 0, sender)
    all_calls_hold(sender)
    taken = [each.request.body for each in sender.server.requests if each.status == 200]
    assert len(taken) - len(set(taken)) <= 1  # the one whose answer nobody could note any more


def test_a_run_that_was_stopped_in_the_middle_of_sending_keeps_others_out_and_goes_on(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = process(sender, "step applied", 3, "stop")
    while sender.server.count() < 3:
        time.sleep(0.01)
    time.sleep(0.2)
    monkeypatch.setattr(writer, "held", partial(held, patience=0.2))
    with pytest.raises(TransientError, match="in use by other runs"):
        sender.carried(SCRIPT, rows=20)
    stopped.send_signal(signal.SIGCONT)
    ended(stopped, 0, sender)
    sender.carried(SCRIPT, rows=20)
    all_calls_hold(sender)
