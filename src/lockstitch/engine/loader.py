"""Carries loads into the destination, one at a time and in order, while the next one is being read."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from lockstitch.core.errors import LockstitchError, Superseded, TransientError
from lockstitch.core.loads import LedgerRow
from lockstitch.core.points import reach
from lockstitch.core.protocols import Destination
from lockstitch.engine.events import Event
from lockstitch.engine.load import ReadyLoad, StepRows
from lockstitch.engine.patience import patiently
from lockstitch.engine.rejects import reject_rows


class Loader:
    """A thread that commits loads. One may wait while one is under way; a third makes `submit` wait.

    After the first load of a lane that fails, the later ones of that lane are given up: they could only be superseded.
    """

    def __init__(
        self,
        destination: Destination,
        committed: Callable[[ReadyLoad, tuple[LedgerRow, ...]], None],
        events: Callable[[Event], None],
    ) -> None:
        self._destination = destination
        self._committed = committed
        self._events = events
        self._loads: queue.Queue[ReadyLoad | None] = queue.Queue(maxsize=1)
        self._errors: dict[str, BaseException] = {}
        self._under_way: Counter[str] = Counter()
        self._patient = True
        self._thread = threading.Thread(target=self._work, name="loader", daemon=True)
        self._thread.start()

    def submit(self, load: ReadyLoad) -> None:
        """Hand over a load; raise what made an earlier load of the lane fail."""
        lane = load.load.lane
        if lane in self._errors:
            load.discard()
            raise self._errors[lane]
        self._under_way[lane] += 1
        self._loads.put(load)

    def failure(self, lane: str) -> BaseException | None:
        """Return what made a load of the lane fail, or None."""
        return self._errors.get(lane)

    def is_busy_with(self, lane: str) -> bool:
        return self._under_way[lane] > 0

    @property
    def is_idle(self) -> bool:
        """Whether no load is under way or waits."""
        return self._loads.unfinished_tasks == 0

    def finish(self) -> None:
        """Wait until all loads handed over are committed or given up."""
        self._loads.join()

    def close(self) -> None:
        self._loads.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (load := self._loads.get()) is not None:
            lane = load.load.lane
            try:
                if lane not in self._errors:
                    ledger = carry_out(self._destination, load, self._events, patient=self._patient)
                    self._patient = True
                    self._committed(load, ledger)
            except BaseException as error:
                self._errors[lane] = error
                # What did not pass while one lane waited is not waited for again by each of the others.
                self._patient &= isinstance(error, Superseded) or not isinstance(error, TransientError)
            finally:
                load.discard()
                self._under_way[lane] -= 1
                self._loads.task_done()
        self._loads.task_done()


def carry_out(
    destination: Destination, load: ReadyLoad, events: Callable[[Event], None], *, patient: bool = True
) -> tuple[LedgerRow, ...]:
    """Commit a load, repeating it from the spool after errors that pass; return its ledger."""

    def attempt() -> tuple[LedgerRow, ...]:
        try:
            return _try_once(destination, load)
        except TransientError:
            # Whether a commit whose answer was lost took place is read from the mark.
            if _landed(destination, load):
                return load.ledger
            raise

    return patiently(attempt, events, patient=patient)


def _landed(destination: Destination, load: ReadyLoad) -> bool:
    try:
        return destination.marks(load.load.connection).get(load.load.lane) == load.mark
    except LockstitchError:
        return False


def _try_once(destination: Destination, load: ReadyLoad) -> tuple[LedgerRow, ...]:
    with destination.begin(load.load, load.after) as writer:
        reach("load begun")
        for step in load.steps:
            if step.step.rejects:
                without_nul = destination.rules.text_without_nul
                writer.write(step.step, reject_rows(load.rejects, load.batched_at, without_nul=without_nul))
            elif step.rows is not None:
                for reader in step.rows.readers(load.batched_at, step.renamed, step.top):
                    writer.write(step.step, reader)
        reach("rows staged")
        ledger = tuple(_account(row, load.steps) for row in load.ledger)
        counts = writer.commit(load.mark, ledger)
    reach("load committed")
    return tuple(row.completed(load.load.steps, counts) for row in ledger)


def _account(row: LedgerRow, steps: tuple[StepRows, ...]) -> LedgerRow:
    """Add to a table's account what the reading of its spooled rows told."""
    spooled = [one.rows for one in steps if one.rows is not None and one.step.table == row.table]
    superseded = sum(rows.count - rows.handed_on for rows in spooled)
    checksum = sum(rows.checksum for rows in spooled) % 2**63
    return replace(row, superseded=row.superseded + superseded, checksum=checksum)
