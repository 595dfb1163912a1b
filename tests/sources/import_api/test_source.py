"""Pushed records in a real table: what lands, in which order it counts, and what another run goes on with."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.sources.import_api.house import House

from lockstitch.connectors import find_connector, parse_properties
from lockstitch.core.errors import SettingsError, SourceDataError, TransientError
from lockstitch.core.model import Batch, Selected
from lockstitch.engine.events import SchemaChanged, Warned
from lockstitch.sources.import_api.spec import Properties, open_source


def test_a_keyed_table(house: House) -> None:
    house.push("customers", (1, {"id": 1, "name": "a"}), (2, {"id": 2, "name": "b"}))
    result = house.run()
    assert [lane.rows for lane in result.lanes] == [2]
    assert house.rows("customers", "id, name, _sdc_sequence, _sdc_table_version") == [(1, "a", 1, 0), (2, "b", 2, 0)]
    house.push("customers", (3, {"id": 2, "name": "B"}), (4, {"id": 3, "name": "c"}))
    house.run()
    assert house.rows("customers", "id, name, _sdc_sequence") == [(1, "a", 1), (2, "B", 3), (3, "c", 4)]


def test_the_greatest_sequence_wins_within_a_request_and_across(house: House) -> None:
    house.push("t", (5, {"id": 1, "v": "five"}), (3, {"id": 1, "v": "three"}), (4, {"id": 1, "v": "four"}))
    house.push("t", (2, {"id": 1, "v": "two"}), (7, {"id": 2, "v": "first"}), (7, {"id": 2, "v": "second"}))
    house.run()
    assert house.rows("t", "id, v") == [(1, "five"), (2, "second")]
    house.push("t", (4, {"id": 1, "v": "late"}), (-(2**63), {"id": 3, "v": "least"}), (6, {"id": 2, "v": "late"}))
    house.run()
    assert house.rows("t", "id, v") == [(1, "five"), (2, "second"), (3, "least")]
    house.push("t", (2**63 - 1, {"id": 1, "v": "greatest"}))
    house.run()
    assert house.rows("t", "id, v, _sdc_sequence")[0] == (1, "greatest", 2**63 - 1)


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_requests_and_runs_comes_to_the_same(house: House, seed: int) -> None:
    chance = random.Random(seed)
    records = [(sequence, {"id": chance.randint(1, 9), "v": sequence}) for sequence in range(1, 60)]
    chance.shuffle(records)
    expected: dict[int, int] = {}
    while records:
        some, records = records[:7], records[7:]
        for sequence, data in some:
            expected[data["id"]] = max(expected.get(data["id"], 0), sequence)
        house.push("t", *some)
        if chance.random() < 0.3:
            house.run()
    house.run()
    assert house.rows("t", "id, v") == sorted(expected.items())


def test_a_table_without_a_key_gets_every_record_once(house: House) -> None:
    house.batch("events", (1, {"n": 1}), (1, {"n": 1}))
    house.run()
    house.batch("events", (1, {"n": 1}))
    house.run()
    house.run()
    assert house.rows("events", "n, _sdc_sequence") == [(1, 1)] * 3
    assert len(set(house.rows("events", "__sdc_primary_key"))) == 3


def test_records_without_any_field_count_too(house: House) -> None:
    house.batch("events", (1, {}), (2, {}))
    house.run()
    assert house.rows("events", "_sdc_sequence") == [(1,), (2,)]


def test_a_push_that_comes_again_is_healed_by_its_key(house: House) -> None:
    for _ in range(3):
        house.push("t", (1, {"id": 1, "tags": ["a", "b"]}), (2, {"id": 2, "tags": []}))
        house.run()
    assert house.rows("t", "id, _sdc_sequence") == [(1, 1), (2, 2)]
    assert house.rows("t__tags", "_sdc_source_key_id, _sdc_level_0_id, value") == [(1, 0, "a"), (1, 1, "b")]


def test_mixed_types_are_split_and_none_is_changed(house: House) -> None:
    values: list[Any] = [1, 2.5, "three", True, None, 4, {"x": 1}, [5, "six"], "7", 8.0]
    house.push("t", *((number, {"id": number, "v": value}) for number, value in enumerate(values)))
    house.run()
    assert house.rows("t", "id, v, v__do, v__st, v__bo, v__x") == [
        (0, 1, None, None, None, None),
        (1, None, 2.5, None, None, None),
        (2, None, None, "three", None, None),
        (3, None, None, None, True, None),
        (4, None, None, None, None, None),
        (5, 4, None, None, None, None),
        (6, None, None, None, None, 1),
        (7, None, None, None, None, None),
        (8, None, None, "7", None, None),
        (9, None, 8.0, None, None, None),
    ]
    assert house.rows("t__v", "_sdc_source_key_id, _sdc_level_0_id, value, value__st") == [
        (7, 0, 5, None),
        (7, 1, None, "six"),
    ]


def test_mixed_types_within_nested_values(house: House) -> None:
    rows = [
        {"o": {"v": 1}},
        {"o": {"v": "two"}},
        {"o": None},
        {"o": {"w": {}}},
        {"o": {"v": [{"z": 1}, {"z": 1.5}, 3]}},
    ]
    house.push("t", *((number, {"id": number} | row) for number, row in enumerate(rows)))
    house.run()
    assert house.rows("t", "id, o__v, o__v__st") == [
        (0, 1, None),
        (1, None, "two"),
        (2, None, None),
        (3, None, None),
        (4, None, None),
    ]
    assert house.rows("t__o__v", "_sdc_level_0_id, z, z__do, value") == [
        (0, 1, None, None),
        (1, None, 1.5, None),
        (2, None, None, 3),
    ]


def test_numbers_keep_every_digit(house: House) -> None:
    texts = ["1", str(2**63 - 1), str(-(2**63)), str(2**63), str(10**30), "0.1", "1.23456789012345678901", "1e60"]
    body = [
        f'{{"client_id":1,"table_name":"t","action":"upsert","sequence":1,"key_names":["id"],"data":{{"id":{n},"v":{v}}}}}'
        for n, v in enumerate(texts)
    ]
    house.push_text(f"[{','.join(body)}]")
    house.run()
    found = {
        row[0]: [value for value in row[1:] if value is not None] for row in house.rows("t", "id, v, v__de, v__do")
    }
    assert found[0] == [1]
    assert found[1] == [2**63 - 1]
    assert found[2] == [-(2**63)]
    assert found[5] == [0.1]
    assert found[7] == [1e60]
    held = {number: [Decimal(texts[number])] for number in (3, 6) if number in found}
    assert {number: found[number] for number in held} == held
    rejected = {json.loads(record)["id"] for (record,) in house.query("select record from pushed._sdc_rejected")}
    assert found.keys() | rejected == set(range(8))


def test_numbers_that_no_decimal_holds_are_text(house: House) -> None:
    body = (
        '[{"client_id":1,"table_name":"t","action":"upsert","sequence":1,"key_names":["id"],'
        f'"data":{{"id":1,"v":{10**90},"w":1e-400,"x":[{2**64},1.{"3" * 70},1.5e300,1e400]}}}}]'
    )
    house.push_text(body)
    house.run()
    assert house.rows("t", "v, w") == [(str(10**90), "1E-400")]


def test_the_types_of_a_schema(house: House) -> None:
    schema = {
        "properties": {
            "id": {"type": "integer"},
            "price": {"type": "number"},
            "exact": {"type": "number", "multipleOf": 0.01},
            "at_time": {"type": "string", "format": "date-time"},
        }
    }
    data = {"id": 1, "price": 15, "exact": 9.9, "at_time": "2020-01-13T21:25:03.5+0100"}
    house.batch("t", (1, data), key_names=["id"], schema=schema)
    house.run()
    at = datetime(2020, 1, 13, 20, 25, 3, 500000, tzinfo=UTC)
    ((price, exact, micros),) = house.rows("t", "price, exact, epoch_us(at_time)")
    assert (price, type(price), exact, micros) == (15.0, float, Decimal("9.90"), at.timestamp() * 1e6)


def test_the_time_of_extraction(house: House) -> None:
    house.batch("plain", (1, {"id": 1}), key_names=["id"])
    extracted = {"action": "upsert", "sequence": 1, "data": {"id": 1}, "time_extracted": "2020-01-01T00:00:00Z"}
    house.batch("t", key_names=["id"], messages=[extracted])
    house.run()
    ((micros,),) = house.rows("t", "epoch_us(_sdc_extracted_at)")
    assert micros == datetime(2020, 1, 1, tzinfo=UTC).timestamp() * 1e6


# --- versions ---------------------------------------------------------------------------------------------------------


def _users(house: House, version: int, *ids: int, activate: bool = False) -> None:
    messages: list[tuple[int, dict[str, Any] | None]] = [(version, {"id": one}) for one in ids]
    if activate:
        messages.append((version, None))
    house.batch("users", *messages, key_names=["id"], table_version=version)


def _shown(house: House) -> list[tuple[Any, ...]]:
    return house.rows("users", "id, _sdc_table_version")


@pytest.mark.parametrize("apart", [False, True])
def test_a_first_version_is_shown_at_once_and_a_later_one_when_it_is_complete(house: House, apart: bool) -> None:
    def run() -> None:
        if apart:
            house.run()

    _users(house, 100, 1, 2)
    run()
    _users(house, 100, 3)
    house.run()
    assert _shown(house) == [(1, 100), (2, 100), (3, 100)]
    _users(house, 200, 2, 4)
    run()
    _users(house, 200, 5)
    house.run()
    assert _shown(house) == [(1, 100), (2, 100), (3, 100)]
    _users(house, 200, activate=True)
    run()
    _users(house, 200, 6)
    _users(house, 100, 9)
    house.run()
    assert _shown(house) == [(2, 200), (4, 200), (5, 200), (6, 200)]


def test_a_version_is_filled_and_completed_in_one_request(house: House) -> None:
    _users(house, 100, 1, 2, activate=True)
    _users(house, 200, 2, 3, activate=True)
    house.run()
    assert _shown(house) == [(2, 200), (3, 200)]
    _users(house, 300, activate=True)
    house.run()
    assert _shown(house) == []


def test_a_version_given_up_for_a_later_one(house: House) -> None:
    _users(house, 100, 1)
    house.run()
    _users(house, 200, 2)
    house.run()
    _users(house, 300, 3, activate=True)
    _users(house, 200, 4, activate=True)
    house.run()
    assert _shown(house) == [(3, 300)]


@pytest.mark.parametrize("apart", [False, True])
def test_a_version_after_records_without_any(house: House, apart: bool) -> None:
    house.push("users", (1, {"id": 1}))
    house.push("other", (1, {"id": 1}))
    if apart:
        house.run()
    _users(house, 100, 2)
    house.run()
    assert _shown(house) == [(1, 0)]
    house.run()
    assert _shown(house) == [(1, 0)]
    _users(house, 100, 3, activate=True)
    house.run()
    assert _shown(house) == [(2, 100), (3, 100)]


def test_records_with_and_without_a_version_in_one_request(house: House) -> None:
    record = {"client_id": 1, "table_name": "users", "action": "upsert", "key_names": ["id"]}
    without = record | {"sequence": 1, "data": {"id": 1}}
    house.push_text(json.dumps([without, record | {"sequence": 2, "data": {"id": 2}, "table_version": 100}]))
    house.run()
    house.run()
    assert _shown(house) == [(1, 0)]
    _users(house, 100, activate=True)
    house.run()
    assert _shown(house) == [(2, 100)]


def test_records_without_a_version_belong_to_the_current_one(house: House) -> None:
    _users(house, 100, 1)
    house.run()
    house.push("users", (200, {"id": 2}))
    house.run()
    assert _shown(house) == [(1, 100), (2, 100)]


def test_switching_the_view_completes_a_version(house: House) -> None:
    house.push("users", (1, {"id": 1}), table_version=100)
    house.push("users", (2, {"id": 2}), table_version=200)
    switch = {"client_id": 1, "table_name": "users", "action": "switch_view", "sequence": 3, "table_version": 200}
    house.push_text(json.dumps([switch | {"namespace": "shop"}]))
    house.run()
    assert _shown(house) == [(2, 200)]


# --- keys, tables, positions ------------------------------------------------------------------------------------------


def test_a_table_whose_key_changes_is_appended_to(house: House) -> None:
    house.push("t", (1, {"id": 1, "v": 1}), (2, {"id": 1, "v": 2}))
    house.push("t", (3, {"id": 1, "v": 2}), (4, {"id": 1, "v": 2}), key=("id", "v"))
    house.push("t", (5, {"id": 1, "v": 2}), key=("id", "v"))
    house.run()
    assert house.rows("t", "id, v, _sdc_sequence") == [(1, 2, 2)]
    house.run()
    assert house.rows("t", "_sdc_sequence") == [(2,), (3,), (4,), (5,)]
    assert any(isinstance(event, SchemaChanged) and "key dropped" in event.text for event in house.events)
    house.run()
    assert len(house.rows("t")) == 4


def test_keys_that_go_back_and_forth_within_a_request(house: House) -> None:
    records = [
        {
            "client_id": 1,
            "table_name": "t",
            "action": "upsert",
            "sequence": n,
            "key_names": key,
            "data": {"a": n, "b": n},
        }
        for n, key in enumerate([["a"], ["b"], ["a"], ["a", "b"]])
    ]
    house.push_text(json.dumps(records))
    for _ in range(4):
        house.run()
    assert house.rows("t", "a") == [(0,), (1,), (2,), (3,)]


def test_a_key_is_known_again_where_a_run_was_not_told_of_its_commit(house: House) -> None:
    house.push("t", (1, {"id": 1, "v": 1}))
    house.push("t", (2, {"id": 1, "v": 2}), key=("v",))
    house.run()
    (house.inbox.folder / "committed").unlink()
    for _ in range(2):
        house.run()
    assert house.rows("t", "_sdc_sequence") == [(1,), (2,)]


def test_tables_stay_known_once_they_are_loaded_and_the_inbox_is_trimmed(house: House) -> None:
    for number in range(60):
        house.push("first", (number, {"id": number, "text": "x" * 100}))
    house.push("second", (1, {"code": "a"}), key=("code",))
    before = house.inbox.size()
    house.run()
    assert house.inbox.size() < before / 4
    assert [(stream.name, stream.key) for stream in house.source().discover()] == [
        ("first", ("id",)),
        ("second", ("code",)),
    ]
    assert house.run().lanes[0].loads == 0


def test_what_comes_after_discovery_is_the_next_runs(house: House) -> None:
    house.push("t", (1, {"id": 1}))
    source = house.source()
    wanted = [Selected(stream) for stream in source.discover()]
    house.push("t", (2, {"id": 2}))
    house.push("new", (3, {"id": 3}))
    (lane,) = source.lanes(wanted)
    batches = [message for message in source.read(lane, None) if isinstance(message, Batch)]
    assert [(batch.stream, batch.rows.to_pylist()) for batch in batches] == [("t", [{"id": 1}])]


def test_small_requests_are_gathered_into_one_batch(house: House) -> None:
    for number in range(50):
        house.push("t", (number, {"id": number}))
        house.push("u", (number, {"id": number}))
    source = house.source()
    (lane,) = source.lanes([Selected(stream) for stream in source.discover()])
    batches = [message for message in source.read(lane, None) if isinstance(message, Batch)]
    assert [(batch.stream, batch.rows.num_rows) for batch in batches] == [("t", 50), ("u", 50)]


def test_only_the_wanted_fields_are_read(house: House) -> None:
    house.push("t", (1, {"id": 1, "a": 1, "b": 2}))
    source = house.source()
    (stream,) = source.discover()
    (lane,) = source.lanes([Selected(stream, frozenset({"b"}))])
    (batch,) = [message for message in source.read(lane, None) if isinstance(message, Batch)]
    assert batch.rows.to_pylist() == [{"id": 1, "b": 2}]


def test_a_key_of_another_type_is_rejected_and_told(house: House) -> None:
    house.push("t", (1, {"id": 1}))
    house.run()
    house.push("t", (2, {"id": "two", "v": [1, "x"]}), (3, {"id": 3, "v": {"a": 1}}))
    result = house.run()
    assert [lane.rejected for lane in result.lanes] == [1]
    assert house.rows("t", "id") == [(1,), (3,)]
    ((reason,),) = house.query("select reason from pushed._sdc_rejected")
    assert reason.startswith("Key of another type on id")


def test_a_log_of_late_records(house: House, caplog: pytest.LogCaptureFixture) -> None:
    _users(house, 200, 1)
    _users(house, 100, 2)
    house.run()
    assert "left out records of version 100" in caplog.text
    assert not [event for event in house.events if isinstance(event, Warned)]


def test_a_damaged_list_of_tables_is_told(house: House) -> None:
    house.push("t", (1, {"id": 1}))
    (house.inbox.folder / "tables.json").write_text("{")
    with pytest.raises(SourceDataError, match="inbox keeps of its tables cannot be read") as refused:
        house.source().check()
    assert refused.value.hint


def test_an_inbox_that_nobody_has_filled_yet(house: House) -> None:
    source = house.source()
    source.check()
    assert source.discover() == []
    assert house.run().lanes == ()


def test_it_is_found_by_its_type(tmp_path: Path) -> None:
    connector = find_connector("source", "import_api")
    assert open_source(parse_properties(connector, {"inbox": str(tmp_path)})).discover() == []


@pytest.mark.parametrize(
    "properties",
    [
        Properties(),
        Properties(inbox="a", database="postgresql://h/d", source_id=1),
        Properties(database="postgresql://h/d"),
        Properties(inbox="a", source_id=1),
        Properties(source_id=1),
    ],
)
def test_it_has_one_inbox(properties: Properties) -> None:
    with pytest.raises(SettingsError, match="do not name one inbox\nhint: give `inbox`"):
        open_source(properties)


def test_the_address_of_a_database_is_never_shown() -> None:
    connector = find_connector("source", "import_api")
    given = {"database": "postgresql://u:s3cret@127.0.0.1:1/d", "source_id": 1}
    with pytest.raises(TransientError, match="the inbox of source 1 does not answer") as refused:
        open_source(parse_properties(connector, given)).check()
    assert "s3cret" not in str(refused.value)
    with pytest.raises(SettingsError) as wrong:
        parse_properties(connector, {**given, "database": ["s3cret"]})
    assert "s3cret" not in str(wrong.value)
