"""Values of a connection's properties: what is accepted, added and handed on (connect-api 4.2, 6.1 to 6.6)."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from lockstitch.connectors import Connector
from lockstitch.control.catalogue.model import ConnectionType, Property
from lockstitch.control.catalogue.schemas import fits
from lockstitch.core.errors import SettingsError
from lockstitch.core.model import Json


@dataclass(slots=True)
class Accepted:
    """What a write changes: values to store, names to forget, and the names that make it an InvalidProperties."""

    values: dict[str, Json] = field(default_factory=dict[str, Json])
    removed: set[str] = field(default_factory=set[str])
    bad: list[str] = field(default_factory=list[str])


def accept(connection_type: ConnectionType, sent: Mapping[str, object], stored: Mapping[str, object]) -> Accepted:
    """Judge the properties of a POST or PUT; those that are not sent stay as they are stored (6.3, 6.4, 6.6).

    Texts, numbers and booleans are stored as text, lists and tables as they are. `bad` is in the order sent.
    """
    accepted = Accepted()
    known = connection_type.properties
    for name, value in sent.items():
        each = known.get(name)
        if each is None or each.property_type == "read_only":
            accepted.bad.append(name)
            continue
        fixed = each.property_type == "user_provided_immutable" and stored.get(name) is not None
        if value is None and not each.is_required and not fixed:
            accepted.removed.add(name)
            continue
        new = _accepted(connection_type, each, value)
        if new is None or (fixed and new != _as_stored(stored[name])):
            accepted.bad.append(name)
        else:
            accepted.values[name] = new
    return accepted


def system_values(connection_type: ConnectionType) -> dict[str, Json]:
    """Return what the platform adds to a connection; of these, a caller's own value wins (4.2, 6.2)."""
    known = connection_type.properties
    if connection_type.kind == "destination":
        return {"status": "1", **({"encryption_type": "none"} if "encryption_type" in known else {})}
    if "image_version" not in known or connection_type.details["image_version"] is None:
        return {}
    return {"image_version": connection_type.details["image_version"], "product": "pipeline"}


def secret_names(connection_type: ConnectionType) -> frozenset[str]:
    """Return the properties whose values are never answered: credentials of the card, and of the connector."""
    published = {name for name, each in connection_type.properties.items() if each.is_credential}
    connector = connection_type.connector
    return frozenset(published) | (connector.spec.CREDENTIALS if connector else frozenset())


def settings_for(connection_type: ConnectionType, values: Mapping[str, Json]) -> dict[str, Json]:
    """Return the values that its connector knows, for `connectors.parse_properties`, which takes them as text.

    Raises SettingsError where nothing in this build runs the type.
    """
    connector = connection_type.connector
    if connector is None:
        raise SettingsError(
            f"{connection_type.kind}.type is {connection_type.type!r}, which this build cannot run",
            hint="choose a type whose details.access is true, or install the package that brings its connector",
        )
    return {name: values[name] for name in _fields(connector) if name in values}


def name_from(display_name: str) -> str:
    """Return the name that a display name gives (6.1); it may be one that `is_name` refuses."""
    folded = unicodedata.normalize("NFKD", display_name.strip().casefold())
    return re.sub(r"[^a-z0-9_$]", "", re.sub(r"[\s-]+", "_", folded))


def is_name(name: str) -> bool:
    """Return whether a source may have that name (6.1)."""
    return re.fullmatch(r"[a-z_][a-z0-9_$]{0,48}", name) is not None


def _accepted(connection_type: ConnectionType, each: Property, value: object) -> Json:
    """Return the value as it is to be stored, or None where it is not allowed."""
    if value in (None, "") or not _fits_card(each, value):
        return None
    connector = connection_type.connector
    if connector is not None and not _fits_connector(connector, each.name, value):
        return None
    return _as_stored(value)


def _fits_card(each: Property, value: object) -> bool:
    if each.json_schema is None:
        return isinstance(value, str | int | float)
    return any(fits(each.json_schema, form) for form in _forms(value))


def _fits_connector(connector: Connector, name: str, value: object) -> bool:
    """Return whether the connector itself can read it: its limits may be narrower than those of Stitch's card."""
    expected = _fields(connector).get(name)
    if expected is None:
        return True
    try:
        msgspec.convert(_as_stored(value), expected.type, strict=False)
    except msgspec.ValidationError:
        return False
    return True


def _fields(connector: Connector) -> Mapping[str, msgspec.structs.FieldInfo]:
    return {each.encode_name: each for each in msgspec.structs.fields(connector.spec.Properties)}


def _forms(value: object) -> list[object]:
    """Return what a value may be meant as: itself, its text, and the number or boolean that a text writes."""
    if not isinstance(value, str):
        return [value, _as_stored(value)]
    if re.fullmatch(r"true|false|-?\d{1,18}", value, re.ASCII):
        return [value, json.loads(value) if value in ("true", "false") else int(value)]
    return [value]


def _as_stored(value: object) -> Json:
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return value  # pyright: ignore[reportReturnType]  # what is left of JSON: text, lists and tables
