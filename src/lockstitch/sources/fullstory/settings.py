"""The account's settings and their versions: what has changed since the bookmark, each row once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from lockstitch.core.errors import SourceDataError
from lockstitch.core.model import Batch, Checkpoint, Json, Message
from lockstitch.sources.fullstory.api import Apis
from lockstitch.sources.fullstory.choice import Choice
from lockstitch.sources.fullstory.cursor import SettingCursor, as_json, read_cursor, stamp
from lockstitch.sources.fullstory.shapes import KEY_OF_SETTINGS, Setting
from lockstitch.toolkit.http.paging import by_token
from lockstitch.toolkit.moments import read_moment

_NEVER = datetime(1, 1, 1, tzinfo=UTC)


class _Record(msgspec.Struct, rename="camel"):
    metadata: dict[str, msgspec.Raw] | None = None
    last_updated: str | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    """A setting as it stood from `changed` on; None where FullStory does not say."""

    text: bytes
    changed: datetime | None

    @property
    def digest(self) -> str:
        return hashlib.blake2b(self.text, digest_size=8).hexdigest()


class SettingReader:
    """Reads one setting, or all its versions, from `start` on."""

    def __init__(
        self, apis: Apis, stream: str, setting: Setting, wants: Callable[[str], bool], start: datetime
    ) -> None:
        self._apis = apis
        self._stream = stream
        self._setting = setting
        self._choice = Choice(stream, setting.fields, wants)
        self._start = start

    def read(self, cursor: Json) -> Iterator[Message]:
        """Yield the rows that changed at the bookmark or later and were not delivered with it."""
        before = read_cursor(cursor, SettingCursor) or SettingCursor()
        bookmark = read_moment(before.last_updated) if before.last_updated is not None else self._start
        rows = sorted(self._rows(stamp(bookmark)), key=lambda row: row.changed or _NEVER)
        # Inclusive, as another change can have come at the very moment of the last one.
        at_hand = [row for row in rows if row.changed is None or row.changed >= bookmark]
        new = [row for row in at_hand if row.digest not in before.seen]
        if not new:
            yield Checkpoint(cursor)
            return
        from lockstitch.toolkit.json_rows import JsonRows

        yield Batch(self._stream, self._choice.of(JsonRows(self._setting.fields).batch([row.text for row in new])))
        self._choice.warn_of_unchosen()
        latest = max((row.changed for row in at_hand if row.changed is not None), default=None)
        seen = [row.digest for row in at_hand if row.changed in (None, latest)]
        reached = before.last_updated if latest is None else stamp(latest)
        yield Checkpoint(as_json(SettingCursor(reached, list(dict.fromkeys(seen)))))

    def _rows(self, since: str) -> Iterator[_Row]:
        for record in self._records(since):
            row = self._row(bytes(record).strip())
            if row is not None:
                yield row

    def _records(self, since: str) -> Iterator[msgspec.Raw]:
        if not self._setting.has_versions:
            found = self._apis.object(self._setting.path, updated_since=since)
            yield from [] if found is None else [found]
            return
        path = self._setting.path
        for page, _ in by_token(lambda token: self._apis.page(path, "versions", token, updated_since=since)):
            yield from page

    def _row(self, text: bytes) -> _Row | None:
        """Put the key's fields, which are in the metadata, at the top too. None where nothing is set."""
        try:
            metadata = msgspec.json.decode(text, type=_Record).metadata or {}
            # What the record itself has under these names comes later, and wins.
            key = {name: metadata[name] for name in KEY_OF_SETTINGS if name in metadata}
            head, body = msgspec.json.encode(key)[1:-1], text[1:-1].strip()
            if not body:
                return None
            text = b"{%b}" % b",".join(part for part in (head, body) if part)
            changed = msgspec.json.decode(text, type=_Record).last_updated
            return _Row(text, read_moment(changed) if changed else None)
        except ValueError as error:  # msgspec's own are such too
            raise SourceDataError(
                f"{self._stream}: FullStory's answer has a record that cannot be read: {error}",
                hint=f"look at what GET {self._setting.path} answers; nothing of it was loaded",
            ) from error
