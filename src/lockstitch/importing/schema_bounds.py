"""The keywords of JSON Schema that bound a value: each a small rule, in the words of the documented validator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any

from lockstitch.toolkit.exact import Exact

#: Says why a value is out of bounds, or None; also None for a value of another type.
Bound = Callable[[Any], str | None]

_NUMBERS = (int, float, Exact)


def bounds_of(schema: Mapping[str, Any]) -> tuple[Bound, ...]:
    """Return the rules of a schema; a keyword whose value is of the wrong type says nothing."""
    found: list[Bound] = []
    for keyword, make in _BOUNDS.items():
        limit = schema.get(keyword)
        if type(limit) in _NUMBERS:
            found.append(make(limit, bool(schema.get(f"exclusive{keyword.capitalize()}") is True)))
    if schema.get("uniqueItems") is True:
        found.append(_unique)
    return tuple(found)


def _minimum(limit: Any, exclusive: bool) -> Bound:
    def rule(value: Any) -> str | None:
        if type(value) not in _NUMBERS or value > limit or (value == limit and not exclusive):
            return None
        return (
            f"{value} is not {'greater' if exclusive else 'greater or equal'} {'than' if exclusive else 'to'} {limit}"
        )

    return rule


def _maximum(limit: Any, exclusive: bool) -> Bound:
    def rule(value: Any) -> str | None:
        if type(value) not in _NUMBERS or value < limit or (value == limit and not exclusive):
            return None
        return f"{value} is not {'less' if exclusive else 'less or equal'} {'than' if exclusive else 'to'} {limit}"

    return rule


def _multiple(limit: Any, exclusive: bool) -> Bound:
    del exclusive
    step = Decimal(str(limit))

    def rule(value: Any) -> str | None:
        if type(value) not in _NUMBERS:
            return None
        with localcontext() as context:
            context.prec = 400
            try:
                rest = Decimal(str(value)) % step
            except InvalidOperation:
                return f"{value} is not a multiple of {limit}"
        return None if rest == 0 else f"{value} is not a multiple of {limit}"

    return rule


def _size(kind: type, told: str, *, least: bool) -> Callable[[Any, bool], Bound]:
    def make(limit: Any, exclusive: bool) -> Bound:
        del exclusive

        def rule(value: Any) -> str | None:
            if type(value) is not kind or (len(value) >= limit if least else len(value) <= limit):
                return None
            return told.format(limit, len(value))

        return rule

    return make


def _unique(value: Any) -> str | None:
    if type(value) is not list:
        return None
    return None if len(set(map(canonical, value))) == len(value) else "array items are not unique"


_BOUNDS: Mapping[str, Callable[[Any, bool], Bound]] = {
    "minimum": _minimum,
    "maximum": _maximum,
    "multipleOf": _multiple,
    "minLength": _size(str, "expected minLength: {}, actual: {}", least=True),
    "maxLength": _size(str, "expected maxLength: {}, actual: {}", least=False),
    "minItems": _size(list, "expected minimum item count: {}, found: {}", least=True),
    "maxItems": _size(list, "expected maximum item count: {}, found: {}", least=False),
    "minProperties": _size(dict, "minimum size: [{}], found: [{}]", least=True),
    "maxProperties": _size(dict, "maximum size: [{}], found: [{}]", least=False),
}


def canonical(value: Any) -> Any:
    """Return what equals that of another value where both are one in JSON: there 1.0 is 1, and true is not."""
    if isinstance(value, list):
        return ("array", *map(canonical, value))
    if isinstance(value, dict):
        return ("object", *((name, canonical(value[name])) for name in sorted(value)))
    return ("boolean", value) if isinstance(value, bool) else value
