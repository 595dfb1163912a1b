"""Bodies of the Import API as tests need them, and a look at the answers."""

from __future__ import annotations

import json
from typing import Any

from lockstitch.importing.answers import Accepted, Answer
from lockstitch.toolkit.inbox.records import Records

CLIENT = 116078


def pushed(**changes: Any) -> dict[str, Any]:
    """Return a good record of push with some arguments changed; one that is `...` is left out."""
    record: dict[str, Any] = {
        "client_id": CLIENT,
        "table_name": "customers",
        "action": "upsert",
        "sequence": 1565880017,
        "key_names": ["id"],
        "data": {"id": 1, "name": "Finn"},
    }
    return _changed(record, changes)


def batch(**changes: Any) -> dict[str, Any]:
    """Return the documented body of batch with some arguments changed; one that is `...` is left out."""
    body: dict[str, Any] = {
        "table_name": "customers",
        "schema": {
            "properties": {
                "id": {"type": "integer"},
                "name": {"type": "string"},
                "has_magic": {"type": "boolean"},
                "modified_at": {"type": "string", "format": "date-time"},
            }
        },
        "messages": [message()],
        "key_names": ["id"],
    }
    return _changed(body, changes)


def message(**changes: Any) -> dict[str, Any]:
    """Return the documented message with some arguments changed; one that is `...` is left out."""
    data = {"id": 1, "name": "Finn", "has_magic": False, "modified_at": "2020-01-13T21:25:03+0000"}
    return _changed({"action": "upsert", "sequence": 1565880017, "data": data}, changes)


def _changed(whole: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**whole, **changes}.items() if value is not ...}


def told(answer: Accepted | Answer) -> tuple[int, Any]:
    """Return an answer's status and parsed body."""
    assert isinstance(answer, Answer), answer
    assert answer.content_type == "application/json"
    return answer.status, json.loads(answer.body)


def taken(answer: Accepted | Answer) -> tuple[Records, ...]:
    assert isinstance(answer, Accepted), answer
    return answer.records
