"""JSON Schema, draft 4, as far as records need it: checks them, and gives them the types that it declares.

`pattern` and `patternProperties` are not applied: a client's regular expression could keep a server busy for ever.
The texts are those of the validator that Stitch's documentation quotes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lockstitch.importing.answers import Refused, batch_refused
from lockstitch.importing.conversions import Conversion, conversion_of
from lockstitch.importing.instants import day, instant
from lockstitch.importing.limits import TOO_DEEP
from lockstitch.importing.schema_bounds import Bound, bounds_of, canonical
from lockstitch.toolkit.exact import Exact

#: JSON Schema's types, and the Python types of their values.
_TYPES: Mapping[str, frozenset[type]] = {
    "string": frozenset((str,)),
    "integer": frozenset((int,)),
    "number": frozenset((int, float, Exact)),
    "boolean": frozenset((bool,)),
    "object": frozenset((dict,)),
    "array": frozenset((list,)),
    "null": frozenset((type(None),)),
}

#: What the error texts call them.
_WORDS = {
    "string": "String",
    "integer": "Integer",
    "number": "Number",
    "boolean": "Boolean",
    "object": "JSONObject",
    "array": "JSONArray",
    "null": "Null",
}

_FOUND: Mapping[type, str] = {
    str: "String",
    bool: "Boolean",
    float: "Double",
    Exact: "BigDecimal",
    dict: "JSONObject",
    list: "JSONArray",
    type(None): "Null",
}

_FORMATS = {"date-time": instant, "date": day}


def type_name(value: Any) -> str:
    """Return what the error texts call a value's type."""
    if type(value) is int:
        return "Integer" if -(2**31) <= value < 2**31 else "Long" if -(2**63) <= value < 2**63 else "BigInteger"
    return _FOUND[type(value)]


class _Absent:
    """The type of a field that a record does not have."""


_ABSENT = _Absent()


@dataclass(slots=True, eq=False)
class Node:
    """One schema within a schema; None where it says nothing."""

    types: tuple[str, ...] = ()
    accepts: frozenset[type] | None = None
    format: str | None = None
    properties: dict[str, Node] = field(default_factory=dict[str, "Node"])
    required: tuple[str, ...] = ()
    additional: Node | bool = True
    items: Node | tuple[Node, ...] | None = None
    choices: frozenset[Any] | None = None
    any_of: tuple[Node, ...] = ()
    one_of: tuple[Node, ...] = ()
    all_of: tuple[Node, ...] = ()
    excluded: Node | None = None
    bounds: tuple[Bound, ...] = ()
    conversion: Conversion | None = None
    #: Whether it or a schema below it changes the types of values.
    converts: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether a value's own type is all that it looks at."""
        return not (
            self.format in _FORMATS
            or self.properties
            or self.required
            or self.additional is not True
            or self.items is not None
            or self.choices is not None
            or any(True for _ in self.combined())
            or self.bounds
        )

    def combined(self) -> Iterator[Node]:
        yield from (*self.any_of, *self.one_of, *self.all_of)
        if self.excluded is not None:
            yield self.excluded

    def below(self) -> Iterator[Node]:
        """Yield the schemas directly below that a value's types can come from."""
        yield from self.properties.values()
        yield from (*self.any_of, *self.one_of, *self.all_of)
        if isinstance(self.additional, Node):
            yield self.additional
        if isinstance(self.items, Node):
            yield self.items
        elif self.items is not None:
            yield from self.items


# --- checking -------------------------------------------------------------------------------------------------------


def fault(node: Node, value: Any, path: str = "#") -> str | None:
    """Say where and why a value does not conform, or None."""
    if node.accepts is not None and type(value) not in node.accepts:
        wanted = " or ".join(_WORDS[one] for one in node.types)
        return f"{path}: expected: {wanted}, found: {type_name(value)}"
    if node.choices is not None and canonical(value) not in node.choices:
        return f"{path}: {_short(value)} is not a valid enum value"
    for bound in node.bounds:
        told = bound(value)
        if told is not None:
            return f"{path}: {told}"
    look = _WITHIN.get(type(value))
    found = look(node, value, path) if look is not None else None
    return found if found is not None else _combined_fault(node, value, path)


def _short(value: Any) -> str:
    """Return as much of a value as an answer should repeat."""
    return str(value)[:1_000]


def _text_fault(node: Node, value: str, path: str) -> str | None:
    if node.format in _FORMATS and _FORMATS[node.format](value) is None:
        return f"{path}: [{_short(value)}] is not a valid {node.format}"
    return None


