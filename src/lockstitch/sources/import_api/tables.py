"""Remembers the tables that ever came into an inbox, with their keys: they stay streams once their rows are loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from lockstitch.core.errors import SourceDataError
from lockstitch.toolkit.inbox.reader import InboxReader
from lockstitch.toolkit.inbox.records import Waiting

Key = tuple[str, ...]


class Known(msgspec.Struct, frozen=True):
    """A table's key as it is from a position of the inbox on."""

    key: Key
    since: int = 0


class Tables:
    """The tables of an inbox."""

    def __init__(self, inbox: InboxReader) -> None:
        self._inbox = inbox
        self._known = self._load()
        self._saved = dict(self._known)

    def _load(self) -> dict[str, Known]:
        saved = self._inbox.load_tables()
        try:
            return msgspec.json.decode(saved, type=dict[str, Known]) if saved is not None else {}
        except msgspec.DecodeError as error:
            raise SourceDataError(
                f"what {self._inbox.place} keeps of its tables cannot be read: {error}",
                hint="remove it: tables become known again when their next records come",
            ) from error

    @property
    def keys(self) -> Mapping[str, Key]:
        """Each table's key, in the order of their names."""
        return {name: self._known[name].key for name in sorted(self._known)}

    def look(self, unread: Iterable[tuple[int, list[Waiting]]]) -> None:
        """Take note of entries that are not loaded yet, with their positions; a table's first one tells its key."""
        settled: set[str] = set()
        for position, entry in unread:
            for records in entry:
                known = self._known.get(records.table)
                is_news = known is None or position > known.since
                if records.key is not None and is_news and records.table not in settled:
                    settled.add(records.table)
                    self._known[records.table] = Known(records.key, known.since if known is not None else 0)
        self._save()

    def change(self, table: str, key: Key, position: int) -> None:
        """From here on the table has another key."""
        self._known[table] = Known(key, position)
        self._save()

    def _save(self) -> None:
        if self._known != self._saved:
            self._inbox.save_tables(msgspec.json.encode(self._known))
            self._saved = dict(self._known)
