"""Whether a value fits the part of JSON Schema that report cards use (connect-api 7.3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any
from urllib.parse import urlsplit

Schema = Mapping[str, Any]


def fits(schema: Schema, value: object) -> bool:
    """Return whether a JSON value satisfies every keyword; a keyword that is not known here is a KeyError."""
    return all(_KEYWORDS[keyword](schema, value) for keyword in schema)


def _type(schema: Schema, value: object) -> bool:
    if isinstance(value, bool):
        return schema["type"] == "boolean"
    return isinstance(value, _TYPES[schema["type"]])


def _pattern(schema: Schema, value: object) -> bool:
    # JSON Schema's $ is the very end, where Python's also admits a line break before it.
    pattern = schema["pattern"].replace("$", r"\Z")
    return not isinstance(value, str) or re.search(pattern, value, re.ASCII) is not None


def _format(schema: Schema, value: object) -> bool:
    return not isinstance(value, str) or _FORMATS[schema["format"]](value)


def _any_of(schema: Schema, value: object) -> bool:
    return any(fits(branch, value) for branch in schema["anyOf"])


def _enum(schema: Schema, value: object) -> bool:
    return value in schema["enum"]


def _items(schema: Schema, value: object) -> bool:
    return not isinstance(value, list) or all(fits(schema["items"], item) for item in _elements(value))


def _properties(schema: Schema, value: object) -> bool:
    inner = _members(value)
    return all(fits(each, inner[name]) for name, each in schema["properties"].items() if name in inner)


def _required(schema: Schema, value: object) -> bool:
    return not isinstance(value, dict) or all(name in value for name in schema["required"])


def _additional(schema: Schema, value: object) -> bool:
    return schema["additionalProperties"] or all(name in schema.get("properties", {}) for name in _members(value))


def _elements(value: Sequence[object]) -> Sequence[object]:
    return value


def _members(value: object) -> Mapping[str, object]:
    return {str(name): inner for name, inner in value.items()} if isinstance(value, dict) else {}


def _is_time(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text, re.ASCII):
        return False
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        return False
    return True


def _is_uri(text: str) -> bool:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+", text):
        return False
    try:
        urlsplit(text)
    except ValueError:
        return False
    return True


def _is_email(text: str) -> bool:
    user, _, domain = text.rpartition("@")
    return re.fullmatch(r"[^\s@]{1,64}", user) is not None and _is_hostname(domain)


def _is_hostname(text: str) -> bool:
    # Underscores are no letters of a host's name, and yet container networks resolve names that have them.
    return len(text) <= 253 and re.fullmatch(rf"{_LABEL}(\.{_LABEL})*\.?", text, re.ASCII) is not None


def _is_address(family: Callable[[str], object]) -> Callable[[str], bool]:
    def is_address(text: str) -> bool:
        try:
            family(text)
        except AddressValueError:
            return False
        return True

    return is_address


_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}

_FORMATS: dict[str, Callable[[str], bool]] = {
    "date-time": _is_time,
    "uri": _is_uri,
    "email": _is_email,
    "hostname": _is_hostname,
    "ipv4": _is_address(IPv4Address),
    "ipv6": _is_address(IPv6Address),
}

_KEYWORDS: dict[str, Callable[[Schema, object], bool]] = {
    "type": _type,
    "pattern": _pattern,
    "format": _format,
    "anyOf": _any_of,
    "enum": _enum,
    "items": _items,
    "properties": _properties,
    "required": _required,
    "additionalProperties": _additional,
}
