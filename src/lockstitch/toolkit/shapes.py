"""What a vendor's documentation says of a stream's fields, as data in the form of a record. Loads no Arrow.

    {"id": "string", "value": "number", "date_created": "date-time", "is_done": "any",
     "emails": [{"email": "string", "type": "string"}], "meta": {"path": "string"}}

A scalar is one of `integer`, `number`, `string`, `boolean`, `date-time` or `any` (each value as it is written); a list
holds the shape of its elements, an object the shapes of its fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from lockstitch.core.model import Field

Shape: TypeAlias = "str | list[Shape] | Fields"
Fields: TypeAlias = "Mapping[str, Shape]"


def fields_of(fields: Fields, automatic: tuple[str, ...] = ()) -> tuple[Field, ...]:
    """Return the fields as discovery tells them; the `automatic` ones cannot be left out."""
    return tuple(_field(name, shape, name in automatic) for name, shape in fields.items())


def _field(name: str, shape: Shape, automatic: bool) -> Field:
    kind = "array" if isinstance(shape, list) else "object" if isinstance(shape, Mapping) else shape
    text = kind in ("date-time", "any")
    return Field(
        name,
        "string" if text else kind,
        "date-time" if kind == "date-time" else None,
        "automatic" if automatic else "available",
    )
