"""Two sources for tests of the seams, with data that a seed makes: a database log, and a Singer tap of two streams.

Neither talks to anything. They stand for what is to come: one lane with many tables and one position, rows with an
order of their own, deletes, a log that was lost; STATE as the cursor, ACTIVATE_VERSION as a Publish, rows that repeat.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import pyarrow as pa

from lockstitch.core.errors import SettingsError
from lockstitch.core.model import (
    Batch,
    Checkpoint,
    Field,
    Json,
    Lane,
    Message,
    Part,
    Publish,
    Selected,
    Stream,
    Version,
)

Row = dict[str, Any]

_ROW = pa.schema([("id", pa.int64()), ("name", pa.string()), ("amount", pa.float64()), ("tags", pa.list_(pa.string()))])
_FIELDS = (Field("id", "integer"), Field("name"), Field("amount", "number"), Field("tags", "array"))


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the log: `row` None deletes the key."""

    position: int
    table: str
    key: int
    row: Row | None


@dataclass
class LogLane:
    """A database with tables and a log of their changes; its one lane holds snapshots first, then the log.

    `end` is the log's last position when the run begins: another LogLane of the same seed with a greater one is the
    same database later. Positions before `retained` are gone: whoever stands there gets all tables anew.
    """

    seed: int = 0
    tables: tuple[str, ...] = ("customers", "orders", "refunds")
    end: int = 60
    retained: int = 0
    page: int = 4
    new_fields: ClassVar[Literal["add", "report"]] = "add"

    def check(self) -> None: ...

    def discover(self) -> Sequence[Stream]:
        return [Stream(name, _FIELDS, ("id",), "LOG_BASED") for name in self.tables]

    def lanes(self, wanted: Sequence[Selected]) -> Sequence[Lane]:
        self._wanted = tuple(one.stream.name for one in wanted)
        return [Lane("log", self._wanted)] if wanted else []

    def parts(self, lane: Lane, cursor: Json) -> Sequence[Part]:  # noqa: ARG002 - the protocol's
        return ()

    def committed(self, lane: Lane, cursor: Json) -> None: ...

    def close(self) -> None: ...

    def read(self, lane: Lane, cursor: Json) -> Iterator[Message]:
        """Position first, then the snapshot of each table, then the log from that position."""
        state: dict[str, Any] = self._state(cursor)
        if not state or state["log"] < self.retained:
            state = {
                "version": state.get("version", 0) + 1,
                "begun": self.end,
                "log": self.end,
                "done": dict[str, Any](),
            }
        for table in lane.streams:
            yield Version(table, state["version"])
        for table in lane.streams:
            yield from self._snapshot(table, state)
        for first in range(state["log"] + 1, self.end + 1, self.page):
            last = min(first + self.page - 1, self.end)
            yield from self._changes(lane, first, last)
            yield Checkpoint({**state, "log": last})
        if state["log"] == self.end:
            yield Checkpoint(state)

    def _state(self, cursor: Json) -> dict[str, Any]:
        if cursor is None:
            return {}
        if not isinstance(cursor, dict) or set(cursor) != {"version", "begun", "log", "done"}:
            raise SettingsError(f"the log lane cannot go on from {cursor!r}", hint="reset the stream")
        return {**cursor, "done": dict(_mapping(cursor["done"]))}

    def _snapshot(self, table: str, state: dict[str, Any]) -> Iterator[Message]:
        """The table as it stands now, which may be later than the position: the log then repeats what is in it."""
        if state["done"].get(table) == "published":
            return
        rows = self.rows_at(table, self.end)
        keys = sorted(key for key, row in rows.items() if row is not None and key > state["done"].get(table, 0))
        for start in range(0, len(keys), self.page):
            page = keys[start : start + self.page]
            yield _batch(table, [rows[key] or {} for key in page], [state["begun"]] * len(page))
            state["done"][table] = page[-1]
            yield Checkpoint(_copy(state))
        yield Publish(table, state["version"], "mark_deleted" if state["version"] > 1 else "remove")
        state["done"][table] = "published"
        yield Checkpoint(_copy(state))

    def _changes(self, lane: Lane, first: int, last: int) -> Iterator[Message]:
        """Yield the log's entries in runs of one table and one kind."""
        waiting: list[Change] = []
        for change in self.log[first - 1 : last]:
            if change.table not in lane.streams:
                continue
            if waiting and (waiting[-1].table, waiting[-1].row is None) != (change.table, change.row is None):
                yield _logged(waiting)
                waiting = []
            waiting.append(change)
        if waiting:
            yield _logged(waiting)

    # --- the database --------------------------------------------------------------------------------------------

    @cached_property
    def log(self) -> list[Change]:
        """All that ever happens to the database, positions from 1."""
        chance = random.Random(self.seed)
        changes: list[Change] = []
        for position in range(1, 1_001):
            table, key = chance.choice(self.tables), chance.randint(1, 12)
            deletes = chance.random() < 0.25
            tags = [chance.choice("abc") for _ in range(chance.randint(0, 3))]
            row = {"id": key, "name": f"{table} {key} at {position}", "amount": position / 4, "tags": tags}
            changes.append(Change(position, table, key, None if deletes else row))
        return changes

    def rows_at(self, table: str, position: int) -> dict[int, Row | None]:
        """Return the table's rows by key at a position; None for those deleted."""
        found: dict[int, Row | None] = {}
        for change in self.log[:position]:
            if change.table == table and (change.row is not None or change.key in found):
                found[change.key] = change.row
        return found


