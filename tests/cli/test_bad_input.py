"""What hostile files of a bucket become, from the command line, in DuckDB and in PostgreSQL.

Each either lands as it is, or is rejected or adjusted with its original kept and counted, or ends the run with a
message that says what, where and the mend.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Called, Site
from cli.test_heap import PIPELINE
from cli.test_postgres import into
from lockstitch.testing.heap_bucket import DumpTable, write_dump

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Warehouse:
    """A bucket, the command line, and a way to ask the destination."""

    site: Site
    query: Callable[[str], Sequence[tuple[Any, ...]]]
    is_duckdb: bool

    @property
    def bucket(self) -> Path:
        return self.site.folder / "bucket"

    def dump(self, number: int, fields: dict[str, Any], rows: Rows, *, files: int = 1) -> None:
        """Write a full dump of the table `users`, with `user_id` before the fields given as Avro types."""
        columns = [{"name": "user_id", "type": "long"}, *({"name": one, "type": of} for one, of in fields.items())]
        schema = {"type": "record", "name": "users", "fields": columns}
        table = DumpTable(rows, schema=schema, incremental=number > 100, codec="null", files=files)
        write_dump(self.bucket, number, {"users": table})

    def run(self) -> Called:
        done = self.site.call("run")
        assert "Traceback" not in done.out + done.err
        return done

    def column(self, name: str) -> list[Any]:
        return [value for (value,) in self.query(f'select "{name}" from heap.users order by user_id')]

    def reasons(self) -> list[str]:
        return [reason for (reason,) in self.query("select reason from heap._sdc_rejected order by 1")]

    def data_file(self) -> Path:
        return next((self.bucket / "sync_100" / "users").iterdir())


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    site = Site(tmp_path)
    (tmp_path / "bucket").mkdir()
    uri = (tmp_path / "bucket").as_uri()
    (tmp_path / "pipeline.toml").write_text(PIPELINE.format(bucket=uri, folder=tmp_path))
    if request.param == "duckdb":
        return Warehouse(site, site.query, is_duckdb=True)
    database = request.getfixturevalue("postgres")
    into(site, database.properties)
    return Warehouse(site, database.query, is_duckdb=False)


# --- what lands ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Value:
    """A field `v` of an Avro type with values that come, what is held, and the reasons in `_sdc_rejected`.

    `duckdb` and `duckdb_reasons` where they are other there.
    """

    type: Any
    come: Sequence[Any]
    held: Sequence[Any]
    reasons: Sequence[str] = ()
    duckdb: Sequence[Any] | None = None
    duckdb_reasons: Sequence[str] | None = None
    shown: str = "v"


_MICROS = {"type": "long", "logicalType": "timestamp-micros"}
_YEARS = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _micros(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)


VALUES = {
    "the ends of 64 bits": Value("long", [2**63 - 1, -(2**63)], [2**63 - 1, -(2**63)]),
    "NaN and infinities": Value("double", [math.nan, math.inf, -math.inf], ["nan", "inf", "-inf"]),
    "years 1 and 9999": Value(_MICROS, _YEARS, [_micros(year) for year in _YEARS]),
    "a string of 5 MB": Value("string", ["x" * 5_000_000], ["x" * 5_000_000]),
    "NUL bytes": Value(
        "string",
        ["a\0b", "c"],
        ["ab", "c"],
        ["adjusted: U+0000 removed on v"],
        duckdb=["a\0b", "c"],
        duckdb_reasons=[],
    ),
    "a field that is two types": Value(["long", "string"], [7, "seven"], [7, None], shown="v__bi"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_lands_or_is_told(warehouse: Warehouse, name: str) -> None:
    value = VALUES[name]
    rows = [{"user_id": at, "v": one} for at, one in enumerate(value.come)]
    warehouse.dump(100, {"v": value.type}, rows)
    done = warehouse.run()
    assert done.code == 0, done.err
    is_duckdb = warehouse.is_duckdb
    shown = "v" if is_duckdb else value.shown
    if value.type == _MICROS:
        shown = f"epoch_us({shown})" if is_duckdb else f"(extract(epoch from {shown}) * 1000000)::bigint"
    held = [one for (one,) in warehouse.query(f"select {shown} from heap.users order by user_id")]
    expected = value.duckdb if is_duckdb and value.duckdb is not None else value.held
    assert [str(one) if isinstance(one, float) else one for one in held] == list(expected)
    reasons = value.duckdb_reasons if is_duckdb and value.duckdb_reasons is not None else value.reasons
    assert warehouse.reasons() == list(reasons)
    assert ("_sdc_rejected holds" in done.out) == bool(reasons)


def test_text_that_is_no_utf8_is_adjusted_and_kept(warehouse: Warehouse) -> None:
    warehouse.dump(100, {"v": "string"}, [{"user_id": 1, "v": "fine"}, {"user_id": 2, "v": "bad~~"}])
    path = warehouse.data_file()
    path.write_bytes(path.read_bytes().replace(b"bad~~", b"bad\xff\xfe"))
    done = warehouse.run()
    assert done.code == 0, done.err
    assert warehouse.column("v") == ["fine", "bad\ufffd\ufffd"]
    ((table, reason, record),) = warehouse.query("select table_name, reason, record from heap._sdc_rejected")
    assert (table, reason) == ("users", "adjusted: invalid UTF-8 replaced on v")
    assert json.loads(record) == {"user_id": 2, "v": "YmFk//4="}
    assert "1 adjustment: table heap._sdc_rejected holds the originals and the reasons" in done.out.splitlines()


def test_a_column_that_was_left_out_is_kept_and_counted(warehouse: Warehouse) -> None:
    warehouse.dump(100, {"v": "string", "sent__st": "string"}, [{"user_id": 1, "v": "fine", "sent__st": "other"}])
    done = warehouse.run()
    assert done.code == 0, done.err
    assert warehouse.column("v") == ["fine"]
    assert warehouse.reasons() == ["column names from client should not include reserved datatype suffix on sent__st"]
    assert "1 adjustment: table heap._sdc_rejected holds the originals and the reasons" in done.out.splitlines()


def test_three_hundred_columns(warehouse: Warehouse) -> None:
    fields = {f"c{number}": ["null", "long"] for number in range(300)}
    warehouse.dump(100, fields, [{"user_id": at, **{name: at for name in fields}} for at in range(3)])
    assert warehouse.run().code == 0
    assert warehouse.column("c0") == warehouse.column("c299") == [0, 1, 2]
    assert warehouse.reasons() == []


def test_a_field_that_changes_its_type_between_files(warehouse: Warehouse) -> None:
    warehouse.dump(100, {"v": ["null", "long"]}, [{"user_id": 1, "v": 5}])
    assert warehouse.run().code == 0
    warehouse.dump(101, {"v": ["null", "string"]}, [{"user_id": 2, "v": "five"}])
    assert warehouse.run().code == 0
    assert warehouse.column("v" if warehouse.is_duckdb else "v__bi") == [5, None]
    assert warehouse.column("v__st") == [None, "five"]
    assert warehouse.reasons() == []


# --- what ends the run -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Damage:
    """What is done to the bucket, and what the message says then."""

    do: Callable[[Warehouse], object]
    says: Sequence[str]


def _cut(warehouse: Warehouse) -> None:
    path = warehouse.data_file()
    path.write_bytes(path.read_bytes()[:-40])


def _corrupt(warehouse: Warehouse) -> None:
    path = warehouse.data_file()
    raw = bytearray(path.read_bytes())
    raw[-200:-100] = b"\xff" * 100
    path.write_bytes(bytes(raw))


DAMAGES = {
    "a file cut short": Damage(_cut, ["sync_100/users/part-00000"]),
    "a corrupt block": Damage(_corrupt, ["sync_100/users/part-00000"]),
    "no Avro at all": Damage(lambda one: one.data_file().write_bytes(b"PK\3\4 no avro"), ["sync_100/users/part-00000"]),
    "an empty file": Damage(lambda one: one.data_file().write_bytes(b""), ["sync_100/users/part-00000"]),
    "a file missing": Damage(lambda one: one.data_file().unlink(), ["sync_100/users/part-00000", "not in the bucket"]),
    "a manifest that is no JSON": Damage(
        lambda one: (one.bucket / "manifests" / "sync_100.json").write_text("{"), ["manifests/sync_100.json"]
    ),
    "a manifest of another shape": Damage(
        lambda one: (one.bucket / "manifests" / "sync_100.json").write_text("[1]"), ["manifests/sync_100.json"]
    ),
}


#: What is damaged is the source, so that one damage is enough for the other destination.
DAMAGED = [
    *(("duckdb", name) for name in DAMAGES),
    ("postgres", "a file cut short"),
    *(pytest.param("postgres", name, marks=pytest.mark.long) for name in DAMAGES if name != "a file cut short"),
]


@pytest.mark.parametrize(("warehouse", "name"), DAMAGED, indirect=["warehouse"])
def test_damage_is_told_with_its_place_and_mend(warehouse: Warehouse, name: str) -> None:
    damage = DAMAGES[name]
    warehouse.dump(100, {"v": "string"}, [{"user_id": at, "v": f"text {at}"} for at in range(200)])
    damage.do(warehouse)
    done = warehouse.run()
    assert done.code == 2
    assert "error: " in done.err
    assert "\nhint: " in done.err
    for word in damage.says:
        assert word in done.err
    warehouse.dump(100, {"v": "string"}, [{"user_id": at, "v": f"text {at}"} for at in range(200)])
    assert warehouse.run().code == 0
    assert warehouse.query("select count(*), count(distinct user_id) from heap.users") == [(200, 200)]
