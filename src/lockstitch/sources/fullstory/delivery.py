"""One file of events, delivered record by record: it can be fetched anew at any point and is gone on with exactly."""

from __future__ import annotations

import gzip
import hashlib
import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from lockstitch.core.errors import SourceDataError, TransientError
from lockstitch.core.model import Batch
from lockstitch.sources.fullstory.shapes import EVENTS
from lockstitch.toolkit.http.download import GZIP
from lockstitch.toolkit.json_stream import NotRecords, Record, records

if TYPE_CHECKING:
    from lockstitch.sources.fullstory.rows import EventRows

_log = logging.getLogger(__name__)

#: Of a file, so much is in memory at a time, and makes a batch.
PIECE_BYTES = 4 << 20
#: How often a file is fetched whose transfer was whole and whose content is not.
_TRIES = 3


@dataclass(slots=True)
class Delivery:
    """How much of a file is delivered: so many records, and the digest of their text.

    Wherever the file is read again, those records must be its first ones, byte by byte.
    """

    name: str
    done: int = 0
    digest: str = ""
    bytes: int = 0

    def read(
        self, fetch: Callable[[Path], bool], path: Path, rows: EventRows, sleep: Callable[[float], None]
    ) -> Generator[Batch, None, bool]:
        """Yield what is left of the file; return False, with nothing yielded, where there is none to be fetched.

        Raises SourceDataError where the file is another one than before.
        """
        for tried in range(1, _TRIES + 1):
            try:
                if not fetch(path):
                    if tried > 1:
                        raise TransientError(f"{self.name} was cut, and cannot be fetched again")
                    return False
                with _opened(path, self.name) as file:
                    yield from self._rest(records(file, self.name, piece=PIECE_BYTES), rows)
            except NotRecords as error:
                if tried == _TRIES:
                    raise
                _log.warning("%s; it is fetched again", error.message)
                sleep(2.0**tried)
            else:
                break
            finally:
                path.unlink(missing_ok=True)
        return True

    def _rest(self, pieces: Iterator[list[Record]], rows: EventRows) -> Iterator[Batch]:
        known = self.done
        text = _Digest()
        for piece in pieces:
            before, new = piece[: max(known - text.count, 0)], piece[max(known - text.count, 0) :]
            text.add(before)
            if new:
                self._refuse_another(known, text)
                batch = rows.batch(new)
                self.bytes += text.add(new)
                self.done, self.digest = text.count, text.digest()
                yield Batch(EVENTS, batch)
        self._refuse_another(known, text)

    def _refuse_another(self, known: int, text: _Digest) -> None:
        if text.count < known or (text.count == known and known and text.digest() != self.digest):
            raise SourceDataError(
                f"{self.name} is no longer what it was when its first {known} events were delivered",
                hint="FullStory has written it anew; reset events to load it without gaps and doubles",
            )


class _Digest:
    """The digest of records' text, however they come in pieces."""

    def __init__(self) -> None:
        self.count = 0
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, found: list[Record]) -> int:
        """Take records; return how many bytes they have."""
        text = b"\n".join([*found, b""])
        self._hash.update(text)
        self.count += len(found)
        return len(text)

    def digest(self) -> str:
        return self._hash.hexdigest()


@contextmanager
def _opened(path: Path, name: str) -> Generator[BinaryIO]:
    """Open a file, unpacked where it is gzip, once or twice: that is told by its first bytes alone."""
    with path.open("rb") as file:
        if not file.peek(1):
            raise NotRecords(f"{name} has no byte", hint="run again later")
        opened: BinaryIO = file
        for _ in range(2):
            if not _begins_with_gzip(opened):
                break
            opened = cast("BinaryIO", gzip.GzipFile(fileobj=opened, mode="rb"))
        try:
            yield opened
        except (EOFError, gzip.BadGzipFile) as error:
            raise NotRecords(f"{name} is gzip that is damaged: {error}", hint="run again later") from error


def _begins_with_gzip(file: BinaryIO) -> bool:
    begins = file.read(len(GZIP)) == GZIP
    file.seek(0)
    return begins