def _object_fault(node: Node, value: dict[str, Any], path: str) -> str | None:
    for name in node.required:
        if name not in value:
            return f"{path}: required key [{name}] not found"
    for name, one in value.items():
        below = node.properties.get(name, node.additional)
        if below is False:
            return f"{path}: extraneous key [{name}] is not permitted"
        found = fault(below, one, f"{path}/{name}") if isinstance(below, Node) else None
        if found is not None:
            return found
    return None


def _array_fault(node: Node, value: list[Any], path: str) -> str | None:
    for index, (below, one) in enumerate(zip(_item_nodes(node, len(value)), value, strict=False)):
        found = fault(below, one, f"{path}/{index}")
        if found is not None:
            return found
    return None


def _item_nodes(node: Node, count: int) -> Sequence[Node]:
    """Return the schemas of an array's first items; those behind have none."""
    if isinstance(node.items, Node):
        return [node.items] * count
    return (node.items or ())[:count]


#: How each type of value is looked into.
_WITHIN: Mapping[type, Callable[[Node, Any, str], str | None]] = {
    str: _text_fault,
    dict: _object_fault,
    list: _array_fault,
}


def _combined_fault(node: Node, value: Any, path: str) -> str | None:
    if node.any_of and _matches(node.any_of, value, path) == 0:
        return f"{path}: #: no subschema matched out of the total {len(node.any_of)} subschemas"
    if node.one_of and (count := _matches(node.one_of, value, path)) != 1:
        return f"{path}: #: {count} subschemas matched instead of one"
    if node.all_of and (count := _matches(node.all_of, value, path)) != len(node.all_of):
        return f"{path}: #: only {count} subschema matches out of {len(node.all_of)}"
    if node.excluded is not None and fault(node.excluded, value, path) is None:
        return f"{path}: subject must not be valid against schema"
    return None


def _matches(nodes: Sequence[Node], value: Any, path: str) -> int:
    return sum(fault(node, value, path) is None for node in nodes)


# --- types ----------------------------------------------------------------------------------------------------------


def converted(node: Node, value: Any) -> Any:
    """Return a value that conforms in the type that its schema gives it."""
    if not node.converts:
        return value
    if node.conversion is not None:
        return node.conversion(value)
    if type(value) is dict:
        value = {name: _converted_field(node, name, one) for name, one in value.items()}
    elif type(value) is list:
        nodes = _item_nodes(node, len(value))
        value = [converted(one, item) for one, item in zip(nodes, value, strict=False)] + value[len(nodes) :]
    for one in (*node.any_of, *node.one_of):
        if fault(one, value) is None:
            return converted(one, value)
    for one in node.all_of:
        value = converted(one, value)
    return value


def _converted_field(node: Node, name: str, value: Any) -> Any:
    below = node.properties.get(name, node.additional)
    return converted(below, value) if isinstance(below, Node) else value


