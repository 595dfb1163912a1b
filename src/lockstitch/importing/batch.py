"""Batch: from a request to records, or to the documented refusal (`spec/connect-api.md` section 17.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lockstitch.importing.answers import Accepted, Answer, Refused, batch_refused, failed_validation
from lockstitch.importing.content import expect_batch_media, unpacked
from lockstitch.importing.gathering import Gathering
from lockstitch.importing.instants import instant
from lockstitch.importing.json_body import parse_json
from lockstitch.importing.limits import GREATEST_SEQUENCE, KEY_CHARACTERS, LEAST_SEQUENCE, RECORDS, excess
from lockstitch.importing.schema import Schema, compiled, type_name

#: The arguments: which type each has, and whether it must be there.
_ARGUMENTS: Mapping[str, tuple[str, bool]] = {
    "table_name": ("String", True),
    "schema": ("JSONObject", True),
    "messages": ("JSONArray", True),
    "key_names": ("JSONArray", False),
    "table_version": ("Integer", False),
    "bookmark_names": ("JSONArray", False),
}

#: The same for each message; `data` belongs to an upsert only.
_MESSAGE: Mapping[str, tuple[str, bool]] = {
    "action": ("String", True),
    "sequence": ("Integer", True),
    "data": ("JSONObject", True),
    "time_extracted": ("String", False),
}

_PYTHON: Mapping[str, type] = {"String": str, "JSONObject": dict, "JSONArray": list, "Integer": int}

_ACTIONS = ("upsert", "activate_version")


def receive_batch(body: bytes, content_type: str | None, encoding: str | None) -> Accepted | Answer:
    """Read and check a body of batch; the headers are Content-Type and Content-Encoding."""
    try:
        expect_batch_media(content_type)
        return check_batch(parse_json(unpacked(body, encoding)))
    except Refused as refused:
        return refused.answer


def check_batch(body: Any) -> Accepted | Answer:
    """Check a parsed body. Rows come out in the types that the schema gives them; the body's own are changed."""
    try:
        _check_arguments(body)
        for index, message in enumerate(body["messages"]):
            _check_message(message, index)
        schema = compiled(body["schema"])
        key = tuple(body.get("key_names") or ())
        rows = [message["data"] for message in body["messages"] if message["action"] == "upsert"]
        _check_rows(rows, schema, key)
        rows = schema.converted(rows)
    except Refused as refused:
        return refused.answer
    except RecursionError:
        return batch_refused("Invalid JSON schema: it refers to itself without end")
    return Accepted(_gathered(body, key, rows))


def _check_arguments(body: Any) -> None:
    _check_shape(body, _ARGUMENTS)
    messages = body["messages"]
    if not body["table_name"]:
        raise Refused(failed_validation("#/table_name: expected minLength: 1, actual: 0"))
    if not messages:
        raise Refused(failed_validation("#/messages: expected minimum item count: 1, found: 0"))
    if len(messages) > RECORDS:
        raise Refused(failed_validation(f"#/messages: expected maximum item count: {RECORDS}, found: {len(messages)}"))
    for name in ("key_names", "bookmark_names"):
        for index, one in enumerate(body.get(name) or ()):
            _expect(one, "String", f"#/{name}/{index}")
    names = body.get("key_names") or ()
    if len(set(names)) != len(names):
        raise Refused(failed_validation("#/key_names: array items are not unique"))
    version = body.get("table_version")
    if version is not None and not 0 <= version <= GREATEST_SEQUENCE:
        raise Refused(failed_validation(f"#/table_version: {version} is not from 0 to {GREATEST_SEQUENCE}"))


def _check_shape(body: Any, arguments: Mapping[str, tuple[str, bool]]) -> None:
    _expect(body, "JSONObject", "#")
    for name, (_, required) in arguments.items():
        if required and name not in body:
            raise Refused(failed_validation(f"#: required key [{name}] not found"))
    for name in body:
        if name not in arguments:
            raise Refused(failed_validation(f"#: extraneous key [{name}] is not permitted"))
    for name, (wanted, required) in arguments.items():
        if name in body and (required or body[name] is not None):
            _expect(body[name], wanted, f"#/{name}")


