"""What this build's connectors add to the catalogue: types of their own, and properties that Stitch's types lack.

A connector's `spec.py` may also say which of Stitch's required properties can be left out:

    REPLACES: dict[str, frozenset[str]]    a property of its own, to those that need no value while it has one
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

import msgspec

from lockstitch.connectors import Connector, properties_schema
from lockstitch.control.catalogue.model import ConnectionType, Property, Step
from lockstitch.core.model import Json


def serve(published: ConnectionType, connector: Connector) -> ConnectionType:
    """Return a type of Stitch's as this build runs it: with access, and our own properties at the form's end."""
    own = [
        replace(each, is_required=False, listed=False)
        for each in _properties(connector)
        if each.name not in published.properties
    ]
    return replace(
        published,
        steps=tuple(_extended(step, own) if step.type == "form" else step for step in published.steps),
        details={**published.details, "access": True},
        connector=connector,
        replaces=getattr(connector.spec, "REPLACES", {}),
    )


def own_type(connector: Connector, schedule: Iterable[Property]) -> ConnectionType:
    """Return a type that Stitch does not have. A source's form begins with the properties of its schedule."""
    common = {each.name: each for each in schedule}
    own = [each for each in _properties(connector) if each.name not in common]
    form = Step("form", (*common.values(), *own))
    details: dict[str, Json] = {"pricing_tier": "standard", "pipeline_state": "released"}
    if connector.kind == "source":
        steps = (form, Step("discover_schema"), Step("field_selection"), Step("fully_configured"))
        details |= {"default_start_date": None, "default_scheduling_interval": 60}
        details |= {"protocol": connector.type, "access": True, "image_version": None}
    else:
        steps = (form, Step("fully_configured"))
        details |= {"protocol": connector.type, "access": True}
    return ConnectionType(connector.kind, connector.type, connector.spec.TITLE, steps, details, connector=connector)


def _extended(form: Step, own: Iterable[Property]) -> Step:
    return replace(form, properties=(*form.properties, *own))


def _properties(connector: Connector) -> list[Property]:
    own, _ = properties_schema(connector)
    return [
        Property(
            name=each.encode_name,
            is_required=each.required,
            is_credential=each.encode_name in connector.spec.CREDENTIALS,
            system_provided=False,
            property_type="user_provided",
            json_schema=_as_text(own["properties"][each.encode_name]),
        )
        for each in msgspec.structs.fields(connector.spec.Properties)
    ]


def _as_text(schema: Mapping[str, Any]) -> Mapping[str, Json] | None:
    """Return a schema as Stitch's cards write them, where all but lists and tables is text."""
    branches = [branch for branch in schema.get("anyOf", [schema]) if branch.get("type") != "null"]
    kinds = {branch.get("type") for branch in branches}
    if "string" in kinds and len(branches) > 1:
        return {"type": "string"}
    if len(branches) != 1:
        return None
    (branch,) = branches
    choices = branch.get("enum")
    if choices is not None:
        return {"type": "string", "enum": [str(choice) for choice in choices]}
    if branch.get("type") == "string":
        return {"type": "string"} | {key: cast("Json", branch[key]) for key in _KEPT if key in branch}
    return _SCHEMAS.get(branch.get("type", "object"))


_KEPT = ("pattern", "format")

_SCHEMAS: dict[str, dict[str, Json]] = {
    "boolean": {"type": "string", "pattern": "^(true|false)$"},
    "integer": {"type": "string", "pattern": r"^-?\d+$"},
    "number": {"type": "string", "pattern": r"^-?\d+(\.\d+)?$"},
    "array": {"type": "array"},
    "object": {"type": "object"},
}
