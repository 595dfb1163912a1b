"""A destination of any type that sources are carried into, and what is in it then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast

import duckdb
import pyarrow as pa

from lockstitch.connectors import find_connector, open_destination, parse_properties
from lockstitch.core.model import Json
from sources.reassembled import Record, Tables, reassembled


@dataclass(frozen=True)
class Warehouse:
    """A destination of a type, with the properties that reach it, and the schema that is looked at."""

    type: str
    properties: Mapping[str, Json]
    schema: str

    def tables(self) -> Tables:
        """Return the rows of all tables, `_sdc_rejected` among them; names in lower case, as some destinations do."""
        return {
            table.lower(): [{column.lower(): value for column, value in row.items()} for row in rows]
            for table, rows in self._tables()
        }

    def _tables(self) -> Iterator[tuple[str, list[Record]]]:
        if self.type == "duckdb":
            # Read directly: the destination opens its file anew for each of dozens of tables.
            with duckdb.connect(str(self.properties["path"]), read_only=True) as db:
                names = db.execute("select table_name from duckdb_tables() where schema_name = ?", [self.schema])
                for (name,) in names.fetchall():
                    found = db.sql(f'select * from "{self.schema}"."{name}"').to_arrow_table()
                    yield name, cast("pa.Table", found).to_pylist()
            return
        connector = find_connector("destination", self.type)
        with closing(open_destination(connector, parse_properties(connector, self.properties))) as destination:
            destination.open("a reader", self.schema)
            for name in (*(table.name for table in destination.tables()), "_sdc_rejected"):
                yield name, [row for batch in destination.read_back(name) for row in batch.to_pylist()]

    def records(self, stream: str) -> tuple[dict[Any, Record], set[Any]]:
        """Return a stream's records by id, and the ids of those that are marked as deleted."""
        return reassembled(self.tables(), stream)
