"""Batch: every row of the documented error table, word by word, and what is accepted."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.importing.bodies import batch, message, taken, told

from lockstitch.importing import answers
from lockstitch.importing.batch import check_batch, receive_batch
from lockstitch.toolkit.exact import Exact


def _error(body: Any) -> str:
    status, answer = told(check_batch(body))
    assert status == 400
    assert set(answer) == {"error"}
    return answer["error"]


def _lacks(name: str, index: int = 0) -> str:
    at = f"#/messages/{index}:"
    return (
        f"Request failed validation:{at} #: 0 subschemas matched instead of one {at} 2 schema violations found "
        f"{at} required key [{name}] not found {at} extraneous key [data] is not permitted "
        f"{at} required key [{name}] not found"
    )


@pytest.mark.parametrize("name", ["table_name", "schema", "messages"])
def test_a_required_argument_is_missing(name: str) -> None:
    assert _error(batch(**{name: ...})) == f"Request failed validation:#: required key [{name}] not found"


def test_an_illegal_argument() -> None:
    assert _error(batch(client_id=1)) == "Request failed validation:#: extraneous key [client_id] is not permitted"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"table_name": 5}, "#/table_name: expected type: String, found: Integer"),
        ({"table_name": None}, "#/table_name: expected type: String, found: Null"),
        ({"table_name": 2**40}, "#/table_name: expected type: String, found: Long"),
        ({"schema": []}, "#/schema: expected type: JSONObject, found: JSONArray"),
        ({"schema": "x"}, "#/schema: expected type: JSONObject, found: String"),
        ({"messages": {}}, "#/messages: expected type: JSONArray, found: JSONObject"),
        ({"messages": [5]}, "#/messages/0: expected type: JSONObject, found: Integer"),
        ({"key_names": "id"}, "#/key_names: expected type: JSONArray, found: String"),
        ({"key_names": [True]}, "#/key_names/0: expected type: String, found: Boolean"),
        ({"table_version": 1.5}, "#/table_version: expected type: Integer, found: Double"),
        ({"bookmark_names": [1]}, "#/bookmark_names/0: expected type: String, found: Integer"),
        ({"messages": [message(sequence="1")]}, "#/messages/0/sequence: expected type: Integer, found: String"),
        ({"messages": [message(data=[])]}, "#/messages/0/data: expected type: JSONObject, found: JSONArray"),
        ({"messages": []}, "#/messages: expected minimum item count: 1, found: 0"),
        ({"messages": [message()] * 20_001}, "#/messages: expected maximum item count: 20000, found: 20001"),
        ({"messages": [message(action="delete")]}, "#/messages/0/action: delete is not a valid enum value"),
        ({"messages": [message(extra=1)]}, "#/messages/0: extraneous key [extra] is not permitted"),
        ({"messages": [message(sequence=2**63)]}, "#: sequence can not be above 9223372036854775807"),
        ({"messages": [message(time_extracted="now")]}, "#/messages/0/time_extracted: [now] is not a valid date-time"),
    ],
)
def test_an_argument_is_wrong(change: dict[str, Any], told: str) -> None:
    assert _error(batch(**change)) == f"Request failed validation:{told}"


def test_a_body_that_is_no_object() -> None:
    assert _error([]) == "Request failed validation:#: expected type: JSONObject, found: JSONArray"


@pytest.mark.parametrize("name", ["action", "sequence", "data"])
def test_a_message_lacks_an_argument(name: str) -> None:
    assert _error(batch(messages=[message(**{name: ...})])) == _lacks(name)
    assert _error(batch(messages=[message(), message(**{name: ...})])) == _lacks(name, 1)


def test_an_activation_has_no_data() -> None:
    wrong = message(action="activate_version")
    assert _error(batch(messages=[wrong])).endswith("#/messages/0: extraneous key [data] is not permitted")


def test_an_unknown_type_in_the_schema() -> None:
    schema = {"properties": {"id": {"type": "int"}}}
    assert _error(batch(schema=schema)) == "Invalid JSON schema: unknown type: [int]"
    nested = {"properties": {"id": {"anyOf": [{"type": ["null", "any"]}]}}}
    assert _error(batch(schema=nested)) == "Invalid JSON schema: unknown type: [any]"


def test_a_record_violates_its_schema() -> None:
    data = {"id": "one", "name": "Finn"}
    assert _error(batch(messages=[message(data=data)])) == (
        "Record 0 did not conform to schema: #/id: expected: Integer, found: String"
    )
    assert _error(batch(messages=[message(), message(data=data)])).startswith("Record 1 did not conform")


def test_a_key_is_missing_or_null() -> None:
    schema = {"properties": {"id": {"type": ["null", "integer"]}}}
    for data in ({"name": "Finn"}, {"id": None}):
        body = batch(schema=schema, messages=[message(data=data)])
        assert _error(body) == "Record is missing key property id"


def test_a_key_that_cannot_be_one() -> None:
    long = batch(schema={}, messages=[message(data={"id": "x" * 1025})])
    assert _error(long) == "Request failed validation:#/messages/0/data/id: expected maxLength: 1024, actual: 1025"
    taken(check_batch(batch(schema={}, messages=[message(data={"id": "x" * 1024})])))
    assert _error(batch(schema={}, messages=[message(data={"id": []})])).startswith("Request failed validation:")


def test_limits_of_a_record() -> None:
    many = {"id": 1, "points": [1] * 10_000}
    assert _error(batch(messages=[message(data=many)])).startswith("Request failed validation:#/messages/0/data: ")
    deep = {"id": 1, "deep": json.loads("[" * 100 + "]" * 100)}
    assert "nested more than 100 levels" in _error(batch(messages=[message(data=deep)]))


def test_requests_that_are_no_batch_at_all() -> None:
    assert receive_batch(b"{}", "text/xml", None) == answers.BATCH_CONTENT_TYPE
    assert answers.BATCH_CONTENT_TYPE.body == b"Content-Type must be application/json"
    assert receive_batch(b"{}", "application/transit+json", None) == answers.BATCH_CONTENT_TYPE
    too_large = told(receive_batch(b" " * 20_000_001, "application/json", None))
    message = "Request rejected: request size (20000001s bytes) exceeds the maximum"
    assert too_large == (413, {"status": "ERROR", "message": message})
    assert told(receive_batch(b"{", "application/json", None))[1]["message"] == "Malformed json in the body!"
    assert told(answers.NOT_AUTHORIZED) == (401, {"message": "Not Authorized"})


def test_the_documented_example() -> None:
    body = json.dumps(batch()).encode()
    (records,) = taken(receive_batch(body, "application/json; charset=utf-8", None))
    assert (records.table, records.key, records.sequences) == ("customers", ("id",), [1565880017])
    modified = datetime(2020, 1, 13, 21, 25, 3, tzinfo=UTC)
    assert records.rows == [{"id": 1, "name": "Finn", "has_magic": False, "modified_at": modified}]


@pytest.mark.parametrize("key_names", [[], None, ...])
def test_a_table_without_a_key(key_names: Any) -> None:
    assert taken(check_batch(batch(key_names=key_names)))[0].key == ()


def test_what_a_singer_target_sends_beyond_the_documented() -> None:
    messages = [
        message(time_extracted="2020-01-01T10:00:00.500000Z", sequence=1),
        message(time_extracted="2020-01-01T12:00:00+02:00", sequence=2),
        {"action": "activate_version", "sequence": 3},
    ]
    (records,) = taken(
        check_batch(batch(table_version=1578000000000, bookmark_names=["modified_at"], messages=messages))
    )
    assert (records.version, records.sequences, records.publish) == (1578000000000, [1, 2], True)
    assert records.extracted_at == datetime(2020, 1, 1, 10, 0, 0, 500000, tzinfo=UTC)


def test_an_activation_alone() -> None:
    body = batch(table_version=5, messages=[{"action": "activate_version", "sequence": 3}])
    (records,) = taken(check_batch(body))
    assert (records.rows, records.version, records.publish) == ([], 5, True)
    assert taken(check_batch(batch(messages=[{"action": "activate_version", "sequence": 3}]))) == ()


def _typed(schema: dict[str, Any], value: Any) -> Any:
    body = batch(schema={"properties": {"x": schema}}, key_names=[], messages=[message(data={"x": value})])
    return taken(check_batch(body))[0].rows[0]["x"]


@pytest.mark.parametrize(
    ("schema", "value", "typed"),
    [
        ({"type": "number"}, 15, 15.0),
        ({"type": ["null", "number"]}, None, None),
        ({"type": "number"}, 2**53 + 1, Exact(2**53 + 1)),
        ({"type": "number", "multipleOf": 0.01}, 15, Exact(15)),
        ({"type": "number", "multipleOf": 0.01}, 0.07, Exact("0.07")),
        ({"type": "integer"}, 15, 15),
        ({"type": "string", "format": "singer.decimal"}, "1.10", Exact("1.10")),
        ({"type": "string"}, "2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
        ({"format": "date-time"}, "2020-01-01T00:00:00-0130", datetime(2020, 1, 1, 1, 30, tzinfo=UTC)),
        ({"type": "string", "format": "date-time"}, "2020-01-01T00:00:00", datetime(2020, 1, 1, tzinfo=UTC)),
        (
            {"type": "string", "format": "date-time"},
            "2020-01-01T00:00:00.123456000Z",
            datetime(2020, 1, 1, 0, 0, 0, 123456, tzinfo=UTC),
        ),
        ({"type": "string", "format": "date-time"}, "2020-01-01T00:00:00.123456789Z", "2020-01-01T00:00:00.123456789Z"),
        ({"type": "string", "format": "date"}, "2020-02-29", datetime(2020, 2, 29, tzinfo=UTC)),
        (
            {"anyOf": [{"type": "string", "format": "date-time"}, {"type": ["string", "null"]}]},
            "2020-01-01T00:00:00Z",
            datetime(2020, 1, 1, tzinfo=UTC),
        ),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": ["string", "null"]}]}, "soon", "soon"),
        ({"type": "array", "items": {"type": "number"}}, [1, 2.5], [1.0, 2.5]),
        (
            {"type": "object", "properties": {"at": {"type": "string", "format": "date"}}},
            {"at": "2020-01-01", "other": 1},
            {"at": datetime(2020, 1, 1, tzinfo=UTC), "other": 1},
        ),
    ],
)
def test_values_get_the_types_of_their_schema(schema: dict[str, Any], value: Any, typed: Any) -> None:
    found = _typed(schema, value)
    assert (found, type(found)) == (typed, type(typed))
    if isinstance(typed, list):
        assert list(map(type, found)) == list(map(type, typed))