def _expect(value: Any, wanted: str, path: str) -> None:
    if type(value) is not _PYTHON[wanted]:
        raise Refused(failed_validation(f"{path}: expected type: {wanted}, found: {type_name(value)}"))


def _check_message(message: Any, index: int) -> None:
    path = f"#/messages/{index}"
    _expect(message, "JSONObject", path)
    activates = message.get("action") == "activate_version"
    for name, (wanted, required) in _MESSAGE.items():
        if name == "data" and activates:
            continue
        if name in message:
            if required or message[name] is not None:
                _expect(message[name], wanted, f"{path}/{name}")
        elif required:
            raise Refused(_lacking(path, name))
    for name in message:
        if name not in _MESSAGE or (name == "data" and activates):
            raise Refused(failed_validation(f"{path}: extraneous key [{name}] is not permitted"))
    if message["action"] not in _ACTIONS:
        raise Refused(failed_validation(f"{path}/action: {message['action']} is not a valid enum value"))
    _check_sequence(message["sequence"])
    extracted = message.get("time_extracted")
    if extracted is not None and instant(extracted) is None:
        raise Refused(failed_validation(f"{path}/time_extracted: [{extracted}] is not a valid date-time"))


def _lacking(path: str, name: str) -> Answer:
    """The documented text: a message is compared with both of its forms."""
    return failed_validation(
        f"{path}: #: 0 subschemas matched instead of one "
        f"{path}: 2 schema violations found "
        f"{path}: required key [{name}] not found "
        f"{path}: extraneous key [data] is not permitted "
        f"{path}: required key [{name}] not found"
    )


def _check_sequence(sequence: int) -> None:
    if sequence > GREATEST_SEQUENCE:
        raise Refused(failed_validation(f"#: sequence can not be above {GREATEST_SEQUENCE}"))
    if sequence < LEAST_SEQUENCE:
        raise Refused(failed_validation(f"#: sequence can not be below {LEAST_SEQUENCE}"))


def _check_rows(rows: list[dict[str, Any]], schema: Schema, key: tuple[str, ...]) -> None:
    for index, row in enumerate(rows):
        too_much = excess(row)
        if too_much is not None:
            raise Refused(failed_validation(f"#/messages/{index}/data: {too_much}"))
    fault = schema.first_fault(rows)
    if fault is not None:
        index, told = fault
        raise Refused(batch_refused(f"Record {index} did not conform to schema: {told}"))
    for index, row in enumerate(rows):
        for name in key:
            _check_key(row.get(name), name, f"#/messages/{index}/data/{name}")


def _check_key(value: Any, name: str, path: str) -> None:
    if value is None:
        raise Refused(batch_refused(f"Record is missing key property {name}"))
    if type(value) is str and len(value) > KEY_CHARACTERS:
        raise Refused(failed_validation(f"{path}: expected maxLength: {KEY_CHARACTERS}, actual: {len(value)}"))
    if type(value) in (dict, list):
        raise Refused(failed_validation(f"{path}: a key is a single value, found: {type_name(value)}"))


def _gathered(body: Mapping[str, Any], key: tuple[str, ...], rows: list[dict[str, Any]]) -> Any:
    """Return the records; `_sdc_extracted_at` of all of them is the latest that a message names."""
    table, version = body["table_name"], body.get("table_version") or None
    gathering, rest = Gathering(), iter(rows)
    for message in body["messages"]:
        if message["action"] == "upsert":
            gathering.add(table, key, version, message["sequence"], next(rest))
        else:
            gathering.publish(table, key, version)
    times = {instant(text) for message in body["messages"] if (text := message.get("time_extracted"))}
    moments = [moment for moment in times if moment is not None and not isinstance(moment, str)]
    records = gathering.records()
    for one in records:
        one.extracted_at = max(moments, default=None)
    return records
