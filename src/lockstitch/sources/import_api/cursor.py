"""Where reading an inbox has come to: the position, and which version of each table is shown or being filled there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lockstitch.core.errors import SettingsError
from lockstitch.core.model import Json

#: What an entry's version means for its table at this point.
Move = Literal["same", "begin", "first", "late"]


@dataclass(slots=True)
class Cursor:
    """A point in the inbox. `shown` names the tables that came before it, with the number of their version, or 0.

    `filling` has the number of a later version that waits beside it until it is complete.
    """

    position: int = 0
    shown: dict[str, int] = field(default_factory=dict[str, int])
    filling: dict[str, int] = field(default_factory=dict[str, int])

    def move(self, table: str, version: int | None) -> Move:
        """Take note of rows of a version (None: of whichever is current), and say what they begin.

        "first": the table has nothing that its first version could stand beside. "late": a greater version came
        before, and replaces these rows.
        """
        shown = self.shown.get(table)
        if version is None:
            self.shown.setdefault(table, 0)
            return "same"
        if shown is None:
            self.shown[table] = version
            return "first"
        latest = self.filling.get(table, shown)
        if version > latest:
            self.filling[table] = version
            return "begin"
        return "same" if version == latest else "late"

    def publish(self, table: str, version: int) -> bool:
        """Take note that a version is complete; False where that changes nothing."""
        if self.filling.get(table) != version:
            return False
        self.shown[table] = self.filling.pop(table)
        return True

    def to_json(self) -> Json:
        filling: dict[str, Json] = {"filling": dict(self.filling)} if self.filling else {}
        return {"position": self.position, "shown": dict(self.shown), **filling}


def read_cursor(cursor: Json) -> Cursor:
    """Return a cursor as it was given to a Checkpoint. Raises SettingsError for any other."""
    if cursor is None:
        return Cursor()
    if isinstance(cursor, dict) and cursor.keys() <= {"position", "shown", "filling"}:
        position, shown, filling = cursor.get("position"), cursor.get("shown"), cursor.get("filling", {})
        if type(position) is int and _are_versions(shown) and _are_versions(filling):
            return Cursor(position, _versions(shown), _versions(filling))
    raise SettingsError(
        f"the inbox cannot be read from {cursor!r}", hint="it was given by another source; reset the source"
    )


def _are_versions(value: Any) -> bool:
    return isinstance(value, dict) and all(type(number) is int for number in value.values())


def _versions(value: Any) -> dict[str, int]:
    versions: Mapping[str, int] = value
    return dict(versions)