def _logged(changes: Sequence[Change]) -> Batch:
    positions = [change.position for change in changes]
    if changes[0].row is None:
        keys = pa.RecordBatch.from_pydict({"id": pa.array([change.key for change in changes], pa.int64())})
        return Batch(changes[0].table, keys, "delete", pa.array(positions, pa.int64()))
    return _batch(changes[0].table, [change.row or {} for change in changes], positions)


def _batch(table: str, rows: Sequence[Row], sequence: Sequence[int] | None = None) -> Batch:
    numbers = None if sequence is None else pa.array(sequence, pa.int64())
    return Batch(table, pa.RecordBatch.from_pylist(list(rows), _ROW), "upsert", numbers)


def _copy(state: Mapping[str, Any]) -> dict[str, Any]:
    return {**state, "done": dict(state["done"])}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


@dataclass
class TapLane:
    """A Singer tap: `users` in full each day, `events` by a bookmark that repeats its last row. STATE is the cursor.

    A TapLane of the same seed with a later `day` is the same app later.
    """

    seed: int = 0
    day: int = 1
    page: int = 3
    new_fields: ClassVar[Literal["add", "report"]] = "add"

    def check(self) -> None: ...

    def discover(self) -> Sequence[Stream]:
        return [
            Stream("users", _FIELDS, ("id",), "FULL_TABLE"),
            Stream("events", _FIELDS, ("id",), "INCREMENTAL", "id"),
        ]

    def lanes(self, wanted: Sequence[Selected]) -> Sequence[Lane]:
        return [Lane("tap", tuple(one.stream.name for one in wanted), "repeats")] if wanted else []

    def parts(self, lane: Lane, cursor: Json) -> Sequence[Part]:  # noqa: ARG002 - the protocol's
        return ()

    def committed(self, lane: Lane, cursor: Json) -> None: ...

    def close(self) -> None: ...

    def read(self, lane: Lane, cursor: Json) -> Iterator[Message]:
        state = self._state(cursor)
        if "users" in lane.streams:
            yield from self._users(state)
        if "events" in lane.streams:
            yield from self._events(state)
        yield Checkpoint(_state_of(state))

    def _state(self, cursor: Json) -> dict[str, dict[str, Any]]:
        if cursor is None:
            return {"users": {}, "events": {}}
        if not isinstance(cursor, dict) or set(cursor) != {"bookmarks"}:
            raise SettingsError(f"the tap cannot go on from {cursor!r}", hint="it is no Singer STATE; reset the stream")
        bookmarks = _mapping(cursor["bookmarks"])
        return {name: dict(_mapping(bookmarks.get(name))) for name in ("users", "events")}

    def _users(self, state: dict[str, dict[str, Any]]) -> Iterator[Message]:
        """A new version each day; an interrupted one goes on under its number."""
        mark = state["users"]
        if "id" not in mark:
            if mark.get("version") == 1_000 + self.day:
                return
            mark.update(version=1_000 + self.day, id=0)
        yield Version("users", mark["version"])
        rows = [row for row in self.users(mark["version"] - 1_000) if row["id"] > mark["id"]]
        for start in range(0, len(rows), self.page):
            page = rows[start : start + self.page]
            yield _batch("users", page)
            mark["id"] = page[-1]["id"]
            yield Checkpoint(_state_of(state))
        del mark["id"]
        yield Publish("users", mark["version"])
        yield Checkpoint(_state_of(state))

    def _events(self, state: dict[str, dict[str, Any]]) -> Iterator[Message]:
        mark = state["events"]
        rows = [row for row in self.events(self.day) if row["id"] >= mark.get("id", 0)]
        for start in range(0, len(rows), self.page):
            page = rows[start : start + self.page]
            yield _batch("events", page)
            mark["id"] = page[-1]["id"]
            yield Checkpoint(_state_of(state))

    # --- the app -------------------------------------------------------------------------------------------------

    def users(self, day: int) -> list[Row]:
        """Return the users of a day: some go, some come, all change."""
        chance = random.Random(f"{self.seed} users {day}")
        keys = sorted(chance.sample(range(1, 20), 10))
        return [
            {"id": key, "name": f"user {key}, day {day}", "amount": day / 2, "tags": ["u"] * (key % 3)} for key in keys
        ]

    def events(self, day: int) -> list[Row]:
        """Return all events up to a day, ten a day."""
        return [
            {"id": key, "name": f"event {key}", "amount": key / 8, "tags": [str(key)]} for key in range(1, 10 * day + 1)
        ]


def _state_of(state: Mapping[str, Mapping[str, Any]]) -> Json:
    return {"bookmarks": {name: dict(mark) for name, mark in state.items()}}
