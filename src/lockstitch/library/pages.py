"""A page of a program's own stream, whatever it is, to Arrow."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import msgspec
import pyarrow as pa

from lockstitch.core.errors import LockstitchError, SourceDataError
from lockstitch.toolkit.ahead import made_ahead
from lockstitch.toolkit.json_rows import JsonRows, records_of
from lockstitch.toolkit.values import UnknownValue, batch_of

#: Rows that come one by one wait until there are so many of them, or so many bytes.
_ROWS = 10_000
_BYTES = 16 * 2**20
#: So much JSON makes a batch.
_JSON_BYTES = 6 * 2**20
#: So many rows of unknown size make the first batch.
_FIRST = 100


#: Rows, or what makes rows of JSON.
_Piece = pa.RecordBatch | Callable[[], pa.RecordBatch]


class Pages:
    """Turns what a stream's function gives into batches of bounded size, in its order."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._waiting: list[Mapping[str, Any]] = []
        self._enough = _FIRST
        self._json = JsonRows()
        #: JSON that waits: arrays of records, or records, of which only one kind can.
        self._arrays: list[bytes] = []
        self._records: list[bytes | msgspec.Raw] = []
        self._size = 0

    def of(self, given: Any) -> Generator[pa.RecordBatch]:
        """Yield the rows of all pages, or of the only one. Closes a generator, however this ends.

        JSON becomes Arrow in a thread, while the function asks for the next pages in the caller's.
        """
        yield from made_ahead(self._pieces(given), self._rows)

    def _rows(self, piece: _Piece) -> pa.RecordBatch:
        if isinstance(piece, pa.RecordBatch):
            return piece
        with self._named():
            return piece()

    def _pieces(self, given: Any) -> Generator[_Piece]:
        if not isinstance(given, Iterator) or hasattr(given, "__arrow_c_stream__"):
            yield from self._page(given)
        else:
            pages = cast("Iterator[Any]", given)
            try:
                for page in pages:
                    yield from self._page(page)
            finally:
                if hasattr(pages, "close"):
                    cast("Any", pages).close()
        yield from self._flush()

    def _page(self, page: Any) -> Iterator[_Piece]:
        if page is None:
            return
        if isinstance(page, bytes | bytearray | memoryview | str):
            yield from self._of_json(page.encode() if isinstance(page, str) else bytes(page))
        elif isinstance(page, Mapping):
            yield from self._flush_json()
            self._waiting.append(cast("Mapping[str, Any]", page))
            if len(self._waiting) >= self._enough:
                yield from self._flush()
        elif isinstance(page, list | tuple):
            for each in cast("Sequence[Any]", page):
                yield from self._page(each)
        else:
            yield from self._flush()
            yield from self._whole(page)

    def _flush(self) -> Iterator[_Piece]:
        """Yield all that waits, of which only one kind can."""
        yield from self._flush_rows()
        yield from self._flush_json()

    def _flush_rows(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows that wait; their size tells how many are to wait the next time."""
        if not self._waiting:
            return
        rows, self._waiting = self._waiting, []
        try:
            batch = batch_of(rows, lambda _: True)
        except UnknownValue as error:
            raise SourceDataError(
                f"stream {self._stream}, field {error.place}: {error}",
                hint="turn it into text, a number, a date, bytes, a list or a dict first",
            ) from error
        self._enough = max(1, min(_ROWS, _BYTES * len(rows) // max(batch.nbytes, 1)))
        yield batch

    def _whole(self, page: Any) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a page that is more than one row by itself."""
        try:
            if isinstance(page, pa.RecordBatch):
                batches = iter([page])
            elif hasattr(page, "__arrow_c_stream__"):
                batches = iter(pa.RecordBatchReader.from_stream(page))
            else:
                batches = iter([pa.record_batch(page)])
        except (TypeError, ValueError) as error:  # a Series, say, is Arrow and has no columns
            raise SourceDataError(
                f"stream {self._stream} gave a page of the Python type {_type_name(page)}",
                hint="give dicts, lists of them, JSON as bytes, or Arrow: a Table, a RecordBatch, a DataFrame",
            ) from error
        for batch in batches:
            yield from self._in_slices(batch)

    def _in_slices(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        names: list[str] = batch.schema.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SourceDataError(
                f"stream {self._stream}: a page has the column {twice[0]!r} twice", hint="give each column its own name"
            )
        rows = max(1, min(2**17, _BYTES * batch.num_rows // max(batch.nbytes, 1)))
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)

    def _of_json(self, page: bytes) -> Iterator[_Piece]:
        """Take a JSON page: one object, an array of objects, or an object a line. Small pages wait for others."""
        yield from self._flush_rows()
        text = page.strip()
        if text.startswith(b"[") and len(text) < 2 * _JSON_BYTES:
            if self._records:
                yield from self._flush_json()
            self._arrays.append(text)
        else:
            if self._arrays:
                yield from self._flush_json()
            with self._named():
                self._records += _records(text)
        self._size += len(text)
        if self._size >= _JSON_BYTES:
            yield from self._flush_json()

    def _flush_json(self) -> Iterator[_Piece]:
        """Yield the rows of the JSON that waits. One page may hold more than is good for a batch."""
        if self._arrays:
            yield partial(self._json.of_arrays, self._arrays)
        step = max(1, len(self._records) * _JSON_BYTES // max(self._size, 1))
        for start in range(0, len(self._records), step):
            yield partial(self._json.batch, self._records[start : start + step])
        self._arrays, self._records, self._size = [], [], 0

    @contextmanager
    def _named(self) -> Generator[None]:
        """Say in errors which stream's page it was."""
        try:
            yield
        except LockstitchError as error:
            raise SourceDataError(f"stream {self._stream}: {error.message}", hint=error.hint) from error.__cause__


def _records(text: bytes) -> Sequence[bytes | msgspec.Raw]:
    if text.startswith(b"["):
        return records_of(text)
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except msgspec.DecodeError:
        return [line for line in text.splitlines() if line.strip()]
    return [text]


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
