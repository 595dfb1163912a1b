"""The server API's lists, replicated in full: a new version of the table, or nothing where it is as it was."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from lockstitch.core.errors import SettingsError, SourceDataError
from lockstitch.core.model import Batch, Checkpoint, Json, Message, Publish, Version
from lockstitch.sources.fullstory.api import Apis
from lockstitch.sources.fullstory.choice import Choice
from lockstitch.sources.fullstory.cursor import TableCursor, as_json, read_cursor
from lockstitch.sources.fullstory.shapes import Table
from lockstitch.toolkit.http.paging import by_token

_log = logging.getLogger(__name__)

#: So much of a table waits in memory until it is known whether anything in it has changed.
HELD_BYTES = 16 << 20

_GONE = frozenset({404, 410})


class _Id(msgspec.Struct):
    id: str | int


@dataclass(frozen=True, slots=True)
class _Page:
    """Records, the digest of all up to here, and the token of the page that follows."""

    records: Sequence[msgspec.Raw]
    digest: str
    token: str | None


class TableReader:
    """Reads one list."""

    def __init__(self, apis: Apis, stream: str, table: Table, wants: Callable[[str], bool]) -> None:
        self._apis = apis
        self._stream = stream
        self._table = table
        self._choice = Choice(stream, table.fields, wants)

    def read(self, cursor: Json) -> Iterator[Message]:
        """Yield the version that is under way to its end, or else a new one if the list has changed."""
        before = read_cursor(cursor, TableCursor)
        now = time.time_ns() // 1_000_000
        if before is None:
            yield from self._version(now, self._pages(None, ""))
            return
        resumed = self._resumed(before) if before.token is not None else None
        if resumed is not None:
            yield from self._version(before.version, resumed)
            return
        pages = self._pages(None, "")
        held = _held(pages)
        is_unchanged = before.token is None and held[-1].token is None and held[-1].digest == before.digest
        if is_unchanged:
            yield Checkpoint(cursor)
        else:
            yield from self._version(max(now, before.version + 1), _chained(held, pages))

    def _resumed(self, before: TableCursor) -> Iterator[_Page] | None:
        """Return the pages from the cursor's token on; None where FullStory does not know it any more."""
        pages = self._pages(before.token, before.digest)
        try:
            first = next(pages)
        except (SettingsError, SourceDataError) as error:
            _log.info("%s is read from its beginning: %s", self._stream, error.message)
            return None
        return _chained([first], pages)

    def _version(self, number: int, pages: Iterator[_Page]) -> Iterator[Message]:
        from lockstitch.toolkit.json_rows import JsonRows

        rows_of = JsonRows(self._table.fields).batch
        yield Version(self._stream, number)
        for page in pages:
            if page.records:
                yield Batch(self._stream, self._choice.of(rows_of(page.records)))
            if page.token is None:
                yield Publish(self._stream, number)
            yield Checkpoint(as_json(TableCursor(number, page.digest, page.token)))
        self._choice.warn_of_unchosen()

    def _pages(self, token: str | None, digest: str) -> Iterator[_Page]:
        table = self._table
        for listed, following in by_token(lambda token: self._apis.page(table.path, table.records, token), token):
            records = [*self._each(listed)] if table.each else listed
            text = b"\n".join([digest.encode(), *records])
            digest = hashlib.blake2b(text, digest_size=16).hexdigest()
            yield _Page(records, digest, following)

    def _each(self, listed: Sequence[msgspec.Raw]) -> Iterator[msgspec.Raw]:
        """Ask for each record by its id; one that was deleted in between is left out."""
        for record in listed:
            number = msgspec.json.decode(record, type=_Id).id
            found = self._apis.object(f"{self._table.path}/{quote(str(number), safe='')}", accept=_GONE)
            if found is not None:
                yield found


def _held(pages: Iterator[_Page]) -> list[_Page]:
    """Take pages up to the last one, or as many as may be held."""
    held: list[_Page] = []
    size = 0
    for page in pages:
        held.append(page)
        size += sum(len(bytes(record)) for record in page.records)
        if size > HELD_BYTES:
            break
    return held


def _chained(first: Sequence[_Page], rest: Iterator[_Page]) -> Iterator[_Page]:
    yield from first
    yield from rest
