"""Custom fields of leads become one list, whatever their types are and however many there are."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from lockstitch.sources.closeio.custom_fields import gathered, is_custom
from lockstitch.toolkit.json_rows import JsonRows
from sources.closeio.account import Account, ago
from sources.closeio.pipelines import Warehouse, truth

FIELDS = {"id": "string", "name": "string"}


def custom(*leads: dict[str, Any], rows: JsonRows | None = None) -> list[dict[str, Any]]:
    """Return each lead's custom fields by id."""
    reader = rows or JsonRows(FIELDS, closed=True, keeps=is_custom)
    records = [json.dumps({"id": str(number), **lead}).encode() for number, lead in enumerate(leads)]
    batch = gathered(reader.batch(records))
    batch.validate(full=True)
    return [{field["id"]: field["value"] for field in row["custom_fields"]} for row in batch.to_pylist()]


@pytest.mark.parametrize(
    "value",
    ["text ☃", "", 12.5, 7, 2**53 + 1, True, False, ["A", "B"], [], [1, "a", None], {"nested": [1]}, 2**70],
    ids=repr,
)
def test_a_value_of_any_type(value: Any) -> None:
    assert custom({"custom.cf_1": value}, {}) == [{"cf_1": value}, {}]


def test_types_that_differ_between_fields_and_within_one() -> None:
    leads = [
        {"custom.cf_1": "a", "custom.cf_2": 1, "custom.lcf_3": ["x"]},
        {"custom.cf_1": 2, "custom.cf_2": True, "custom.lcf_3": "y"},
        {"custom.cf_1": None, "custom.cf_2": {"a": 1}, "custom.lcf_3": [1.5]},
        {"custom.cf_2": 0.5},
    ]
    assert custom(*leads) == [
        {"cf_1": "a", "cf_2": 1, "lcf_3": ["x"]},
        {"cf_1": 2, "cf_2": True, "lcf_3": "y"},
        {"cf_2": {"a": 1}, "lcf_3": [1.5]},
        {"cf_2": 0.5},
    ]


def test_types_that_change_from_one_batch_to_the_next() -> None:
    reader = JsonRows(FIELDS, closed=True, keeps=is_custom)
    for value in ("a", "b", 1, 2, "c", ["d"], None, {"e": 1}):
        assert custom({"custom.cf_1": value}, rows=reader) == [{} if value is None else {"cf_1": value}]


def test_no_fields_at_all_are_an_empty_list() -> None:
    batch = gathered(pa.RecordBatch.from_pydict({"id": ["a", "b"]}))
    assert batch.to_pylist() == [{"id": "a", "custom_fields": []}, {"id": "b", "custom_fields": []}]
    assert gathered(batch.slice(0, 0).drop_columns(["custom_fields"])).num_rows == 0


def test_three_hundred_fields_in_the_order_of_their_ids() -> None:
    values: list[Any] = ["text", 1, 0.5, True, ["a"], [1], {"o": 1}]
    leads = [
        {f"custom.cf_{field:03}": values[(field + number) % 7] for field in range(300) if (field + number) % 5}
        for number in range(40)
    ]
    found = custom(*leads)
    for lead, fields in zip(leads, found, strict=True):
        assert fields == {name.removeprefix("custom."): value for name, value in lead.items()}
        assert list(fields) == sorted(fields)


def test_the_id_ends_at_the_next_dot_and_the_old_object_is_left_out() -> None:
    rows = JsonRows(FIELDS, keeps=is_custom)
    assert custom({"custom.cf_1.choice": "a", "custom": {"One": "a"}}, rows=rows) == [{"cf_1": "a"}]


def test_they_land_as_a_subtable(account: Account, warehouse: Warehouse) -> None:
    account.lead(1, ago(hours=2), **{"custom.lcf_x": "a string", "custom.cf_y": ["several", "choices"], "custom": {}})
    account.lead(2, ago(hours=2), **{"custom.lcf_x": 5, "custom.cf_y": True, "custom.cf_z": {"a": [1, "b"]}})
    account.lead(3, ago(hours=2))
    warehouse.run(account)
    assert warehouse.records("leads") == (truth(account, "leads"), set())
