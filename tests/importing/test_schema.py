"""The keywords of JSON Schema, draft 4, one by one."""

from __future__ import annotations

from typing import Any

import pytest
from tests.importing.bodies import batch, message, told

from lockstitch.importing.answers import Refused
from lockstitch.importing.batch import check_batch
from lockstitch.importing.schema import compiled
from lockstitch.toolkit.exact import exact_number


def _fault(schema: dict[str, Any], data: dict[str, Any]) -> str | None:
    found = compiled(schema).first_fault([{"fine": 1}, data] if not schema.get("required") else [data])
    return found[1] if found is not None else None


def _of_x(**schema: Any) -> dict[str, Any]:
    return {"properties": {"x": schema}}


TREE = {
    "properties": {"x": {"$ref": "#/definitions/node"}},
    "definitions": {
        "node": {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"$ref": "#/definitions/node"}}}
    },
}


@pytest.mark.parametrize(
    ("schema", "value", "fault"),
    [
        (_of_x(type="integer"), 1.0, "#/x: expected: Integer, found: Double"),
        (_of_x(type="integer"), True, "#/x: expected: Integer, found: Boolean"),
        (_of_x(type="integer"), 2**70, None),
        (_of_x(type="number"), exact_number("1.23456789012345678901"), None),
        (_of_x(type="string"), None, "#/x: expected: String, found: Null"),
        (_of_x(type=["null", "string"]), None, None),
        (_of_x(type=["null", "string"]), 5, "#/x: expected: Null or String, found: Integer"),
        (_of_x(type="boolean"), 1, "#/x: expected: Boolean, found: Integer"),
        (_of_x(type="object"), [], "#/x: expected: JSONObject, found: JSONArray"),
        (_of_x(), object, None),
        (_of_x(format="date-time"), "2020-01-13T21:25:03+0000", None),
        (_of_x(format="date-time"), "2020-01-13T21:25:03-05:30", None),
        (_of_x(format="date-time"), "2020-01-13", "#/x: [2020-01-13] is not a valid date-time"),
        (_of_x(format="date-time"), "2020-02-30T00:00:00Z", "#/x: [2020-02-30T00:00:00Z] is not a valid date-time"),
        (_of_x(format="date-time"), 5, None),
        (_of_x(format="email"), "anything", None),
        (_of_x(enum=["a", 1]), "a", None),
        (_of_x(enum=["a", 1]), 1.0, None),
        (_of_x(enum=["a", 1]), True, "#/x: True is not a valid enum value"),
        (_of_x(items={"type": "integer"}), [1, 2], None),
        (_of_x(items={"type": "integer"}), [1, "2"], "#/x/1: expected: Integer, found: String"),
        (_of_x(items=[{"type": "integer"}]), [1, "2"], None),
        (_of_x(properties={"y": {"type": "string"}}), {"y": 1}, "#/x/y: expected: String, found: Integer"),
        (_of_x(required=["y"]), {}, "#/x: required key [y] not found"),
        (_of_x(additionalProperties=False), {"y": 1}, "#/x: extraneous key [y] is not permitted"),
        (_of_x(additionalProperties={"type": "string"}), {"y": 1}, "#/x/y: expected: String, found: Integer"),
        (_of_x(anyOf=[{"type": "string"}, {"type": "null"}]), None, None),
        (
            _of_x(anyOf=[{"type": "string"}, {"type": "null"}]),
            1,
            "#/x: #: no subschema matched out of the total 2 subschemas",
        ),
        (_of_x(oneOf=[{"type": "integer"}, {"type": "number"}]), 1, "#/x: #: 2 subschemas matched instead of one"),
        (_of_x(oneOf=[{"type": "string"}, {"type": "number"}]), 1, None),
        (_of_x(allOf=[{"type": "integer"}, {"minimum": 5}]), 1, "#/x: #: only 1 subschema matches out of 2"),
        ({"properties": {"x": {"not": {"type": "null"}}}}, None, "#/x: subject must not be valid against schema"),
        (_of_x(minimum=5), 5, None),
        (_of_x(minimum=5, exclusiveMinimum=True), 5, "#/x: 5 is not greater than 5"),
        (_of_x(maximum=5), 6, "#/x: 6 is not less or equal to 5"),
        (_of_x(multipleOf=0.01), 0.07, None),
        (_of_x(multipleOf=0.01), 0.075, "#/x: 0.075 is not a multiple of 0.01"),
        (_of_x(minLength=2), "a", "#/x: expected minLength: 2, actual: 1"),
        (_of_x(maxItems=1), [1, 2], "#/x: expected maximum item count: 1, found: 2"),
        (_of_x(uniqueItems=True), [1, True, {"a": 1}], None),
        (_of_x(uniqueItems=True), [{"a": 1, "b": 2}, {"b": 2, "a": 1}], "#/x: array items are not unique"),
        (TREE, {"v": 1, "next": {"v": 2}}, None),
        (TREE, {"v": 1, "next": {"v": "2"}}, "#/x/next/v: expected: Integer, found: String"),
    ],
)
def test_keywords(schema: dict[str, Any], value: Any, fault: str | None) -> None:
    assert _fault(schema, {"x": value}) == fault


@pytest.mark.parametrize(
    ("schema", "data", "fault"),
    [
        ({"required": ["id"]}, {"x": 1}, "#: required key [id] not found"),
        ({"required": ["id"]}, {"id": 1}, None),
        (
            {"properties": {"fine": {}}, "additionalProperties": False},
            {"x": 1},
            "#: extraneous key [x] is not permitted",
        ),
        ({"type": "array"}, {}, "#: expected: JSONArray, found: JSONObject"),
        ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "required": ["b"]}, {"b": 1}, None),
    ],
)
def test_keywords_of_the_record_itself(schema: dict[str, Any], data: dict[str, Any], fault: str | None) -> None:
    assert _fault(schema, data) == fault


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"properties": []}, "#/properties: expected type: JSONObject, found: JSONArray"),
        ({"properties": {"x": 1}}, "#/properties/x: expected type: JSONObject, found: Integer"),
        ({"properties": {"x": {"type": [{"type": "string"}]}}}, "unknown type: [{'type': 'string'}]"),
        ({"properties": {"x": {"$ref": "#/nowhere"}}}, "$ref #/nowhere refers to nothing"),
        ({"properties": {"x": {"$ref": "http://other"}}}, "$ref http://other is not within the schema"),
        ({"definitions": {"a": {"$ref": "#/definitions/a"}}, "$ref": "#/definitions/a"}, "refers to itself"),
    ],
)
def test_a_schema_that_is_none(schema: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused, match="Invalid JSON schema: ") as refused:
        compiled(schema)
    assert told in str(refused.value)


def test_a_schema_that_goes_round_in_circles() -> None:
    schema = {
        "properties": {"x": {"$ref": "#/definitions/a"}},
        "definitions": {"a": {"anyOf": [{"$ref": "#/definitions/a"}]}},
    }
    status, answer = told(check_batch(batch(schema=schema, messages=[message(data={"id": 1, "x": 1})])))
    assert (status, answer) == (400, {"error": "Invalid JSON schema: it refers to itself without end"})
