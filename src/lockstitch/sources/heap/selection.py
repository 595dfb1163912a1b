"""Which files a run reads: `spec/source-heap.md` section 6, as a pure function of the manifests and the cursor."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from lockstitch.core.model import Json


@dataclass(frozen=True, slots=True)
class Delivery:
    """One table in one dump. `files` are keys within the bucket; `columns` is None where the manifest has none."""

    dump: int
    table: str
    files: tuple[str, ...] = ()
    incremental: bool = True
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file and the dump whose manifest names it."""

    dump: int
    key: str


@dataclass(frozen=True, slots=True)
class Position:
    """How far a table has been read: a file, or all of a dump where that had no file. tap-heap knows only `file`."""

    file: str | None
    dump: int | None = None

    @property
    def reached(self) -> int | None:
        """The newest dump of which anything has been read."""
        dumps = [dump for dump in (self.dump, _dump_of(self.file) if self.file else None) if dump is not None]
        return max(dumps, default=None)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A lane's cursor. While `filling`, `version` is not published yet and `published` is what readers see."""

    position: Position
    version: int
    filling: bool = False
    published: Position | None = None
    modified: str | None = None

    def moved(self, file: str, modified: str | None) -> Cursor:
        """Return the cursor after one more file."""
        return replace(self, position=Position(file), modified=modified)

    def complete(self) -> Cursor:
        """Return the cursor once the version is published."""
        return replace(self, filling=False, published=None)

    def to_json(self) -> Json:
        cursor: dict[str, Json] = {"file": self.position.file, "version": self.version}
        if self.position.dump is not None:
            cursor["dump"] = self.position.dump
        if self.modified is not None:
            cursor["modified"] = self.modified
        if self.filling:
            cursor["filling"] = True
            published = self.published
            cursor["published"] = None if published is None else {"file": published.file, "dump": published.dump}
        return cursor


def read_cursor(cursor: Json) -> Cursor | None:
    """Return what a cursor of ours or a bookmark of tap-heap says; None: begin anew, as the version is not known."""
    if not isinstance(cursor, dict) or not isinstance(cursor.get("version"), int):
        return None
    position = _position(cursor)
    if position.reached is None:
        return None
    published = cursor.get("published")
    return Cursor(
        position,
        cast("int", cursor["version"]),
        cursor.get("filling") is True,
        _position(published) if isinstance(published, dict) else None,
        cast("str | None", cursor.get("modified")),
    )


def _position(values: Mapping[str, Any]) -> Position:
    return Position(values.get("file"), values.get("dump"))


@dataclass(frozen=True, slots=True)
class Choice:
    """The files to read, in order. `newest` is the newest dump that counts; None where no dump has the table."""

    files: tuple[DataFile, ...]
    new_version: bool
    newest: int | None = None


def choose(deliveries: Sequence[Delivery], cursor: Cursor | None) -> Choice:
    """Return what is to be read after the cursor, and whether it begins a new version of the table."""
    full = [delivery.dump for delivery in deliveries if not delivery.incremental]
    reached = cursor.position.reached if cursor is not None else None
    minimum = max([*full] if reached is None else [*full, reached], default=0)
    chosen = [delivery for delivery in deliveries if delivery.dump >= minimum]
    files = _in_order(chosen)
    keys = [file.key for file in files]
    if cursor is not None and cursor.position.file in keys:
        files = files[keys.index(cursor.position.file) + 1 :]
    newest = max((delivery.dump for delivery in chosen), default=None)
    return Choice(tuple(files), cursor is None or minimum != reached, newest)


def held_at(deliveries: Sequence[Delivery], position: Position) -> tuple[DataFile, ...]:
    """Return the files whose rows make up the table at a position, in order: the last full dump and what followed."""
    reached = position.reached or 0
    known = [delivery for delivery in deliveries if delivery.dump <= reached]
    minimum = max((delivery.dump for delivery in known if not delivery.incremental), default=0)
    files = _in_order([delivery for delivery in known if delivery.dump >= minimum])
    if position.file is None or _dump_of(position.file) != reached:
        return tuple(files)
    last = _place(DataFile(reached, position.file))
    return tuple(file for file in files if _place(file) <= last)


def _in_order(deliveries: Sequence[Delivery]) -> list[DataFile]:
    # A file that two manifests name is read once.
    files = {key: DataFile(delivery.dump, key) for delivery in deliveries for key in delivery.files}
    return sorted(files.values(), key=_place)


def _place(file: DataFile) -> tuple[int, int, str]:
    """Order by numbers: the dump, then the file's first number. As text, dump 10 would come before dump 9."""
    dump = _dump_of(file.key)
    number = re.search(r"\d+", file.key.rpartition("/")[2])
    return (file.dump if dump is None else dump, int(number[0]) if number else 0, file.key)


def _dump_of(key: str) -> int | None:
    found = re.match(r"sync_(\d+)/", key)
    return int(found[1]) if found else None