@dataclass(frozen=True, slots=True)
class Schema:
    """A compiled schema of records."""

    root: Node

    def first_fault(self, rows: Sequence[dict[str, Any]]) -> tuple[int, str] | None:
        """Return the first record that does not conform, and why, or None."""
        if self._all_conform(rows):
            return None
        for index, row in enumerate(rows):
            told = fault(self.root, row)
            if told is not None:
                return index, told
        return None

    def _all_conform(self, rows: Sequence[dict[str, Any]]) -> bool:
        """Look at the rows field by field, which is quick; where that is not enough, say no."""
        root = self.root
        is_flat = root.additional is True and root.choices is None and not root.bounds and not any(root.combined())
        if not is_flat or (root.accepts is not None and dict not in root.accepts):
            return False
        if any(name not in row for name in root.required for row in rows):
            return False
        return all(_column_conforms(node, [row.get(name, _ABSENT) for row in rows]) for name, node in _fields(root))

    def converted(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return rows that conform in the types that the schema gives them; the rows themselves are changed."""
        if not self.root.converts:
            return rows
        if any(node.converts for node in self.root.below() if node not in self.root.properties.values()):
            return [converted(self.root, row) for row in rows]
        for name, node in _fields(self.root):
            if node.converts:
                for row in rows:
                    if name in row:
                        row[name] = converted(node, row[name])
        return rows


def _fields(root: Node) -> list[tuple[str, Node]]:
    return list(root.properties.items())


def _column_conforms(node: Node, values: list[Any]) -> bool:
    if node.accepts is not None and not set(map(type, values)) <= (node.accepts | {_Absent}):
        return False
    return node.is_plain or all(value is _ABSENT or fault(node, value) is None for value in values)


def compiled(schema: Mapping[str, Any]) -> Schema:
    """Return the schema ready for use. Raises Refused for one that is none."""
    try:
        return Schema(_Compiler(schema).compile())
    except RecursionError as error:
        raise invalid(TOO_DEEP) from error


def invalid(told: str) -> Refused:
    return Refused(batch_refused(f"Invalid JSON schema: {told}"))


class _Compiler:
    """Makes nodes of a schema; a `$ref` is a node that is met again."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._by_reference: dict[str, Node] = {}
        self._nodes: list[Node] = []

    def compile(self) -> Node:
        root = self._node(self._document, "#")
        changed = True
        while changed:  # a schema may lie below itself
            changed = False
            for node in self._nodes:
                if not node.converts and (node.conversion or any(one.converts for one in node.below())):
                    node.converts = changed = True
        return root

    def _node(self, schema: Any, path: str) -> Node:
        _expect(schema, dict, path)
        if "$ref" in schema:
            return self._referred(schema["$ref"], path)
        node = Node()
        self._nodes.append(node)
        self._fill(node, schema, path)
        return node

    def _fill(self, node: Node, schema: dict[str, Any], path: str) -> None:
        node.types = _types_of(schema, path)
        node.accepts = frozenset[type]().union(*(_TYPES[one] for one in node.types)) if node.types else None
        node.format = schema.get("format") if isinstance(schema.get("format"), str) else None
        node.properties = {
            name: self._node(one, f"{path}/properties/{name}")
            for name, one in _expect(schema.get("properties", {}), dict, f"{path}/properties").items()
        }
        node.required = tuple(map(str, _expect(schema.get("required", []), list, f"{path}/required")))
        additional = schema.get("additionalProperties", True)
        node.additional = additional if type(additional) is bool else self._node(additional, f"{path}/additional")
        if "patternProperties" in schema and node.additional is False:
            node.additional = True
        if "items" in schema:
            items = schema["items"]
            node.items = self._all(items, f"{path}/items") if type(items) is list else self._node(items, path)
        if "enum" in schema:
            node.choices = frozenset(map(canonical, _expect(schema["enum"], list, f"{path}/enum")))
        node.any_of = self._all(schema.get("anyOf", []), f"{path}/anyOf")
        node.one_of = self._all(schema.get("oneOf", []), f"{path}/oneOf")
        node.all_of = self._all(schema.get("allOf", []), f"{path}/allOf")
        node.excluded = self._node(schema["not"], f"{path}/not") if "not" in schema else None
        node.bounds = bounds_of(schema)
        node.conversion = conversion_of(schema, node.types)

    def _all(self, schemas: Any, path: str) -> tuple[Node, ...]:
        return tuple(self._node(one, f"{path}/{at}") for at, one in enumerate(_expect(schemas, list, path)))

    def _referred(self, reference: Any, path: str) -> Node:
        _expect(reference, str, f"{path}/$ref")
        found = self._by_reference.get(reference)
        if found is None:
            target = self._looked_up(reference)
            found = self._by_reference[reference] = Node()
            self._nodes.append(found)
            seen = {reference}
            while "$ref" in target:
                reference = _expect(target["$ref"], str, f"{path}/$ref")
                if reference in seen:
                    raise invalid(f"{path}/$ref: {reference} refers to itself")
                seen.add(reference)
                target = self._looked_up(reference)
            self._fill(found, target, reference)
        return found

    def _looked_up(self, reference: str) -> dict[str, Any]:
        found: Any = self._document
        if not reference.startswith("#"):
            raise invalid(f"$ref {reference} is not within the schema")
        for part in reference[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, Mapping) or name not in found:
                raise invalid(f"$ref {reference} refers to nothing")
            found = found[name]
        return _expect(found, dict, reference)


def _types_of(schema: Mapping[str, Any], path: str) -> tuple[str, ...]:
    given = schema.get("type", [])
    types: list[Any] = given if isinstance(given, list) else [given]
    for one in types:
        if not isinstance(one, str) or one not in _TYPES:
            raise invalid(f"unknown type: [{one}]")
    _expect(types, list, path)
    return tuple(types)


def _expect(value: Any, wanted: type, path: str) -> Any:
    if type(value) is not wanted:
        raise invalid(f"{path}: expected type: {_FOUND[wanted]}, found: {type_name(value)}")
    return value
