"""The types of sources and destinations: Stitch's, in the order of its lists, then those only this build has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from lockstitch.connectors import Kind, find_connector, known_types
from lockstitch.control.catalogue.model import ConnectionType, Property, Step
from lockstitch.control.catalogue.published import published_types
from lockstitch.control.catalogue.served import own_type, serve

__all__ = ["IMPORT_API", "ConnectionType", "Property", "Step", "destination_types", "find", "source_types"]

#: The type whose rows are pushed to the Import API: the server itself says where they lie.
IMPORT_API = "import_api"


def source_types() -> Sequence[ConnectionType]:
    """Return every source type, in the order of `GET /v4/source-types` (5, 22)."""
    return tuple(_types("source").values())


def destination_types() -> Sequence[ConnectionType]:
    """Return every destination type, in the order of `GET /v4/destination-types` (4.1)."""
    return tuple(_types("destination").values())


def find(kind: Kind, type_name: str) -> ConnectionType | None:
    """Return the type of that name, or None."""
    return _types(kind).get(type_name)


@cache
def _types(kind: Kind) -> Mapping[str, ConnectionType]:
    """Return the types by their names. Connectors are looked for once, with the first question."""
    types = {each.type: each for each in published_types(kind)}
    schedule = _schedule(types) if kind == "source" else ()
    for name in known_types(kind):
        if name == IMPORT_API:
            continue  # its one property is the server's own folder, nothing that a client may set
        connector = find_connector(kind, name)
        types[name] = serve(types[name], connector) if name in types else own_type(connector, schedule)
    if kind == "source":
        pushed = types[IMPORT_API]
        types[IMPORT_API] = replace(pushed, details={**pushed.details, "access": True})
    return types


def _schedule(types: Mapping[str, ConnectionType]) -> tuple[Property, ...]:
    """Return the properties of a schedule (8.1), as every source of Stitch's that has one knows them."""
    known = types["platform.heap"].properties
    return tuple(known[name] for name in ("anchor_time", "cron_expression", "frequency_in_minutes"))
