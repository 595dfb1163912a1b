"""Push and validate: every row of the documented error table, word by word, and what is accepted."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from tests.importing.bodies import CLIENT, pushed, taken, told

from lockstitch.importing import answers
from lockstitch.importing.push import check_push, receive_push

JSON = "application/json"


def _errors(*errors: Any) -> tuple[int, Any]:
    return 422, {"status": "ERROR", "error": "Request cannot be processed; see errors.", "errors": list(errors)}


def _receive(body: bytes | str, content_type: str | None = JSON, encoding: str | None = None) -> Any:
    return receive_push(body.encode() if isinstance(body, str) else body, content_type, encoding, CLIENT)


@pytest.mark.parametrize("body", [{"client_id": 1}, "text", None, 1, [pushed(), 1], [[pushed()]]])
def test_a_root_that_is_no_array_of_records(body: Any) -> None:
    assert told(check_push(body, CLIENT)) == (400, {"status": "ERROR", "message": "An array of records is expected"})


def test_what_is_no_json_is_told_with_its_place() -> None:
    lines = ["[", '  {"a": 1},', " ]"]
    assert told(_receive("\n".join(lines))) == (
        400,
        {
            "status": "ERROR",
            "message": "Malformed json in the body!",
            "error": "Unexpected character (']' (code 93)): expected a value\n"
            " at [Source: java.io.StringReader@796a657e; line: 3, column: 2]",
            "input": None,
        },
    )


@pytest.mark.parametrize("body", [b"", b"[", b'[{"a": NaN}]', b"[01]", b'["\xff"]', b"\xff", b"[] []", b'["a'])
def test_anything_else_that_is_no_json(body: bytes) -> None:
    status, answer = told(_receive(body))
    assert (status, answer["message"], answer["input"]) == (400, "Malformed json in the body!", None)
    assert "; line: 1, column: " in answer["error"]


def test_a_client_id_is_missing() -> None:
    expected = (401, {"status": "ERROR", "error": "Not Authenticated.", "errors": None})
    assert told(check_push([pushed(), pushed(client_id=...)], CLIENT)) == expected
    assert told(check_push([pushed(client_id=None)], CLIENT)) == expected


def test_a_client_id_of_another_account() -> None:
    error = "Access token is not associated with this client."
    assert told(check_push([pushed(client_id=CLIENT + 1)], CLIENT)) == (
        403,
        {"status": "ERROR", "error": "Forbidden", "errors": {"error": error}},
    )


def test_several_client_ids() -> None:
    reason = f"The batch contains data points for multiple clients. Only client_id {CLIENT} is allowed"
    assert told(check_push([pushed(), pushed(client_id=2)], CLIENT)) == _errors({"reason": reason})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"table_name": ...}, {"table_name": ["can't be blank"]}),
        ({"table_name": " "}, {"table_name": ["can't be blank"]}),
        ({"action": ...}, {"action": ["can't be blank"]}),
        ({"sequence": ...}, {"sequence": ["can't be blank"]}),
        ({"data": ...}, {"data": ["can't be blank"]}),
        ({"sequence": "1"}, {"sequence": ["should be an integer", "should be a number"]}),
        ({"sequence": 1.5}, {"sequence": ["should be an integer", "should be a number"]}),
        ({"sequence": True}, {"sequence": ["should be an integer", "should be a number"]}),
        ({"sequence": 2**63}, {"sequence": ["can not be above 9223372036854775807"]}),
        ({"data": [1]}, {"data": ["data must be an object"]}),
        ({"data": "id"}, {"data": ["data must be an object"]}),
        ({"data": {"name": "Finn"}}, {"data": ["data must include keys"]}),
        ({"data": {"id": None}}, {"data": ["keys cannot not be null in data"]}),
        ({"data": {"id": "x" * 1025}}, {"data": ["String keys cannot be longer than 1024 characters"]}),
        ({"data": {"id": {"a": 1}}}, {"data": ["keys cannot be objects or arrays"]}),
        ({"key_names": ...}, {"key_names": ["can't be blank"]}),
        ({"key_names": []}, {"key_names": ["can't be blank"]}),
        (
            {"key_names": ..., "key_properties": ["id"]},
            {"key_names": ["can't be blank"], "key_properties": ["unknown key"]},
        ),
        ({"key_names": "id"}, {"key_names": ["should be an array of strings"]}),
        ({"table_name": ..., "sequence": ...}, {"table_name": ["can't be blank"], "sequence": ["can't be blank"]}),
        ({"table_name": 5}, {"table_name": ["should be a string"]}),
        ({"action": "delete"}, {"action": ["should be upsert"]}),
        ({"table_version": "1"}, {"table_version": ["should be an integer", "should be a number"]}),
    ],
)
def test_a_record_that_is_wrong(change: dict[str, Any], reason: Any) -> None:
    assert told(check_push([pushed(**change)], CLIENT)) == _errors({"reason": reason})


def test_each_wrong_record_has_an_entry_in_their_order() -> None:
    body = [pushed(sequence=...), pushed(), pushed(data={})]
    reasons = [{"sequence": ["can't be blank"]}, {"data": ["data must include keys"]}]
    assert told(check_push(body, CLIENT)) == _errors(*({"reason": reason} for reason in reasons))


@pytest.mark.parametrize(
    "body",
    [
        [],
        [pushed()] * 20_001,
        [pushed(data={"id": 1, "points": [1] * 10_000})],
        [pushed(data={"id": 1} | {f"p{n}": n for n in range(10_000)})],
        [pushed(data={"id": 1, "deep": json.loads("[" * 100 + "]" * 100)})],
    ],
    ids=["empty", "records", "nested points", "points", "depth"],
)
def test_limits(body: Any) -> None:
    status, answer = told(check_push(body, CLIENT))
    assert (status, answer["status"]) == (400, "ERROR")
    assert set(answer) == {"status", "message"}


def test_what_just_fits() -> None:
    taken(check_push([pushed()] * 20_000, CLIENT))
    taken(check_push([pushed(data={"id": 1, "points": [None] * 9_999})], CLIENT))
    taken(check_push([pushed(data={"id": 1, "deep": json.loads("[" * 99 + "]" * 99)})], CLIENT))
    taken(check_push([pushed(data={"id": "x" * 1024}, sequence=2**63 - 1)], CLIENT))
    taken(check_push([pushed(sequence=-(2**63))], CLIENT))


def test_a_body_nested_beyond_what_any_parser_follows() -> None:
    status, answer = told(_receive("[" * 100_000))
    assert (status, answer) == (400, {"status": "ERROR", "message": "data is nested more than 100 levels deep"})


def test_a_body_that_is_too_large() -> None:
    message = "Request rejected: request size (20000001s bytes) exceeds the maximum"
    assert told(_receive(b" " * 20_000_001)) == (413, {"status": "ERROR", "message": message})
    packed = gzip.compress(b" " * 30_000_000)
    assert told(_receive(packed, encoding="gzip"))[0] == 413
    just = b" " * (20_000_000 - 2) + b"[]"
    assert told(_receive(just))[1]["message"] == "The body has no records; at least one is expected"


def test_packed_bodies() -> None:
    body = json.dumps([pushed()]).encode()
    whole = gzip.compress(body[:10]) + gzip.compress(body[10:])
    assert taken(_receive(whole, encoding="gzip"))[0].rows == [{"id": 1, "name": "Finn"}]
    assert told(_receive(whole[:-4], encoding="gzip"))[1]["message"] == "Malformed gzip in the body!"
    assert told(_receive(body, encoding="gzip"))[0] == 400
    assert told(_receive(body, encoding="br"))[0] == 415


@pytest.mark.parametrize("given", ["application/xml", "text/plain", ""])
def test_another_content_type(given: str) -> None:
    message = f"Unsupported content-type {given}. Please send application/json or application/transit+json"
    assert told(_receive("[]", given)) == (415, {"status": "ERROR", "message": message})


@pytest.mark.parametrize("given", [JSON, "application/json; charset=utf-8", "Application/JSON"])
def test_content_types_of_json(given: str) -> None:
    assert len(taken(_receive(json.dumps([pushed()]), given))) == 1


def test_fixed_answers() -> None:
    assert told(answers.INACTIVE) == (
        401,
        {"error": "Forbidden", "errors": {"error": "Connection is not active."}},
    )
    assert told(answers.INVALID_REGION) == (401, {"message": "Invalid region."})
    assert told(answers.NOT_AUTHENTICATED) == (401, {"status": "ERROR", "error": "Not Authenticated.", "errors": None})
    assert answers.Answer(405, b"Method not allowed.", "text/plain") == answers.METHOD_NOT_ALLOWED
    assert told(answers.STORED) == (201, {"status": "OK", "message": "Batch Accepted!"})
    assert told(answers.VALID) == (200, {"status": "OK", "message": "Batch is valid!"})
    assert told(answers.QUEUED) == (202, {"status": "Accepted", "message": "The batch is queued to be processed."})
    assert told(answers.STATUS)[1]["name"] == "pipeline.gate"


def test_records_of_many_tables_are_gathered_in_their_order() -> None:
    body = [pushed(sequence=1), pushed(table_name="orders", sequence=2), pushed(sequence=3, data={"id": 2})]
    first, second = taken(check_push(body, CLIENT))
    assert (first.table, first.key, first.sequences) == ("customers", ("id",), [1, 3])
    assert first.rows == [{"id": 1, "name": "Finn"}, {"id": 2}]
    assert (second.table, second.sequences) == ("orders", [2])


def test_what_the_java_client_sends_beyond_the_documented() -> None:
    body = [
        pushed(namespace="shop", table_version=7),
        pushed(namespace="shop", action="switch_view", table_version=7, key_names=..., data=...),
        pushed(namespace="shop", table_version=8),
        pushed(table_name="never", action="switch_view", key_names=..., data=...),
    ]
    found = taken(check_push(body, CLIENT))
    assert [(one.table, one.version, len(one.rows), one.publish) for one in found] == [
        ("customers", 7, 1, True),
        ("customers", 8, 1, False),
    ]


def test_a_key_that_changes_within_a_request() -> None:
    body = [pushed(), pushed(key_names=["id", "name"]), pushed(key_names=["id", "name"])]
    assert [(one.key, len(one.rows)) for one in taken(check_push(body, CLIENT))] == [(("id",), 1), (("id", "name"), 2)]


def test_values_are_taken_as_they_are() -> None:
    data = '{"id": 1, "when": "2020-01-01T00:00:00Z", "big": 123456789012345678901234567890, "price": 0.10, "no": null}'
    body = json.dumps([pushed(data="DATA")]).replace('"DATA"', data)
    (row,) = taken(_receive(body))[0].rows
    assert row == {
        "id": 1,
        "when": "2020-01-01T00:00:00Z",
        "big": 123456789012345678901234567890,
        "price": 0.1,
        "no": None,
    }
