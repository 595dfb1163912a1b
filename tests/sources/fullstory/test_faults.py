"""At every fault of the dial all rows are there in the end, and no row twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lockstitch.core.errors import LockstitchError
from lockstitch.core.model import Checkpoint, Message, Selected
from lockstitch.testing.vendors.faults import LASTING, TRANSIENT, Burst429, ChangedSchema, ClockSkew, Fault
from sources.fullstory.account import Account, counted, cursors, expected, rows, truth, without_nulls

#: Of each kind one: events both ways, a list, a list of which each record is asked for, a setting, its versions.
STREAMS: dict[str, dict[str, Any]] = {
    "events": {"events_api": "data_export"},
    "events by slices": {"events_api": "segment_export", "start_date": "2026-06-09T12:00:00Z", "slice_minutes": 720},
    "users": {},
    "user": {},
    "segments": {},
    "block_rules": {},
    "privacy_settings_history": {},
}


@pytest.mark.parametrize(("name", "values"), STREAMS.items(), ids=STREAMS)
@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
def test_a_fault_that_passes_costs_no_row(small: Account, fault: Fault, name: str, values: dict[str, Any]) -> None:
    stream = name.partition(" ")[0]
    small.server.faults.add(fault)
    found = rows(small.read(stream, **values))
    # A stream that asks once or twice meets no fault that waits for later requests.
    assert small.server.faults.met or small.server.count() <= fault.after
    if isinstance(fault, ClockSkew) and name == "events":
        small.server.clock.advance(fault.by)  # it is FullStory's clock that says which bundles there are
    told = small.server.data.truth(stream)
    if isinstance(fault, ChangedSchema):
        told = [fault.changed(row) for row in told]
    assert counted(found) == counted([without_nulls(expected(stream, row, extra=False)) for row in told])


#: A fault that stays comes after the first request: these ask more than once.
LONG = {name: values for name, values in STREAMS.items() if name in ("events", "events by slices", "user")}

#: Nobody really waits here, and what is asked to wait half a minute gives up after fewer requests.
STAYING = {**LASTING, "429 always": Burst429(times=None, retry_after=30)}


@pytest.mark.parametrize(("name", "values"), LONG.items(), ids=LONG)
@pytest.mark.parametrize("fault", STAYING.values(), ids=STAYING)
def test_a_fault_that_stays_is_told_and_costs_no_row_once_it_is_mended(
    small: Account, fault: Fault, name: str, values: dict[str, Any]
) -> None:
    stream = name.partition(" ")[0]
    small.server.faults.add(replace(fault, after=3))
    source = small.source(**values)
    (found,) = [one for one in source.discover() if one.name == stream]
    (lane,) = source.lanes([Selected(found)])
    before: list[Message] = []
    with pytest.raises(LockstitchError) as told:
        _take(source.read(lane, None), before)
    assert told.value.verdict in ("user", "retry")
    assert told.value.hint or told.value.verdict == "retry"
    small.server.faults.clear()
    kept = _to_the_last_checkpoint(before)
    again = small.read(stream, cursors(kept)[-1] if kept else None, **values)
    assert counted(rows([*kept, *again])) == counted(truth(small.server, stream))


def _take(messages: Iterator[Message], taken: list[Message]) -> None:
    for message in messages:
        taken.append(message)


def _to_the_last_checkpoint(messages: list[Message]) -> list[Message]:
    places = [place for place, one in enumerate(messages) if isinstance(one, Checkpoint)]
    return messages[: places[-1] + 1] if places else []
