"""Push and validate: from a request to records, or to the documented refusal (`spec/connect-api.md` section 17.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lockstitch.importing.answers import (
    NO_ARRAY,
    NOT_AUTHENTICATED,
    OTHER_CLIENT,
    Accepted,
    Answer,
    Refused,
    push_errors,
    push_refused,
)
from lockstitch.importing.content import push_media, unpacked
from lockstitch.importing.gathering import Gathering
from lockstitch.importing.json_body import parse_json
from lockstitch.importing.limits import GREATEST_SEQUENCE, KEY_CHARACTERS, LEAST_SEQUENCE, RECORDS, excess
from lockstitch.importing.transit import parse_transit

_PARSERS: Mapping[str, Callable[[bytes], Any]] = {"json": parse_json, "transit": parse_transit}

Reason = dict[str, list[str]]

_BLANK = "can't be blank"
_NOT_INTEGER = ["should be an integer", "should be a number"]


def receive_push(body: bytes, content_type: str | None, encoding: str | None, client_id: int) -> Accepted | Answer:
    """Read and check a body of push or validate; the headers are Content-Type and Content-Encoding."""
    try:
        parse = _PARSERS[push_media(content_type)]
        return check_push(parse(unpacked(body, encoding)), client_id)
    except Refused as refused:
        return refused.answer


def check_push(body: Any, client_id: int) -> Accepted | Answer:
    """Check a parsed body; `client_id` is the account that the token belongs to."""
    refused = _refused_whole(body) or _refused_client(body, client_id)
    if refused is not None:
        return refused
    gathering = Gathering()
    errors: list[Any] = []
    for record in body:
        reason = _take(record, gathering)
        if reason:
            errors.append({"reason": reason})
    return push_errors(errors) if errors else Accepted(gathering.records())


def _refused_whole(body: Any) -> Answer | None:
    if not isinstance(body, list) or not all(type(record) is dict for record in body):
        return NO_ARRAY
    if not body:
        return push_refused("The body has no records; at least one is expected")
    if len(body) > RECORDS:
        return push_refused(f"The body has {len(body)} records; at most {RECORDS} are allowed")
    for record in body:
        data = record.get("data")
        too_much = excess(data) if type(data) is dict else None
        if too_much is not None:
            return push_refused(too_much)
    return None


def _refused_client(body: list[dict[str, Any]], client_id: int) -> Answer | None:
    clients = [record.get("client_id") for record in body]
    if None in clients:
        return NOT_AUTHENTICATED
    wrong = sum(type(client) is not int for client in clients)
    if wrong:
        return push_errors([{"reason": {"client_id": _NOT_INTEGER}}] * wrong)
    if clients.count(clients[0]) != len(clients):
        told = f"The batch contains data points for multiple clients. Only client_id {client_id} is allowed"
        return push_errors([{"reason": told}])
    return OTHER_CLIENT if clients[0] != client_id else None


def _take(record: dict[str, Any], gathering: Gathering) -> Reason | None:
    """Gather a record, or say what is wrong with it, by argument."""
    reason = _reason(_COMMON, record)
    version = record.get("table_version") or None
    if record.get("action") == "switch_view":
        if not reason:
            gathering.publish(record["table_name"], None, version)
        return reason
    reason |= _reason(_OF_UPSERTS, record)
    if "key_names" in reason and "key_properties" in record:
        reason["key_properties"] = ["unknown key"]
    if reason:
        return reason
    key, data = tuple(record["key_names"]), record["data"]
    wrong = _wrong_key(key, data)
    if wrong is not None:
        return {"data": [wrong]}
    gathering.add(record["table_name"], key, version, record["sequence"], data)
    return None


def _reason(rules: Mapping[str, Callable[[Any], list[str] | None]], record: Mapping[str, Any]) -> Reason:
    return {name: wrong for name, rule in rules.items() if (wrong := rule(record.get(name))) is not None}


def _table_name(value: Any) -> list[str] | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return [_BLANK]
    return None if isinstance(value, str) else ["should be a string"]


def _action(value: Any) -> list[str] | None:
    if value in (None, ""):
        return [_BLANK]
    return None if value in ("upsert", "switch_view") else ["should be upsert"]


def _sequence(value: Any) -> list[str] | None:
    if value is None:
        return [_BLANK]
    if type(value) is not int:
        return _NOT_INTEGER
    if value > GREATEST_SEQUENCE:
        return [f"can not be above {GREATEST_SEQUENCE}"]
    return None if value >= LEAST_SEQUENCE else [f"can not be below {LEAST_SEQUENCE}"]


def _table_version(value: Any) -> list[str] | None:
    if value is None or (type(value) is int and 0 <= value <= GREATEST_SEQUENCE):
        return None
    return _NOT_INTEGER if type(value) is not int else [f"should be from 0 to {GREATEST_SEQUENCE}"]


def _key_names(value: Any) -> list[str] | None:
    if value is None or value == []:
        return [_BLANK]
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return ["should be an array of strings"]
    if not all(value):
        return [_BLANK]
    return None if len(set(value)) == len(value) else ["should name each field once"]


def _data(value: Any) -> list[str] | None:
    if value is None:
        return [_BLANK]
    return None if isinstance(value, dict) else ["data must be an object"]


_COMMON: Mapping[str, Callable[[Any], list[str] | None]] = {
    "table_name": _table_name,
    "action": _action,
    "sequence": _sequence,
    "table_version": _table_version,
}
_OF_UPSERTS: Mapping[str, Callable[[Any], list[str] | None]] = {"key_names": _key_names, "data": _data}


def _wrong_key(key: tuple[str, ...], data: Mapping[str, Any]) -> str | None:
    """Say why the data has no usable key, or None."""
    for name in key:
        if name not in data:
            return "data must include keys"
        value = data[name]
        if value is None:
            return "keys cannot not be null in data"
        if isinstance(value, str) and len(value) > KEY_CHARACTERS:
            return f"String keys cannot be longer than {KEY_CHARACTERS} characters"
        if isinstance(value, dict | list):
            return "keys cannot be objects or arrays"
    return None
