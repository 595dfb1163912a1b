"""The manifests of a bucket: listed, parsed leniently, kept by key and ETag (`spec/source-heap.md` sections 3, 4)."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from lockstitch.core.errors import SourceDataError
from lockstitch.sources.heap.selection import Delivery
from lockstitch.toolkit.objects import ObjectInfo, ObjectStore, at_once

PREFIX = "manifests/"
#: Seen in real buckets; holds no rows that anybody asked for.
SKIPPED_TABLES = frozenset({"_event_metadata"})

_log = logging.getLogger(__name__)


class _Table(msgspec.Struct):
    name: str
    columns: list[str] | None = None
    files: list[str] | None = None
    incremental: bool | None = None


class _Body(msgspec.Struct):
    tables: list[_Table]
    dump_id: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """One finished dump."""

    key: str
    dump: int
    modified: datetime
    deliveries: tuple[Delivery, ...]


class Manifests:
    """The bucket's manifests. A manifest is read once, however often they are listed."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._parsed: dict[tuple[str, str], Manifest] = {}

    def load(self) -> Sequence[Manifest]:
        """Return one manifest for each dump, oldest dump first."""
        found = [info for info in self._store.list(PREFIX) if _is_manifest(info)]
        new = [info for info in found if (info.key, info.etag) not in self._parsed]
        for info, data in zip(new, at_once(self._store, lambda info: self._store.read(info.key), new), strict=True):
            self._parsed[info.key, info.etag] = parse(info, data)
        return _one_for_each_dump([self._parsed[info.key, info.etag] for info in found])


def _is_manifest(info: ObjectInfo) -> bool:
    return info.key.endswith(".json") and info.size > 0


def parse(info: ObjectInfo, data: bytes) -> Manifest:
    """Return what a manifest says. Raises SourceDataError, with the key, for one that nobody can read."""
    try:
        body = msgspec.json.decode(data, type=_Body, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SourceDataError(
            f"the manifest {info.key} cannot be read: {error}",
            hint="without it nobody knows which files its dump has: put Heap's own manifest back, or remove this one",
        ) from None
    dump = body.dump_id if body.dump_id is not None else _dump_in_name(info.key)
    deliveries = [_delivery(dump, table) for table in body.tables if table.name not in SKIPPED_TABLES]
    return Manifest(info.key, dump, info.modified, tuple(deliveries))


def _delivery(dump: int, table: _Table) -> Delivery:
    files = tuple(re.sub(r"^\w+://[^/]*/", "", uri) for uri in table.files or ())
    columns = tuple(table.columns) if table.columns is not None else None
    return Delivery(dump, table.name, files, table.incremental is not False, columns)


def _dump_in_name(key: str) -> int:
    numbers = re.findall(r"\d+", key.rpartition("/")[2])
    if not numbers:
        raise SourceDataError(
            f"the manifest {key} has no dump_id", hint="put Heap's own manifest back, or remove this one"
        )
    return int(numbers[-1])


def _one_for_each_dump(manifests: Sequence[Manifest]) -> Sequence[Manifest]:
    newest: dict[int, Manifest] = {}
    for manifest in sorted(manifests, key=lambda manifest: (manifest.modified, manifest.key)):
        other = newest.get(manifest.dump)
        if other is not None:
            _log.warning("%s and %s are both of dump %d; the newer counts", other.key, manifest.key, manifest.dump)
        newest[manifest.dump] = manifest
    return [newest[dump] for dump in sorted(newest)]
