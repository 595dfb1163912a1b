"""The Import API over HTTP: each row of the tables of `spec/connect-api.md` section 17."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.api.calling import Account, Served
from tests.api.importing import JSON, STORED, TRANSIT, Pushing, pushing, zipped
from tests.importing.bodies import batch, message

NOT_AUTHENTICATED = {"status": "ERROR", "error": "Not Authenticated.", "errors": None}
POSTED = ("batch", "push", "validate")


@pytest.fixture
def source(account: Account) -> Pushing:
    return pushing(account)


def _body(source: Pushing, kind: str) -> Any:
    return batch() if kind == "batch" else [source.record()]


# --- 17.1: what succeeds ----------------------------------------------------------------------------------------------


def test_status_needs_no_token(served: Served):
    answer = served.client.get("/v2/import/status")
    assert (answer.status_code, answer.headers["content-type"]) == (200, JSON)
    assert answer.json() == {
        "name": "pipeline.gate",
        "version": "0.3.3-SNAPSHOT",
        "revision": "a154360ad8c43182965049dbf6239aa7c1f3c84d",
        "status": "OK",
        "reason": None,
    }


def test_what_is_accepted_waits_in_its_order(source: Pushing):
    assert source.ask(batch(), "batch") == STORED
    assert source.ask([source.record(sequence=2), source.record(table_name="t", data={"id": 2})]) == STORED
    at = datetime(2020, 1, 13, 21, 25, 3, tzinfo=UTC)
    row = {"id": 1, "name": "Finn", "has_magic": False, "modified_at": at}
    assert source.waiting() == [
        ("customers", [1565880017], [row]),
        ("customers", [2], [{"id": 1, "name": "Finn"}]),
        ("t", [1565880017], [{"id": 2}]),
    ]


def test_validate_keeps_nothing(source: Pushing):
    assert source.ask([source.record()], "validate") == (200, {"status": "OK", "message": "Batch is valid!"})
    assert source.ask([source.record(data=None)], "validate")[0] == 422
    assert source.waiting() == []


@pytest.mark.parametrize("media", [JSON, "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"])
@pytest.mark.parametrize("kind", POSTED)
def test_json_may_name_its_characters(source: Pushing, kind: str, media: str):
    assert source.ask(_body(source, kind), kind, media=media)[0] == (200 if kind == "validate" else 201)


@pytest.mark.parametrize("media", [TRANSIT, "application/transit+json; charset=utf-8"])
@pytest.mark.parametrize("kind", ["push", "validate"])
def test_transit(source: Pushing, kind: str, media: str):
    record = ["^ ", "client_id", source.account.id, "table_name", "t", "action", "~:upsert", "sequence", 1]
    body = [[*record, "key_names", ["id"], "data", ["^ ", "id", 1, "at", "~t2020-01-13T21:25:03.000Z"]]]
    answer = source.send(json.dumps(body).encode(), kind, media=media)
    assert answer.status_code == (200 if kind == "validate" else 201), answer.text
    at = datetime(2020, 1, 13, 21, 25, 3, tzinfo=UTC)
    assert source.waiting() == ([] if kind == "validate" else [("t", [1], [{"id": 1, "at": at}])])


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
@pytest.mark.parametrize("kind", POSTED)
def test_a_body_may_be_zipped(source: Pushing, kind: str, encoding: str):
    answer = source.send(zipped(_body(source, kind)), kind, Content_Encoding=encoding)
    assert answer.status_code == (200 if kind == "validate" else 201)


# --- what clients send, literally -------------------------------------------------------------------------------------


def test_target_stitch(source: Pushing):
    """Its headers and its whole bodies: table versions, bookmarks, times of extraction, 19-digit sequences."""
    rows = '{"action":"upsert","sequence":1700000000000000001,"data":{"id":1,"at":"2024-05-01T10:00:00.000000Z"},'
    rows += '"time_extracted":"2024-05-01T10:00:01.000000Z"},{"action":"upsert","sequence":1700000000000000002,'
    rows += '"data":{"id":2,"at":null},"time_extracted":"2024-05-01T10:00:02.000000Z"}'
    schema = '{"type":"object","properties":{"id":{"type":["null","integer"]},'
    schema += '"at":{"type":["null","string"],"format":"date-time"}}}'
    names = '"key_names":["id"],"bookmark_names":["at"],"table_version":1714557600000'
    for messages in (rows, '{"action":"activate_version","sequence":1700000000000000003}'):
        body = f'{{"table_name":"users","schema":{schema},"messages":[{messages}],{names}}}'
        answer = source.send(body.encode(), "batch")
        assert (answer.status_code, answer.json()) == STORED
    (upserts, activation) = source.waiting()
    assert upserts[1] == [1700000000000000001, 1700000000000000002]
    assert upserts[2][0]["at"] == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert activation == ("users", [], [])


def test_java_stitch_client(source: Pushing):
    """Transit with its cache codes, a namespace, a version, and a switch of views without key and data."""
    first = f'["^ ","~:client_id",{source.account.id},"~:namespace","orders","~:action","upsert",'
    first += '"~:table_name","orders","~:table_version",7,"~:key_names",["id"],"~:sequence",1565880017000,'
    first += '"~:data",["^ ","id","~i5","cost","~f12.5","at","~m1565880017000","note","~~tilde"]]'
    second = f'["^ ","^0",{source.account.id},"^1","orders","^2","switch_view","^3","orders","^4",7,'
    second += '"^6",1565880018000]'
    answer = source.send(f"[{first},{second}]".encode(), media=TRANSIT)
    assert (answer.status_code, answer.json()) == STORED, answer.text
    assert answer.headers["content-type"] == JSON
    ((table, sequences, (row,)),) = source.waiting()
    assert (table, sequences) == ("orders", [1565880017000])
    assert {name: str(value) for name, value in row.items()} == {
        "id": "5",
        "cost": "12.5",
        "at": "2019-08-15 14:40:17+00:00",
        "note": "~tilde",
    }


# --- 17.2: statuses of their own --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", POSTED)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_another_method(source: Pushing, kind: str, method: str):
    answer = source.send(b"", kind, method=method)
    assert answer.status_code == 405
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == ("" if method == "HEAD" else "Method not allowed.")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["nothing", "push/more", "pushes", "", "Push"])
def test_an_unknown_address(source: Pushing, path: str, method: str):
    assert source.send(b"[]", path, method=method).status_code == 404
    assert source.waiting() == []


def test_status_takes_no_other_method(served: Served):
    assert served.client.post("/v2/import/status").status_code == 405


@pytest.mark.parametrize(
    ("kind", "media", "told"),
    [
        ("batch", "text/csv", "Content-Type must be application/json"),
        ("batch", TRANSIT, "Content-Type must be application/json"),
        ("batch", None, "Content-Type must be application/json"),
        *(
            (kind, media, f"Unsupported content-type {media or ''}. Please send {JSON} or {TRANSIT}")
            for kind in ("push", "validate")
            for media in ("application/xml", None)
        ),
    ],
)
def test_another_content_type(source: Pushing, kind: str, media: str | None, told: str):
    answer = source.send(json.dumps(_body(source, kind)).encode(), kind, media=media)
    assert answer.status_code == 415
    if kind == "batch":
        assert (answer.text, answer.headers["content-type"]) == (told, "text/plain; charset=utf-8")
    else:
        assert answer.json() == {"status": "ERROR", "message": told}


@pytest.mark.parametrize("kind", POSTED)
def test_another_encoding(source: Pushing, kind: str):
    assert source.ask(_body(source, kind), kind, Content_Encoding="br")[0] == 415


# --- 17.3: limits -----------------------------------------------------------------------------------------------------


def _of_size(source: Pushing, size: int) -> bytes:
    """A push of exactly so many bytes."""
    empty = len(json.dumps([source.record(data={"id": 1, "text": ""})]))
    return json.dumps([source.record(data={"id": 1, "text": "x" * (size - empty)})]).encode()


@pytest.mark.parametrize("is_zipped", [False, True])
def test_a_body_of_exactly_the_largest_size(source: Pushing, *, is_zipped: bool):
    for size, status in ((20_000_000, 201), (20_000_001, 413)):
        body = _of_size(source, size)
        assert len(body) == size
        answer = source.send(
            gzip.compress(body, 1) if is_zipped else body, Content_Encoding="gzip" if is_zipped else None
        )
        assert answer.status_code == status
    message = "Request rejected: request size (20000001s bytes) exceeds the maximum"
    assert answer.json() == {"status": "ERROR", "message": message}
    assert len(source.waiting()) == 1


@pytest.mark.parametrize("kind", POSTED)
def test_a_body_that_is_too_large_and_does_not_say_so(source: Pushing, kind: str):
    headers = {"Authorization": f"Bearer {source.token}", "Content-Type": JSON}
    pieces = (b" " * 1_000_000 for _ in range(21))
    answer = source.account.served.client.post(f"/v2/import/{kind}", content=pieces, headers=headers)
    assert answer.status_code == 413
    assert answer.json()["message"].startswith("Request rejected: request size (")


@pytest.mark.parametrize("kind", POSTED)
def test_a_bomb_does_not_grow_memory(source: Pushing, kind: str):
    bomb = gzip.compress(bytes(2_000_000_000 // 100), 9)
    bomb = bomb * 100  # two thousand million bytes in a hundred members
    tracemalloc.start()
    try:
        answer = source.send(bomb, kind, Content_Encoding="gzip")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status_code == 413
    assert peak < 100_000_000


def test_a_body_of_very_many_tiny_members(source: Pushing):
    body = zipped([source.record()]) + gzip.compress(b"") * 100_000
    assert source.send(body, Content_Encoding="gzip").status_code == 201
    cut = body[:-3]
    assert source.send(cut, Content_Encoding="gzip").status_code == 400
    assert len(source.waiting()) == 1


def test_records_and_points(source: Pushing):
    records = [source.record(data={"id": number}) for number in range(20_000)]
    assert source.ask(records) == STORED
    assert source.ask([*records, records[0]]) == (
        400,
        {"status": "ERROR", "message": "The body has 20001 records; at most 20000 are allowed"},
    )
    messages = [message(data={"id": 1})] * 20_001
    status, told = source.ask(batch(messages=messages, schema={}), "batch")
    assert (status, told["error"][:37]) == (400, "Request failed validation:#/messages:")
    points: dict[str, Any] = {"id": 1, "list": list(range(9_999))}
    assert source.ask([source.record(data=points)]) == STORED
    assert source.ask([source.record(data={**points, "more": 1})])[0] == 400
    assert source.ask([source.record(sequence=2**63 - 1)]) == STORED
    assert source.ask([source.record(sequence=2**63)])[0] == 422


# --- 17.4: batch ------------------------------------------------------------------------------------------------------

_FAILED = "Request failed validation:"


def _lacking(name: str) -> str:
    at = "#/messages/0:"
    return (
        f"{_FAILED}{at} #: 0 subschemas matched instead of one {at} 2 schema violations found "
        f"{at} required key [{name}] not found {at} extraneous key [data] is not permitted "
        f"{at} required key [{name}] not found"
    )


@pytest.mark.parametrize(
    ("body", "error"),
    [
        *((batch(**{name: ...}), f"{_FAILED}#: required key [{name}] not found") for name in ("table_name", "schema")),
        (batch(messages=...), f"{_FAILED}#: required key [messages] not found"),
        (batch(extra=1), f"{_FAILED}#: extraneous key [extra] is not permitted"),
        (batch(table_name=5), f"{_FAILED}#/table_name: expected type: String, found: Integer"),
        (batch(messages={}), f"{_FAILED}#/messages: expected type: JSONArray, found: JSONObject"),
        (batch(schema=[]), f"{_FAILED}#/schema: expected type: JSONObject, found: JSONArray"),
        (batch(messages=[]), f"{_FAILED}#/messages: expected minimum item count: 1, found: 0"),
        (
            batch(messages=[message(sequence=2**63)]),
            f"{_FAILED}#: sequence can not be above 9223372036854775807",
        ),
        *((batch(messages=[message(**{name: ...})]), _lacking(name)) for name in ("action", "sequence", "data")),
        (batch(schema={"properties": {"id": {"type": "int"}}}), "Invalid JSON schema: unknown type: [int]"),
        (
            batch(messages=[message(data={"id": "1"})]),
            "Record 0 did not conform to schema: #/id: expected: Integer, found: String",
        ),
        (batch(messages=[message(data={"name": "x"})]), "Record is missing key property id"),
        (batch(messages=[message(data={"id": None})], schema={}), "Record is missing key property id"),
    ],
)
def test_a_batch_that_is_refused(source: Pushing, body: Any, error: str):
    assert source.ask(body, "batch") == (400, {"error": error})
    assert source.waiting() == []


@pytest.mark.parametrize("key_names", [[], None, ...])
def test_a_batch_without_keys(source: Pushing, key_names: Any):
    assert source.ask(batch(key_names=key_names), "batch") == STORED
    assert len(source.waiting()) == 1


# --- 17.5: push and validate ------------------------------------------------------------------------------------------


def _errors(*errors: Any) -> tuple[int, Any]:
    return 422, {"status": "ERROR", "error": "Request cannot be processed; see errors.", "errors": list(errors)}


_BLANK = ["can't be blank"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"table_name": ""}, {"table_name": _BLANK}),
        ({"table_name": ...}, {"table_name": _BLANK}),
        ({"action": ...}, {"action": _BLANK}),
        ({"sequence": ...}, {"sequence": _BLANK}),
        ({"sequence": "one"}, {"sequence": ["should be an integer", "should be a number"]}),
        ({"data": "x"}, {"data": ["data must be an object"]}),
        ({"data": {"name": 1}}, {"data": ["data must include keys"]}),
        ({"data": {"id": None}}, {"data": ["keys cannot not be null in data"]}),
        (
            {"key_names": ..., "key_properties": ["id"]},
            {"key_names": _BLANK, "key_properties": ["unknown key"]},
        ),
        ({"key_names": []}, {"key_names": _BLANK}),
        ({"data": {"id": "x" * 1_025}}, {"data": ["String keys cannot be longer than 1024 characters"]}),
    ],
)
@pytest.mark.parametrize("kind", ["push", "validate"])
def test_a_record_that_is_refused(source: Pushing, kind: str, changes: dict[str, Any], reason: Any):
    assert source.ask([source.record(**changes)], kind) == _errors({"reason": reason})
    assert source.waiting() == []


@pytest.mark.parametrize("kind", ["push", "validate"])
def test_each_bad_record_is_told_and_none_is_kept(source: Pushing, kind: str):
    body = [source.record(sequence=None), source.record(), source.record(data=5)]
    first, second = {"reason": {"sequence": _BLANK}}, {"reason": {"data": ["data must be an object"]}}
    assert source.ask(body, kind) == _errors(first, second)
    assert source.waiting() == []


@pytest.mark.parametrize("kind", ["push", "validate"])
def test_bodies_that_are_no_records(source: Pushing, kind: str):
    no_array = {"status": "ERROR", "message": "An array of records is expected"}
    for body in ({}, {"records": []}, "x", 5, None, [1], [[]]):
        assert source.ask(body, kind) == (400, no_array)
    assert source.ask([], kind)[0] == 400
    answer = source.send(b"[\n1,\n]", kind)
    assert (answer.status_code, answer.json()) == (
        400,
        {
            "status": "ERROR",
            "message": "Malformed json in the body!",
            "error": "Unexpected character (']' (code 93)): expected a value\n"
            " at [Source: java.io.StringReader@796a657e; line: 3, column: 1]",
            "input": None,
        },
    )
    assert source.send(b"", kind).status_code == 400
    assert source.send(b"[" * 100_000, kind).status_code == 400


@pytest.mark.parametrize("kind", ["push", "validate"])
def test_whose_records_they_are(source: Pushing, other: Account, kind: str):
    forbidden = {"error": "Access token is not associated with this client."}
    assert source.ask([source.record(client_id=other.id)], kind) == (
        403,
        {"status": "ERROR", "error": "Forbidden", "errors": forbidden},
    )
    assert source.ask([source.record(client_id=...)], kind) == (401, NOT_AUTHENTICATED)
    told = f"The batch contains data points for multiple clients. Only client_id {source.account.id} is allowed"
    assert source.ask([source.record(), source.record(client_id=other.id)], kind) == _errors({"reason": told})
    assert source.waiting() == []
