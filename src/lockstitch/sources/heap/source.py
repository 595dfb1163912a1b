"""Reads Heap's dumps out of a bucket: one lane a table, each file whole, in the order of the dumps."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from lockstitch.core.errors import SettingsError
from lockstitch.core.model import Batch, Checkpoint, Json, Lane, Message, Part, Publish, Selected, Stream, Version
from lockstitch.sources.heap.access import bucket_name, open_bucket
from lockstitch.sources.heap.discovery import stream_of
from lockstitch.sources.heap.errors import explained
from lockstitch.sources.heap.files import DataFiles, remaining
from lockstitch.sources.heap.manifest import PREFIX, Manifests
from lockstitch.sources.heap.selection import Choice, Cursor, Delivery, Position, choose, held_at, read_cursor
from lockstitch.sources.heap.spec import Properties
from lockstitch.sources.heap.times import with_time_fields, with_timestamps
from lockstitch.toolkit.downloads import Downloads
from lockstitch.toolkit.objects import ObjectStore, at_once

_log = logging.getLogger(__name__)


class HeapSource:
    """Heap Connect's bucket. Its listing is taken once; what arrives later is the next run's."""

    new_fields: ClassVar[Literal["add", "report"]] = "report"

    def __init__(self, properties: Properties, spool: Path) -> None:
        self._properties = properties
        self._bucket = bucket_name(properties)
        self._downloads = Downloads(spool)
        self._opened: ObjectStore | None = None
        self._tables: dict[str, list[Delivery]] | None = None
        self._files: DataFiles | None = None
        self._wanted: dict[str, Selected] = {}

    def check(self) -> None:
        if not self._deliveries():
            raise SettingsError(
                f"No streams found: bucket {self._bucket} has no manifest of a finished dump below {PREFIX}",
                hint="correct the bucket's name, or wait for the first dump: Heap writes one every night",
            )

    def discover(self) -> Sequence[Stream]:
        deliveries = self._deliveries()
        if not deliveries:
            _log.warning("bucket %s has no manifest below %s", self._bucket, PREFIX)
            return ()
        store = self._store()
        with explained(self._bucket):
            streams = at_once(store, lambda name: stream_of(name, deliveries[name], store), sorted(deliveries))
        return tuple(map(with_time_fields, streams)) if self._properties.parse_timestamps else streams

    def lanes(self, wanted: Sequence[Selected]) -> Sequence[Lane]:
        deliveries = self._deliveries()
        for selected in wanted:
            if selected.stream.name not in deliveries:
                _log.warning("%s is selected, but no manifest in the bucket names it", selected.stream.name)
        self._wanted = {selected.stream.name: selected for selected in wanted}
        return tuple(Lane(name, (name,)) for name in self._wanted if name in deliveries)

    def parts(self, lane: Lane, cursor: Json) -> Sequence[Part]:
        del lane, cursor
        return ()

    def read(self, lane: Lane, cursor: Json) -> Iterator[Message]:
        table = lane.name
        before = read_cursor(cursor)
        choice = choose(self._deliveries().get(table, ()), before)
        filling = choice.new_version or (before is not None and before.filling)
        if choice.newest is None or not (choice.files or filling):
            yield Checkpoint(cursor)
            return
        found = self._data_files().find(choice.files)
        yield Checkpoint(cursor, remaining(found))
        after = _first(before, choice)
        if filling:
            yield Version(table, after.version)
        for done, (one, batches) in enumerate(self._data_files().read(found, self._wants(table)), start=1):
            for rows in batches:
                yield Batch(table, rows)
            after = after.moved(one.file.key, one.info.modified.isoformat() if one.info is not None else None)
            if done < len(found) or not filling:
                yield Checkpoint(after.to_json(), remaining(found[done:]))
        if filling:
            yield Publish(table, after.version)
            yield Checkpoint(after.complete().to_json(), remaining(()))

    def fold(self, lane: Lane, cursor: Json) -> Iterator[Message]:
        """Yield what readers see at the cursor: the version being filled is not yet among it."""
        at = read_cursor(cursor)
        position = at and (at.published if at.filling else at.position)
        if at is not None and position is not None:
            found = self._data_files().find(held_at(self._deliveries().get(lane.name, ()), position))
            yield Version(lane.name, at.version)
            for _, batches in self._data_files().read(found, self._wants(lane.name)):
                for rows in batches:
                    yield Batch(lane.name, rows)
            yield Publish(lane.name, at.version)
        yield Checkpoint(cursor)

    def cursors(self, state: Mapping[str, Any]) -> Mapping[str, Json]:
        """Take over tap-heap's state, with the versions in its bookmarks or beside them."""
        bookmarks: Mapping[str, Any] = state.get("bookmarks") or {}
        beside: Mapping[str, Any] = state.get("activate_versions") or bookmarks.get("activate_versions") or {}
        cursors: dict[str, Json] = {}
        for table, bookmark in bookmarks.items():
            if not isinstance(bookmark, Mapping) or not isinstance(bookmark.get("file"), str):
                continue
            version = bookmark.get("version", beside.get(table))
            version = version.get("version") if isinstance(version, Mapping) else version
            cursors[table] = {"file": bookmark["file"]} | ({"version": version} if version is not None else {})
        return cursors

    def versions(self, lane: Lane, cursor: Json) -> Mapping[str, int]:
        at = read_cursor(cursor)
        return {lane.name: at.version} if at is not None and not at.filling else {}

    def committed(self, lane: Lane, cursor: Json) -> None:
        del lane, cursor  # the bucket is Heap's; nothing is ever written to it

    def close(self) -> None:
        self._downloads.close()

    def _store(self) -> ObjectStore:
        if self._opened is None:
            with explained(self._bucket):
                self._opened = open_bucket(self._properties, self._downloads.folder)
        return self._opened

    def _deliveries(self) -> Mapping[str, Sequence[Delivery]]:
        """Return each table's dumps, oldest first."""
        if self._tables is None:
            tables: dict[str, list[Delivery]] = {}
            with explained(self._bucket):
                for manifest in Manifests(self._store()).load():
                    for delivery in manifest.deliveries:
                        tables.setdefault(delivery.table, []).append(delivery)
            self._tables = tables
        return self._tables

    def _data_files(self) -> DataFiles:
        if self._files is None:
            self._files = DataFiles(
                self._store(),
                self._bucket,
                self._downloads.folder,
                skip_missing=self._properties.skip_missing_files,
                change=with_timestamps if self._properties.parse_timestamps else None,
            )
        return self._files

    def _wants(self, table: str) -> Callable[[str], bool]:
        selected = self._wanted.get(table)
        return selected.wants if selected is not None else lambda _: True


def _first(before: Cursor | None, choice: Choice) -> Cursor:
    """Return the cursor that the first file moves: the one before, or that of a new version."""
    if before is not None and not choice.new_version:
        return before
    now = time.time_ns() // 1_000_000
    if before is None:
        return Cursor(Position(None, choice.newest), now, filling=True)
    published = before.published if before.filling else before.position
    return Cursor(Position(None, choice.newest), max(now, before.version + 1), filling=True, published=published)
