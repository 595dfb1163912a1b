"""Tables with the columns that Stitch documents for Heap land as documented; `documented.txt` has a line a column.

An event's table has the event's own name; `sign_up` stands for all of them.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from lockstitch import verbs
from lockstitch.testing.heap_bucket import DumpTable, write_dump
from lockstitch.testing.postgres_server import PostgresDatabase
from lockstitch.verbs import PipelineSettings
from sources.documented import VALUES, documented
from sources.heap.bucket import open_folder
from sources.warehouses import Warehouse

DOCUMENTED = documented(__file__)
KEYS = {"users": "user_id", "user_migrations": "from_user_id"}
TYPES = {"integer": pa.int64(), "string": pa.string()}


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    """A dump whose tables have a value in every documented column."""
    tables: dict[str, DumpTable] = {}
    for name, columns in DOCUMENTED.items():
        values = {column: pa.array([VALUES[kind]], TYPES[kind]) for column, kind in columns.items()}
        tables[name] = DumpTable(pa.table(values), incremental=name != "user_migrations")
    write_dump(tmp_path / "bucket", 1, tables)
    return tmp_path / "bucket"


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    monkeypatch.setenv("LOCKSTITCH_HOME", str(tmp_path / "home"))
    if request.param == "duckdb":
        return Warehouse("duckdb", {"path": str(tmp_path / "warehouse.duckdb")}, "heap")
    database: PostgresDatabase = request.getfixturevalue("postgres")
    return Warehouse("postgres", database.properties, "heap")


def test_discovery_tells_the_documented_keys_methods_and_types(bucket: Path) -> None:
    """No replication key: manifests tell what is new. user_migrations come in full, as Heap gives them only so."""
    found = {stream.name: stream for stream in open_folder(bucket).discover()}
    assert sorted(found) == sorted(DOCUMENTED)
    for name, stream in found.items():
        assert stream.key == (KEYS.get(name, "event_id"),)
        assert stream.replication_key is None
        assert stream.replication_method == ("FULL_TABLE" if name == "user_migrations" else "INCREMENTAL")
        assert {field.name: field.type for field in stream.fields} == DOCUMENTED[name]
        assert [field.name for field in stream.fields if field.inclusion == "automatic"] == list(stream.key)


def test_every_column_lands_in_its_documented_type(bucket: Path, warehouse: Warehouse) -> None:
    result = verbs.run(
        PipelineSettings(
            connection="heap",
            schema="heap",
            source_type="platform.heap",
            source_properties={"bucket_url": bucket.as_uri()},
            destination_type=warehouse.type,
            destination_properties=warehouse.properties,
        )
    )
    assert [lane.error for lane in result.lanes if lane.error] == []
    tables = warehouse.tables()
    assert tables["_sdc_rejected"] == []
    for name, columns in DOCUMENTED.items():
        (row,) = tables[name]
        landed = {column: value for column, value in row.items() if not column.startswith("_sdc_")}
        assert landed == {column.lower(): VALUES[kind] for column, kind in columns.items()}
