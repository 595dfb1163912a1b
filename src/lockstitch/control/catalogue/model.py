"""The words of the catalogue: a connection type, its steps and their properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lockstitch.connectors import Connector, Kind
from lockstitch.core.model import Json

StepType = Literal["form", "oauth", "discover_schema", "field_selection", "fully_configured"]

PropertyType = Literal[
    "read_only", "system_provided_by_default", "user_provided", "user_provided_immutable", "user_provided_advanced"
]


@dataclass(frozen=True, slots=True)
class Property:
    """A row of a report card (7.3), without what is provided."""

    name: str
    is_required: bool
    is_credential: bool
    system_provided: bool
    property_type: PropertyType
    #: None admits every text.
    json_schema: Mapping[str, Json] | None
    #: Whether the connector itself may rewrite it. Cards of destinations do not say it.
    tap_mutable: bool = False
    #: Whether the card always has it. One that Stitch's card lacks is shown only when it is set or asked for.
    listed: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    type: StepType
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectionType:
    """A type that sources or destinations can have.

    A legacy type that Stitch only mentions has no steps. `details` are those of 7.4, in their order.
    """

    kind: Kind
    type: str
    title: str
    steps: tuple[Step, ...]
    details: Mapping[str, Json]
    #: The newer type that takes its place.
    upgrade_available: str | None = None
    #: What runs it in this build; None where nothing does.
    connector: Connector | None = None
    #: A property of ours, to the required ones that need no value while it has one.
    replaces: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])

    @property
    def properties(self) -> Mapping[str, Property]:
        """The properties of all steps, by name."""
        return {each.name: each for step in self.steps for each in step.properties}
