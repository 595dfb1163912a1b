"""The words that descriptions are written in: schemas, answers and operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Schema = dict[str, Any]

JSON, PLAIN, FORM = "application/json", "text/plain", "application/x-www-form-urlencoded"

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
NULL: Schema = {"type": "null"}
ANY: Schema = {}
ID: Schema = {"type": "integer", "minimum": 1}
MOMENT: Schema = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$"}


def record(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """Return an object with these members and no others."""
    members = {**required, **(optional or {})}
    return {"type": "object", "properties": members, "required": list(required), "additionalProperties": False}


def table(values: Schema | None = None) -> Schema:
    """Return an object with any names."""
    return {"type": "object", "additionalProperties": ANY if values is None else values}


def listing(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def choice(*values: Any) -> Schema:
    return {"enum": list(values)}


def either(*schemas: Schema) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}


def nullable(schema: Schema) -> Schema:
    return either(schema, NULL)


def ref(name: str) -> Schema:
    """Return a schema among the components."""
    return {"$ref": f"#/components/schemas/{name}"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One thing that may be answered with a status. Without a schema there is no body."""

    status: int
    schema: Schema | None
    media: str = JSON
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One method at one address, written as in OpenAPI. `bodies` by media type; `query` by the parameter's name."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    summary: str
    answers: tuple[Answer, ...]
    bodies: Mapping[str, Schema] = field(default_factory=dict[str, Schema])
    query: Mapping[str, Schema] = field(default_factory=dict[str, Schema])
    needs_token: bool = True


def ok(schema: Schema, media: str = JSON) -> Answer:
    return Answer(200, schema, media)


def bare(*texts: str, pattern: str | None = None) -> Answer:
    """Return a refusal in bare text (shape 1 of connect-api 1.4)."""
    return Answer(400, {"type": "string", "pattern": pattern} if pattern is not None else choice(*texts), PLAIN)


def coded(*codes: str, status: int = 400) -> Answer:
    """Return a refusal with a code and a message (shape 3)."""
    return Answer(status, record({"error": choice(*codes), "data": record({"message": TEXT})}))


def typed(*kinds: str) -> Answer:
    """Return a refusal of a replication job (shape 4)."""
    return Answer(400, record({"error": record({"type": choice(*kinds), "message": TEXT})}))


#: A list in pages (connect-api 1.6).
def paged(items: Schema) -> Schema:
    links = record({}, {"next": TEXT, "previous": TEXT})
    return record({"data": listing(items), "page": ID, "total": {"type": "integer", "minimum": 0}, "links": links})
