"""The data files of the dumps: found in the bucket before any is read, then fetched and decoded ahead, in order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lockstitch.core.errors import SourceDataError, TransientError
from lockstitch.core.model import Remaining
from lockstitch.sources.heap.errors import explained
from lockstitch.sources.heap.selection import DataFile
from lockstitch.toolkit.objects import ObjectInfo, ObjectStore, StoreError, at_once

if TYPE_CHECKING:
    import pyarrow as pa

    from lockstitch.toolkit.ahead import Work

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A file as the bucket has it; `info` is None for a missing one that is to be skipped."""

    file: DataFile
    info: ObjectInfo | None


def remaining(found: Sequence[Found]) -> Remaining:
    """Return how much is left to read."""
    return Remaining(len(found), sum(one.info.size for one in found if one.info is not None))


class DataFiles:
    """Finds and reads data files. Each top folder (a dump) is listed once. `change` is made to every batch."""

    def __init__(
        self,
        store: ObjectStore,
        bucket: str,
        downloads: Callable[[], Path],
        *,
        skip_missing: bool = False,
        change: Callable[[pa.RecordBatch], pa.RecordBatch] | None = None,
    ) -> None:
        self._store = store
        self._bucket = bucket
        self._downloads = downloads
        self._skip_missing = skip_missing
        self._change = change
        self._known: dict[str, dict[str, ObjectInfo]] = {}

    def find(self, files: Sequence[DataFile]) -> Sequence[Found]:
        """Look up all files. Raises SourceDataError if one is missing, unless those are to be skipped."""
        new = sorted({_folder(file.key) for file in files} - self._known.keys())
        with explained(self._bucket):
            self._known.update(zip(new, at_once(self._store, self._listing, new), strict=True))
        found = [Found(file, self._known[_folder(file.key)].get(file.key)) for file in files]
        for one in found:
            if one.info is None and not self._skip_missing:
                raise _missing(one.file)
            if one.info is None:
                _log.warning("%s; it is skipped", _missing(one.file).message)
        return found

    def _listing(self, folder: str) -> dict[str, ObjectInfo]:
        return {info.key: info for info in self._store.list(folder)}

    def read(
        self, found: Sequence[Found], wants: Callable[[str], bool]
    ) -> Generator[tuple[Found, Iterator[pa.RecordBatch]]]:
        """Yield each file with its rows, in order; while they are consumed, the next file is fetched and decoded."""
        if not found:
            return
        from lockstitch.toolkit.ahead import in_order

        works = (self._work(one.file, one.info, wants) for one in found if one.info is not None)
        ahead = in_order(works, weight=lambda rows: rows.nbytes)
        try:
            for one in found:
                yield one, next(ahead) if one.info is not None else iter(())
        finally:
            ahead.close()

    def _work(self, file: DataFile, info: ObjectInfo, wants: Callable[[str], bool]) -> Work[pa.RecordBatch]:
        from lockstitch.toolkit.ahead import Work

        return Work(f"{self._bucket}/{file.key}", lambda: self._open(file, info, wants))

    def _open(self, file: DataFile, info: ObjectInfo, wants: Callable[[str], bool]) -> Iterator[pa.RecordBatch]:
        """Fetch the whole file and look it over, so that nothing of a cut one is delivered; return its rows."""
        from lockstitch.toolkit.avro import decode
        from lockstitch.toolkit.avro_container import survey

        name = f"{self._bucket}/{file.key}"
        with ExitStack() as held, explained(self._bucket, file.key), _disk_watched(name):
            try:
                path = held.enter_context(self._store.local(info))
            except StoreError as error:
                raise _missing(file) if error.code == "NoSuchKey" else error from error
            rows = decode(path, survey(path, name), name=name, wants=wants, spool=self._downloads)
            rows = rows if self._change is None else map(self._change, rows)
            return _until_done(rows, held.pop_all(), name)


def _until_done(rows: Iterator[pa.RecordBatch], held: ExitStack, name: str) -> Iterator[pa.RecordBatch]:
    with held, _disk_watched(name):
        yield from rows


@contextmanager
def _disk_watched(name: str) -> Generator[None]:
    """Turn a full or failing disk into an error that may pass."""
    try:
        yield
    except OSError as error:
        raise TransientError(
            f"{name} cannot be kept on disk while it is read: {error.strerror} ({error.filename})",
            hint="free some space below the home folder, or set LOCKSTITCH_HOME to a folder on a larger disk",
        ) from error


def _folder(key: str) -> str:
    return key.partition("/")[0] + "/"


def _missing(file: DataFile) -> SourceDataError:
    return SourceDataError(
        f"Heap manifest for dump {file.dump} names {file.key}, which is not in the bucket",
        hint="put the file back, or have Heap resync the table; skip_missing_files = true goes on without its rows",
    )
