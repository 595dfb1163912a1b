"""The catalogue holds Stitch's types as its lists have them, and what this build's connectors add."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Literal, cast

import msgspec

from lockstitch.connectors import Connector, Spec, known_types
from lockstitch.control.catalogue import published
from lockstitch.control.catalogue.catalogue import ConnectionType, destination_types, find, source_types
from lockstitch.control.catalogue.served import own_type, serve

FORM_ONLY = ("form", "fully_configured")
USUAL = ("form", "discover_schema", "field_selection", "fully_configured")


class Settings(msgspec.Struct, kw_only=True):
    """A connector's properties, one of each kind that a form can have."""

    bucket: str
    folder: str
    verbose: bool = False
    limit: int | None = None
    mode: Literal["fast", "safe"] = "safe"
    minutes: str | int | None = None
    tables: list[dict[str, str]] = []
    token: str = ""
    anchor_time: str | None = None


def connector(kind: Literal["source", "destination"], type_name: str, **more: object) -> Connector:
    spec = SimpleNamespace(TYPES=(type_name,), TITLE="Ours", EXTRA=None, CREDENTIALS=frozenset({"token"}), **more)
    spec.Properties = Settings
    return Connector(kind, type_name, cast("Spec", spec))


def known(kind: Literal["source", "destination"], type_name: str) -> ConnectionType:
    found = find(kind, type_name)
    assert found is not None
    return found


def published_source(type_name: str) -> ConnectionType:
    return next(each for each in published.published_types("source") if each.type == type_name)


def test_sources_come_in_the_order_of_the_list() -> None:
    types = [each.type for each in source_types()]
    assert len(types) == len(set(types))
    assert types[:2] == ["import_api", "platform.3plcentral"]
    assert types.index("platform.zuora") < types.index("platform.wootric") < types.index("platform.hp-cloudsql")
    assert types.index("platform.hp-cloudsql") < types.index("adroll") < types.index("zuora") < types.index("postgres")


def test_destinations_begin_as_documented() -> None:
    types = [each.type for each in destination_types()]
    assert types[:6] == ["azure_sqldw", "redshift", "postgres", "snowflake", "s3", "storagegrid"]
    assert types[6:12] == [
        "bigquery_v2",
        "databricks_delta",
        "dataworld",
        "mssql_server",
        "mysql_destination",
        "panoply",
    ]
    assert types[12] == "duckdb"


def test_sequences_of_steps_are_as_often_as_in_the_list() -> None:
    # 184 cards and 44 legacy types; ga4 and tiktok-ads are documented, and not in the list (connect-api 5, 7.2).
    later = {"platform.ga4", "platform.tiktok-ads"}
    sequences = Counter(
        tuple(step.type for step in each.steps)
        for each in published.published_types("source")
        if each.type not in later
    )
    assert sequences == {
        USUAL: 113,
        ("form", "oauth", *USUAL[1:]): 37,
        FORM_ONLY: 32,
        ("form", "oauth", "fully_configured"): 2,
        (): 44,
    }


def test_newer_types_exist() -> None:
    types = {each.type for each in source_types()}
    newer = {each.type: each.upgrade_available for each in source_types() if each.upgrade_available}
    assert len(newer) == 36
    assert set(newer.values()) <= types
    assert newer["platform.mysql"] == "platform.hp-mysql"
    assert newer["postgres"] == "platform.hp-postgres"
    assert newer["zopim"] == "webhook.incoming-webhook"


def test_access_is_what_this_build_can_run() -> None:
    sources = {each.type for each in source_types() if each.details["access"]}
    destinations = {each.type for each in destination_types() if each.details["access"]}
    assert sources == {*known_types("source"), "import_api"}
    assert destinations == set(known_types("destination"))
    assert {each.type for each in (*source_types(), *destination_types()) if each.connector} == (
        sources - {"import_api"} | destinations
    )


def test_unknown_types_are_not_found() -> None:
    assert find("source", "platform.nothing") is None
    assert find("destination", "platform.heap") is None


def test_protocols_differ_from_the_type_where_stitch_shares_them() -> None:
    protocols = {each.type: each.details["protocol"] for each in source_types()}
    assert protocols["platform.heap"] == "platform.heap"
    assert protocols["platform.aurora"] == protocols["platform.cloudsql"] == "platform.mysql"
    assert protocols["webhook.zapier"] == "incoming-webhook"


def test_properties_are_sorted_and_unlisted_ones_come_last() -> None:
    for each in (*published.published_types("source"), *published.published_types("destination")):
        for step in each.steps:
            places = [(not row.listed, row.name) for row in step.properties]
            assert places == sorted(set(places)), each.type
            assert not [row for row in step.properties if row.is_required and not row.listed], each.type


def test_an_own_type_is_described_by_its_connector() -> None:
    schedule = known("source", "platform.heap").steps[0].properties[1:3]
    own = own_type(connector("source", "acme.things"), schedule)
    assert tuple(step.type for step in own.steps) == USUAL
    assert list(own.properties)[:3] == ["anchor_time", "bucket", "folder"]
    assert own.properties["anchor_time"] == known("source", "platform.heap").properties["anchor_time"]
    assert own.properties["folder"].is_required
    assert not own.properties["mode"].is_required
    assert own.properties["token"].is_credential
    assert own.details["access"] is True
    schemas: Mapping[str, object] = {name: each.json_schema for name, each in own.properties.items()}
    assert schemas["folder"] == schemas["minutes"] == {"type": "string"}
    assert schemas["verbose"] == {"type": "string", "pattern": "^(true|false)$"}
    assert schemas["limit"] == {"type": "string", "pattern": r"^-?\d+$"}
    assert schemas["mode"] == {"type": "string", "enum": ["fast", "safe"]}
    assert schemas["tables"] == {"type": "array"}


def test_own_properties_of_stitchs_type_are_optional_and_last() -> None:
    heap = published_source("platform.heap")
    served = serve(heap, connector("source", "platform.heap"))
    form, before = served.steps[0].properties, heap.steps[0].properties
    assert form[: len(before)] == before
    added = {each.name: each for each in form[len(before) :]}
    assert list(added) == ["folder", "verbose", "limit", "mode", "minutes", "tables", "token"]
    assert not any(each.is_required or each.listed for each in added.values())
    assert added["token"].is_credential
    assert served.details == {**heap.details, "access": True}


def test_a_destination_of_ours_has_two_steps() -> None:
    duckdb = known("destination", "duckdb")
    assert tuple(step.type for step in duckdb.steps) == FORM_ONLY
    assert duckdb.properties["path"].is_required
    assert list(duckdb.details) == ["pricing_tier", "pipeline_state", "protocol", "access"]


def test_reading_all_types_is_quick() -> None:
    taken: list[float] = []
    for _ in range(3):
        published._read.cache_clear()
        published.published_types.cache_clear()
        begun = time.perf_counter()
        published.published_types("source")
        published.published_types("destination")
        taken.append(time.perf_counter() - begun)
    assert min(taken) < 0.05


def test_no_driver_is_imported() -> None:
    heavy = "{'duckdb', 'pyarrow', 'datafusion', 'boto3', 'obstore', 'adbc_driver_manager', 'sqlalchemy', 'litestar'}"
    script = (
        "import sys; from lockstitch.control.catalogue.catalogue import source_types, destination_types;"
        f"source_types(), destination_types(); sys.exit(str({heavy} & set(sys.modules) or ''))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.stderr.strip() == ""
