"""Reads `types.json`: the types that Stitch publishes, in the order of its lists.

The file names each JSON Schema and each property once. A property is written `marks schema`:

    *  required              ~  read_only                    %  system_provided is not what the type of property says
    !  credential            @  system_provided_by_default   &  tap_mutable
                             =  user_provided_immutable      ?  documented, and not in Stitch's card
                             +  user_provided_advanced

Where types differ over a property, its later forms are `name#2`, `name#3`. A connection type leaves out what most have:
steps are F, O, D, S and C for form, oauth, discover_schema, field_selection and fully_configured, none for a legacy
type without a card; `schedule` stands for four properties; `details` holds only what `_USUAL` does not say.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from itertools import chain
from typing import Any

import msgspec

from lockstitch.connectors import Kind
from lockstitch.control.catalogue.model import ConnectionType, Property, PropertyType, Step, StepType
from lockstitch.core.model import Json


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    title: str
    steps: str = ""
    form: str = ""
    oauth: str = ""
    details: dict[str, str | int | None] = {}
    upgrade: str | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    schemas: dict[str, dict[str, Any]]
    properties: dict[str, str]
    groups: dict[str, str]
    source: list[_Entry]
    destination: list[_Entry]


@cache
def published_types(kind: Kind) -> tuple[ConnectionType, ...]:
    """Return Stitch's types of a kind, in the order of its list; `details.access` is false in all of them."""
    content, properties = _read()
    entries = content.source if kind == "source" else content.destination
    return tuple(_connection_type(kind, entry, content.groups, properties) for entry in entries)


@cache
def _read() -> tuple[_File, dict[str, Property]]:
    text = files("lockstitch.control.catalogue").joinpath("types.json").read_bytes()
    content = msgspec.json.decode(text, type=_File)
    return content, {key: _property(key, written, content) for key, written in content.properties.items()}


def _property(key: str, written: str, content: _File) -> Property:
    marks, _, schema = written.rpartition(" ")
    marked: list[PropertyType] = [_PROPERTY_TYPES[mark] for mark in marks if mark in _PROPERTY_TYPES]
    property_type: PropertyType = marked[0] if marked else "user_provided"
    return Property(
        name=key.partition("#")[0],
        is_required="*" in marks,
        is_credential="!" in marks,
        system_provided=(property_type in ("read_only", "system_provided_by_default")) != ("%" in marks),
        property_type=property_type,
        json_schema=None if schema == "any" else content.schemas[schema],
        tap_mutable="&" in marks,
        listed="?" not in marks,
    )


def _connection_type(
    kind: Kind, entry: _Entry, groups: dict[str, str], properties: dict[str, Property]
) -> ConnectionType:
    written = {"form": entry.form, "oauth": entry.oauth}

    def step(step_type: StepType) -> Step:
        keys = chain.from_iterable(groups.get(key, key).split() for key in written.get(step_type, "").split())
        return Step(step_type, tuple(sorted((properties[key] for key in keys), key=_place)))

    usual = _USUAL[kind] if entry.steps else _LEGACY
    return ConnectionType(
        kind=kind,
        type=entry.type,
        title=entry.title,
        steps=tuple(step(_STEP_TYPES[letter]) for letter in entry.steps),
        details={**usual, "protocol": entry.type, **entry.details},
        upgrade_available=entry.upgrade,
    )


def _place(each: Property) -> tuple[bool, str]:
    return not each.listed, each.name


_PROPERTY_TYPES: dict[str, PropertyType] = {
    "~": "read_only",
    "@": "system_provided_by_default",
    "=": "user_provided_immutable",
    "+": "user_provided_advanced",
}

_STEP_TYPES: dict[str, StepType] = {
    "F": "form",
    "O": "oauth",
    "D": "discover_schema",
    "S": "field_selection",
    "C": "fully_configured",
}

#: The details most types share, in the order in which the API answers them; the protocol is the type's own name.
_USUAL: dict[Kind, dict[str, Json]] = {
    "source": {
        "pricing_tier": "standard",
        "pipeline_state": "released",
        "default_start_date": "-1 year",
        "default_scheduling_interval": 60,
        "protocol": None,
        "access": False,
        "image_version": "1.latest",
    },
    "destination": {"pricing_tier": "standard", "pipeline_state": "released", "protocol": None, "access": False},
}

_LEGACY: dict[str, Json] = {
    **_USUAL["source"],
    "pipeline_state": "deprecated",
    "default_start_date": None,
    "default_scheduling_interval": None,
    "image_version": None,
}
