"""Object stores: a folder on disk and (in `s3.py`) a bucket, behind one small seam. Light: imports no driver."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

S = TypeVar("S")
T = TypeVar("T")

#: Codes of errors that may go away by themselves. All 5xx and 429 answers without a code of their own belong here too.
TRANSIENT = frozenset(
    {
        "Connection",
        "ExpiredToken",
        "InternalError",
        "InternalFailure",
        "OperationAborted",
        "RequestExpired",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


class StoreError(Exception):
    """What a store answered, by S3's code for it. `action` is the right that was used, such as s3:GetObject."""

    def __init__(self, code: str, action: str, detail: str = "") -> None:
        super().__init__(f"{action}: {code}" + (f": {detail}" if detail else ""))
        self.code = code
        self.action = action
        self.detail = detail

    @property
    def transient(self) -> bool:
        return self.code in TRANSIENT or self.code == "HTTP 429" or self.code.startswith("HTTP 5")


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object as a listing shows it. `etag` changes with the content."""

    key: str
    size: int
    etag: str
    modified: datetime


class ObjectStore(Protocol):
    """Objects by key, read only. Raises StoreError; a missing object has the code NoSuchKey."""

    #: How many objects are best read at once.
    parallel: ClassVar[int]

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects whose keys begin with `prefix`, which ends with a slash, in no particular order."""
        ...

    def read(self, key: str, size: int | None = None) -> bytes:
        """Return a small object, or its first `size` bytes."""
        ...

    def local(self, info: ObjectInfo) -> AbstractContextManager[Path]:
        """Give the object as a whole local file, for as long as the context lasts."""
        ...


def at_once(store: ObjectStore, call: Callable[[S], T], items: Sequence[S]) -> tuple[T, ...]:
    """Call for each item, as many at once as the store likes; the results come in the items' order."""
    if store.parallel == 1 or len(items) < 2:
        return tuple(map(call, items))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(store.parallel) as threads:
        return tuple(threads.map(call, items))


#: The action of a folder on disk, where a bucket has rights.
READING = "reading"


class Folder:
    """A folder that stands for a bucket."""

    parallel: ClassVar[int] = 1

    def __init__(self, root: Path) -> None:
        self.root = root

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        if not self.root.is_dir():
            raise StoreError("NoSuchBucket", READING)
        with _told():
            yield from self._below(self._path(prefix), prefix)

    def _below(self, folder: Path, prefix: str) -> Iterator[ObjectInfo]:
        try:
            entries = list(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            if entry.is_dir():
                yield from self._below(Path(entry.path), f"{prefix}{entry.name}/")
                continue
            try:
                stat = entry.stat()
            except FileNotFoundError:  # gone since, or a link to nowhere
                continue
            modified = datetime.fromtimestamp(stat.st_mtime, UTC)
            yield ObjectInfo(prefix + entry.name, stat.st_size, f"{stat.st_size}-{stat.st_mtime_ns}", modified)

    def read(self, key: str, size: int | None = None) -> bytes:
        with _told(), self._path(key).open("rb") as file:
            return file.read(size)

    @contextmanager
    def local(self, info: ObjectInfo) -> Generator[Path]:
        with _told():
            path = self._path(info.key)
            path.open("rb").close()
        yield path

    def _path(self, key: str) -> Path:
        if ".." in key.split("/") or key.startswith("/"):
            raise StoreError("NoSuchKey", READING, f"{key} leads out of the folder")
        return self.root / key


@contextmanager
def _told() -> Generator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise StoreError("NoSuchKey", READING, str(error.filename)) from error
    except PermissionError as error:
        raise StoreError("AccessDenied", READING, f"{error.filename}: {error.strerror}") from error
