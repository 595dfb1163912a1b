"""What can be connected: types and their properties, and which of these only a person writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lockstitch.connectors import Connector, Kind, find_connector, known_types, properties_schema
from lockstitch.library.properties import defaults_of, variable_of

#: Stands for the connection's name where there is none yet.
ANY_NAME = "<connection>"

_KINDS: tuple[Kind, ...] = ("source", "destination")


def list_types() -> list[dict[str, str]]:
    """Return every type that can be used, with its title."""
    return [
        {"kind": kind, "type": type_name, "title": find_connector(kind, type_name).spec.TITLE}
        for kind in _KINDS
        for type_name in known_types(kind)
    ]


def describe_type(connector: Connector) -> dict[str, Any]:
    """Return a type's properties: JSON schema, default, and who writes them."""
    own, definitions = properties_schema(connector)
    defaults = defaults_of(connector, "name")
    persons = for_a_person(connector)
    paths: Mapping[str, str] = getattr(connector.spec, "PATHS", {})
    return {
        "kind": connector.kind,
        "type": connector.type,
        "title": connector.spec.TITLE,
        "properties": [
            {
                "name": name,
                "required": name in own.get("required", ()) and name not in defaults,
                "schema": schema,
                "written_by": "person" if name in persons else "assistant",
                **({"why": persons[name]} if name in persons else {}),
                **({"is_path": True} if name in paths else {}),
            }
            for name, schema in own["properties"].items()
        ],
        "definitions": definitions,
    }


def for_a_person(connector: Connector) -> dict[str, str]:
    """Return the properties that only a person writes, each with the reason.

    Hosts are among them: who chooses the host chooses who is sent the credentials.
    """
    hosts: Mapping[str, str | None] = getattr(connector.spec, "HOSTS", {})
    named = [name for pair in hosts.items() for name in pair if name is not None]
    return {
        **dict.fromkeys(named, "it says which host is sent the credentials"),
        **dict.fromkeys(sorted(connector.spec.CREDENTIALS), "it is a credential"),
    }


def where_to_put(name: str, connector: Connector, one: str) -> str:
    """Say where a person puts a property of a connection."""
    variable = variable_of(name, connector, one)
    return (
        f'in {name}.toml below [{connector.kind}.properties]: {one} = "${{{variable}}}", with the environment variable'
        f" {variable} set where `lockstitch mcp` and `lockstitch run` are started; or, for `lockstitch mcp` alone,"
        f' in .lockstitch/secrets.toml below [{name}.{connector.kind}]: {one} = "..."'
    )
