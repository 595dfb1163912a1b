"""One load: its objects are staged, then sent under the lane's lock, and the mark is written when all are answered."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lockstitch.core.errors import AccessError, SettingsError
from lockstitch.core.loads import LedgerRow, Load, Reject, Step, StepCount
from lockstitch.core.model import Mark
from lockstitch.core.points import reach
from lockstitch.destinations.heap import tables
from lockstitch.destinations.heap.objects import Object, Objects, Row, Unfit, forms_of, record_of
from lockstitch.destinations.heap.pace import MOST_OF_ONE
from lockstitch.destinations.heap.rules import RULES
from lockstitch.destinations.heap.sends import CALLS, Send, Track
from lockstitch.destinations.heap.staging import Staging
from lockstitch.destinations.heap.state import Commit
from lockstitch.toolkit.held import held

if TYPE_CHECKING:
    import pyarrow as pa

    from lockstitch.destinations.heap.api import Sent
    from lockstitch.destinations.heap.destination import Heap

_log = logging.getLogger(__name__)

#: While Heap has never taken anything, so many refusals mean that it is the settings that are wrong.
_ENOUGH = 10

#: User ids of one identity that Heap takes in a month.
_USER_IDS = 10


@dataclass(frozen=True, slots=True)
class _Making:
    """What is made of the rows of one step."""

    step: int
    table: str
    objects: Sequence[tuple[Send, Objects]]


class HeapWriter:
    """Stages what a load's rows become; `commit` sends it."""

    def __init__(self, heap: Heap, load: Load, after: Mark | None) -> None:
        self._heap = heap
        self._state = heap.state
        self._load = load
        self._after = after
        self._staging = Staging()
        self._makings: dict[int, _Making] = {}
        self._rejects: list[Reject] = []
        self._written = Counter[int]()
        self._ignored = Counter[int]()
        self._proven = False
        self._early: list[str] = []

    # --- the seam -------------------------------------------------------------------------------------------------

    def write(self, step: Step, rows: pa.RecordBatchReader) -> None:
        number = self._load.position(step)
        for batch in rows:
            self._written[number] += batch.num_rows
            if step.table == RULES.rejected_table:
                self._rejects += [_reject(row) for row in batch.to_pylist()]
            elif step.parent is not None:
                self._ignored[number] += batch.num_rows
                self._warn(
                    f"{step.table}: lists within rows cannot be sent to Heap; deselect the field to be rid of this"
                )
            elif batch.num_rows:
                making = self._makings.get(number) or self._prepare(number, step)
                for row in batch.to_pylist():
                    self._stage(making, row)

    def commit(self, mark: Mark, ledger: Sequence[LedgerRow]) -> Sequence[StepCount]:
        connection, lane = self._load.connection, self._load.lane
        with held(self._state.lane(connection, lane)):
            self._state.refuse_superseded(connection, lane, self._after)
            reach("mark locked")
            self._send()
            refused = self._staging.refused_rows()
            counts = [self._count(number, step, refused[number]) for number, step in enumerate(self._load.steps)]
            known = self._state.tables(connection, self._heap.schema)
            self._state.commit(
                Commit(
                    connection,
                    lane,
                    self._heap.schema,
                    mark,
                    [row.completed(self._load.steps, counts) for row in ledger],
                    tables.after(known, self._load.changes, self._load.steps),
                    [*self._rejects, *self._staging.rejects()],
                )
            )
            reach("mark written")
        return counts

    def close(self) -> None:
        self._staging.close()

    # --- staging --------------------------------------------------------------------------------------------------

    def _prepare(self, number: int, step: Step) -> _Making:
        """Find out what is made of a step's rows. Raises SettingsError where the settings do not fit the table."""
        sends = self._heap.sends.get(step.table)
        if sends is None:
            raise SettingsError(
                f"nothing says what rows of {step.table} are sent to Heap as",
                hint=f"add [destination.properties.send.{step.table}], or deselect the stream",
            )
        present = frozenset(column.name for column in step.columns)
        for send in sends:
            self._refuse_unfit(send, step, present)
        place = f"{self._heap.schema}.{step.table}"
        made = [(send, Objects(send, place, step.key, present)) for send in sends]
        self._makings[number] = _Making(number, step.table, made)
        return self._makings[number]

    def _refuse_unfit(self, send: Send, step: Step, present: frozenset[str]) -> None:
        place = f"destination.properties.send.{step.table}"
        if isinstance(send, Track) and not (send.idempotency_key or step.key):
            raise SettingsError(
                f"{step.table} has no key, so that its events could not be told apart when they are sent again",
                hint=f"name the columns that tell an event from others as idempotency_key in [{place}]",
            )
        own = sorted(name for name in present if not name.startswith("_sdc_"))
        for name in send.required:
            if not forms_of(name, present):
                raise SettingsError(
                    f"{place} names the column {name!r}, which {step.table} does not have, or no value in it",
                    hint=f"its columns are {', '.join(own)}",
                )
        for name in send.optional:
            if not forms_of(name, present):
                self._warn(f"{place} names the column {name!r}, of which {step.table} has had no value yet")

    def _stage(self, making: _Making, row: Row) -> None:
        if row.get("_sdc_deleted_at") is not None:
            self._ignored[making.step] += 1  # a deletion is nothing that Heap could be told
            return
        number = self._staging.add(making.step, making.table, record_of(row))
        counts = False
        for send, objects in making.objects:
            try:
                counts |= self._staging.speak(number, objects.of(row))
            except Unfit as error:
                self._staging.refuse(number, f"{send.call}: {error}")
                counts = True
        self._ignored[making.step] += not counts

    def _warn(self, text: str) -> None:
        if text not in self._heap.warned:
            self._heap.warned.add(text)
            _log.warning(text)

    # --- sending --------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        self._proven = self._state.has_ever_taken()
        for whose, count in self._staging.identities_with_more_than(_USER_IDS):
            _log.warning(
                "%s has %s user ids in one load; Heap takes %s in a month and ignores others", whose, count, _USER_IDS
            )
        for call in CALLS:
            for lot in self._staging.objects(call, MOST_OF_ONE):
                self._deliver(self._state.untaken(self._load.connection, self._load.lane, lot))
        if self._early and not self._proven:
            raise self._nothing_taken()

    def _deliver(self, objects: Sequence[Object]) -> None:
        """Send objects; one by one until Heap has taken one, as all are refused where a setting is wrong."""
        while objects and not self._proven:
            self._note(self._heap.api.send(objects[:1]))
            objects = objects[1:]
        if objects:
            self._note(self._heap.api.send(objects))

    def _note(self, answers: Iterable[Sent]) -> None:
        """Note durably what was taken, answer by answer."""
        for sent in answers:
            if sent.refused is None:
                self._proven = True
                self._state.take(self._load.connection, self._load.lane, sent.objects)
            else:
                self._refuse(sent.objects, sent.refused)
            reach("step applied")

    def _refuse(self, objects: Sequence[Object], reason: str) -> None:
        for one in objects:
            self._staging.refuse_object(one, f"{one.call}: {reason}")
        if not self._proven:
            self._early.append(reason)
            if len(self._early) >= _ENOUGH:
                raise self._nothing_taken()

    def _nothing_taken(self) -> AccessError:
        return AccessError(
            f"Heap has taken nothing yet, and refuses what is sent: {self._early[-1]}",
            hint="correct app_id, base_url, region or send; if they are right, the rows. Nothing is marked as sent",
        )

    def _count(self, number: int, step: Step, refused: int) -> StepCount:
        if step.table == RULES.rejected_table:
            return StepCount(inserted=self._written[number])
        ignored = self._ignored[number]
        return StepCount(inserted=self._written[number] - ignored - refused, ignored=ignored, rejected=refused)


def _reject(row: dict[str, Any]) -> Reject:
    return Reject(row["table_name"], row["reason"], row["record"])
