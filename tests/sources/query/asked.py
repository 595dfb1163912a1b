"""One small shop in a DuckDB file and in a PostgreSQL database, and short words to read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstitch.core.model import Batch, Checkpoint, Json, Message, Selected
from lockstitch.core.protocols import Source
from lockstitch.sources.query.spec import Properties, open_source

SHOP = """
create table orders (
    id integer, email varchar, total decimal(10, 2), paid boolean, updated_at timestamp with time zone);
insert into orders values
    (1, 'a@example.com', 12.50, true, '2026-01-01 10:00:00+00'),
    (2, 'b@example.com', 3.00, false, '2026-01-02 10:00:00.123456+00'),
    (3, null, null, null, '2026-01-02 10:00:00.123456+00'),
    (4, 'ä 🧵 ''quoted''', -0.01, true, '2026-01-03 10:00:00+00');
"""

STREAMS: Mapping[str, Any] = {
    "orders": {"table": "orders", "key": ["id"], "cursor": "updated_at"},
    "by_day": {
        "query": "select updated_at, count(*) as n from orders group by updated_at order by 1 -- all;",
        "key": [],
    },
    "paid": {"query": "select id, email from orders where paid order by id;", "key": ["id"]},
}


@dataclass(frozen=True, slots=True)
class Shop:
    """A database: how to run SQL in it, as its owner, and the properties that lead to it."""

    run: Callable[[str], Any]
    properties: Mapping[str, Any]
    spool: Path

    def source(self, streams: Mapping[str, Any] = STREAMS) -> Source:
        return open_source(Properties(streams=dict(streams), **self.properties), spool=self.spool)

    def read(self, stream: str, cursor: Json = None, streams: Mapping[str, Any] = STREAMS) -> list[Message]:
        source = self.source(streams)
        wanted = [Selected(one) for one in source.discover() if one.name == stream]
        [lane] = source.lanes(wanted)
        return list(source.read(lane, cursor))


def rows(messages: list[Message]) -> list[dict[str, Any]]:
    return [row for one in messages if isinstance(one, Batch) for row in one.rows.to_pylist()]


def last(messages: list[Message]) -> Json:
    assert isinstance(messages[-1], Checkpoint)
    return messages[-1].cursor
