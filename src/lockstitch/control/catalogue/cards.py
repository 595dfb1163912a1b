"""Report cards: what a type asks for, and how far a connection has come (connect-api 4.1, 5, 6.2, 7)."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from lockstitch.control.catalogue.model import ConnectionType, Property, Step


def report_card(
    connection_type: ConnectionType,
    *,
    provided: Set[str],
    discovered: bool,
    selected: bool,
    details: bool = False,
    own: bool = False,
) -> dict[str, Any]:
    """Return a card as the API answers it.

    `provided` names every property with a value, those of `system_values` and of an operator's OAuth app among them;
    it is empty for a bare type. `discovered` is whether a check with discovery ever succeeded, `selected` whether a
    stream with a field is. `details` adds what only the type endpoints answer. `own` shows the properties that
    Stitch's card lacks; without it they are shown only where they have a value. A legacy type has nothing but details.
    """
    card: dict[str, Any] = {"type": connection_type.type}
    if connection_type.steps:
        current = _current_step(connection_type, provided, {"discover_schema": discovered, "field_selection": selected})
        card["current_step"] = current + 1
        card["current_step_type"] = connection_type.steps[current].type
        card["steps"] = [_step(connection_type, step, provided, own) for step in connection_type.steps]
    if details:
        card["details"] = dict(connection_type.details)
        if connection_type.kind == "source":
            newer = connection_type.upgrade_available
            card["upgrade_available"] = newer and {"type": newer}
    return card


def _current_step(connection_type: ConnectionType, provided: Set[str], done: dict[str, bool]) -> int:
    """Return the index of the first step that is not done, or of the last, which has nothing to do (7.2)."""
    replaced = frozenset[str]().union(*(connection_type.replaces.get(name, ()) for name in provided))
    for index, step in enumerate(connection_type.steps[:-1]):
        required = {each.name for each in step.properties if each.is_required}
        if not done.get(step.type, required <= (provided | replaced)):
            return index
    return len(connection_type.steps) - 1


def _step(connection_type: ConnectionType, step: Step, provided: Set[str], own: bool) -> dict[str, Any]:
    shown = [each for each in step.properties if each.listed or own or each.name in provided]
    return {"type": step.type, "properties": [_row(connection_type, each, provided) for each in shown]}


def _row(connection_type: ConnectionType, each: Property, provided: Set[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": each.name,
        "is_required": each.is_required,
        "is_credential": each.is_credential,
        "system_provided": each.system_provided,
        "property_type": each.property_type,
        "json_schema": each.json_schema,
        "provided": each.name in provided,
    }
    if connection_type.kind == "source":
        row["tap_mutable"] = each.tap_mutable
    return row
