"""The part of JSON Schema that report cards use is understood, keyword by keyword."""

from __future__ import annotations

from typing import Any

import pytest

from lockstitch.control.catalogue.catalogue import destination_types, source_types
from lockstitch.control.catalogue.schemas import fits

SCHEMAS = [
    each.json_schema
    for connection_type in (*source_types(), *destination_types())
    for each in connection_type.properties.values()
    if each.json_schema is not None
]

TYPES = {"string", "integer", "number", "boolean", "array", "object"}
FORMATS = {"date-time", "uri", "email", "hostname", "ipv4", "ipv6"}


def inner(schema: Any) -> list[Any]:
    """Return a schema and all those within it."""
    within = [*schema.get("anyOf", ()), *schema.get("properties", {}).values(), *filter(None, [schema.get("items")])]
    return [schema, *(each for part in within for each in inner(part))]


def test_every_schema_of_the_catalogue_is_understood() -> None:
    for schema in SCHEMAS:
        for part in inner(schema):
            assert part.get("type", "string") in TYPES
            assert part.get("format", "uri") in FORMATS
            for keyword, argument in part.items():
                # Each on its own, so that none is hidden behind one that fails first.
                fits({keyword: argument}, "some text")


def test_an_unknown_keyword_is_a_bug() -> None:
    with pytest.raises(KeyError, match="minLength"):
        fits({"minLength": 1}, "x")


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "string"}, "x", True),
        ({"type": "string"}, 1, False),
        ({"type": "integer"}, 1, True),
        ({"type": "integer"}, True, False),
        ({"type": "integer"}, 1.5, False),
        ({"type": "number"}, 1.5, True),
        ({"type": "boolean"}, False, True),
        ({"type": "array"}, {}, False),
        ({"type": "object"}, {}, True),
        ({"pattern": r"^\d+$"}, "12", True),
        ({"pattern": r"^\d+$"}, "12\n", False),
        ({"pattern": r"^\d+$"}, "١٢", False),
        ({"pattern": r"^\d+"}, "12x", True),
        ({"pattern": "^1|2$"}, "22", True),
        ({"enum": ["a", "b"]}, "c", False),
        ({"items": {"type": "string"}}, ["a", 1], False),
        ({"items": {"type": "string"}}, [], True),
        ({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\d+"}]}, "7", True),
        ({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\d+"}]}, "x", False),
        ({"properties": {"a": {"type": "string"}}}, {"a": 1}, False),
        ({"required": ["a"]}, {}, False),
        ({"properties": {"a": {}}, "additionalProperties": False}, {"a": 1, "b": 2}, False),
        ({"properties": {"a": {}}, "additionalProperties": False}, {"a": 1}, True),
    ],
)
def test_keywords(schema: dict[str, Any], value: object, expected: bool) -> None:
    assert fits(schema, value) is expected


@pytest.mark.parametrize(
    ("format_name", "right", "wrong"),
    [
        (
            "date-time",
            ["2018-11-06T22:00:00.000Z", "2017-11-06T21:20:32Z", "2020-02-29T00:00:00+05:30"],
            ["2018-11-06", "2018-11-06T22:00:00", "2018-13-06T22:00:00Z", "soon", "2021-02-29T00:00:00Z"],
        ),
        ("uri", ["https://example.com/a?b=c", "s3://bucket", "urn:a:b"], ["example.com", "https://a b", "", "1a:b"]),
        ("email", ["who@example.com"], ["who", "@example.com", "who@", "a b@example.com"]),
        (
            "hostname",
            ["localhost", "db.example.com", "my-db.", "my_database", "10.0.0.1"],
            ["-db", "a..b", "http://a", "", "a b", "a" * 64, "localhost\n"],
        ),
        ("ipv4", ["127.0.0.1"], ["127.0.0.256", "127.1", "::1", "localhost"]),
        ("ipv6", ["::1", "2001:db8::8:800:200c:417a"], ["127.0.0.1", "::g"]),
    ],
)
def test_formats(format_name: str, right: list[str], wrong: list[str]) -> None:
    schema = {"type": "string", "format": format_name}
    assert [text for text in right if not fits(schema, text)] == []
    assert [text for text in wrong if fits(schema, text)] == []
