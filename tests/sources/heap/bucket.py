"""The bucket of `spec/source-heap.md` section 15, and short ways to read a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from lockstitch.core.model import Batch, Checkpoint, Json, Lane, Message, Publish, Selected, Version
from lockstitch.core.protocols import Source
from lockstitch.sources.heap.source import HeapSource
from lockstitch.sources.heap.spec import Properties, open_source
from lockstitch.testing.heap_bucket import DumpTable, write_dump


def rows(ids: Iterable[int], key: str = "event_id", **columns: str) -> pa.Table:
    """Rows with a key, and text columns whose values are told by name."""
    ids = list(ids)
    texts = {name: pa.array([f"{value} {each}" for each in ids], pa.string()) for name, value in columns.items()}
    return pa.table({key: pa.array(ids, pa.int64()), **texts})


def dump_100() -> dict[str, DumpTable]:
    """Everything in full."""
    return {
        "users": DumpTable(rows(range(20), "user_id", email="mail"), incremental=False, files=2),
        "sessions": DumpTable(rows(range(100, 140), library="web"), incremental=False),
        "pageviews": DumpTable(rows(range(200, 260), path="page"), incremental=False, codec="null"),
        "sign_up": DumpTable(rows(range(300, 330), type="click"), incremental=False),
        "user_migrations": DumpTable(rows(range(5), "from_user_id", to_user_id="to"), incremental=False),
    }


def dump_101() -> dict[str, DumpTable]:
    """What is new and what has changed; user_migrations always come in full."""
    return {
        "users": DumpTable(rows(range(15, 25), "user_id", email="new mail")),
        "sessions": DumpTable(rows(range(140, 150), library="iOS")),
        "sign_up": DumpTable(rows(range(330, 335), type="click")),
        "user_migrations": DumpTable(rows(range(7), "from_user_id", to_user_id="to"), incremental=False),
    }


def dump_102() -> dict[str, DumpTable]:
    """sign_up is synced anew with a new property; there is a new event."""
    return {
        "sign_up": DumpTable(rows(range(300, 340), type="submit", plan="plan"), incremental=False, files=3),
        "checkout": DumpTable(rows(range(400, 404), type="click")),
        "user_migrations": DumpTable(rows(range(8), "from_user_id", to_user_id="to"), incremental=False),
    }


DUMPS: Mapping[int, Any] = {100: dump_100, 101: dump_101, 102: dump_102}


def write_dumps(root: Path, *numbers: int) -> None:
    for number in numbers:
        write_dump(root, number, DUMPS[number]())


#: Sources that the running test has opened; they are closed after it.
opened: list[HeapSource] = []


def open_folder(root: Path, spool: Path | None = None, **properties: Any) -> HeapSource:
    return open_heap(Properties(bucket_url=root.as_uri(), **properties), spool or root.parent / "spool")


def open_heap(properties: Properties, spool: Path) -> HeapSource:
    source = open_source(properties, spool=spool)
    assert isinstance(source, HeapSource)
    opened.append(source)
    return source


def read(source: Source, table: str, cursor: Json = None, fields: frozenset[str] | None = None) -> list[Message]:
    """Read one table's lane to its end."""
    streams = {stream.name: stream for stream in source.discover()}
    lanes = {lane.name: lane for lane in source.lanes([Selected(streams[table], fields)])}
    return list(source.read(lanes[table], cursor))


def batches(messages: Iterable[Message]) -> Iterator[pa.RecordBatch]:
    return (message.rows for message in messages if isinstance(message, Batch))


def values(messages: Iterable[Message], column: str) -> list[Any]:
    return [value for batch in batches(messages) for value in batch.column(column).to_pylist()]


def cursors(messages: Iterable[Message]) -> list[Json]:
    return [message.cursor for message in messages if isinstance(message, Checkpoint)]


def shape(messages: Iterable[Message]) -> str:
    """Tell the kinds of messages: V, b, C and P."""
    letters = {Version: "V", Batch: "b", Checkpoint: "C", Publish: "P"}
    return "".join(letters[type(message)] for message in messages)


def lane(table: str) -> Lane:
    return Lane(table, (table,))
