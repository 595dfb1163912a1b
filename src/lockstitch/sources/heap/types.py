"""What an Avro type is to somebody who chooses fields: a type and format of JSON Schema."""

from __future__ import annotations

from typing import Any, Literal

from lockstitch.core.model import Field

PRIMITIVES: dict[str, str] = {
    "null": "string",
    "boolean": "boolean",
    "int": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "string": "string",
    "bytes": "string",
    "enum": "string",
    "fixed": "string",
    "record": "object",
    "map": "object",
    "array": "array",
}

#: Logical types, where they are more than their primitive: (type, format).
LOGICAL: dict[str, tuple[str, str | None]] = {
    "date": ("string", "date"),
    "time-millis": ("string", "time"),
    "time-micros": ("string", "time"),
    "timestamp-millis": ("string", "date-time"),
    "timestamp-micros": ("string", "date-time"),
    "timestamp-nanos": ("string", "date-time"),
    "local-timestamp-millis": ("string", "date-time"),
    "local-timestamp-micros": ("string", "date-time"),
    "local-timestamp-nanos": ("string", "date-time"),
    "decimal": ("string", "singer.decimal"),
    "uuid": ("string", None),
}


def field_of(name: str, type_: Any, inclusion: Literal["automatic", "available"]) -> Field:
    """Return the field that an Avro type makes; a mixture of types is a string."""
    word, format_ = _word(type_)
    return Field(name, word, format_, inclusion)


def _word(type_: Any) -> tuple[str, str | None]:
    if isinstance(type_, list):
        words = {_word(branch) for branch in type_ if branch != "null"}
        if words == {("integer", None), ("number", None)}:
            return "number", None
        return words.pop() if len(words) == 1 else ("string", None)
    if isinstance(type_, dict):
        logical = LOGICAL.get(type_.get("logicalType", ""))
        return logical or _word(type_["type"])
    return PRIMITIVES.get(type_, "object"), None  # any other word is the name of a record
