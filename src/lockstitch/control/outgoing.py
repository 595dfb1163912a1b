"""Keeps the connections of a job away from the networks around the server, unless its operator has opened them.

Which properties name a host is said by each connector's `spec.py`, as `HOSTS`. The job's own process judges them right
before it connects, and hands the addresses that were judged to those connectors that take them. Other clients resolve
the name again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from lockstitch.connectors import Kind, find_connector
from lockstitch.control.messages import Assignment
from lockstitch.core.errors import TransientError
from lockstitch.toolkit.addresses import Allowed


def confined(assignment: Assignment) -> Assignment:
    """Return the assignment with the addresses to connect to.

    Raises AddressRefused for a host that must not be reached, TransientError for a name that does not resolve.
    """
    allowed = Allowed.from_environment()
    return msgspec.structs.replace(
        assignment,
        source_properties=_confined("source", assignment.source_type, assignment.source_properties, allowed),
        destination_properties=_confined(
            "destination", assignment.destination_type, assignment.destination_properties, allowed
        ),
    )


def _confined(kind: Kind, type_name: str | None, values: Mapping[str, Any], allowed: Allowed) -> Mapping[str, Any]:
    hosts: Mapping[str, str | None] = getattr(find_connector(kind, type_name).spec, "HOSTS", {}) if type_name else {}
    settled = dict(values)
    for name, taker in hosts.items():
        # Whatever a user has put there leads where nobody looked.
        settled.pop(taker or "", None)
        value = values.get(name)
        if isinstance(value, str) and value:
            found = _addresses(value, allowed)
            if taker is not None and not _is_socket(value):
                settled[taker] = ",".join(found)
    return settled


def _is_socket(value: str) -> bool:
    """Tell whether libpq takes a host for a socket on this machine: a path, or a name in the abstract namespace."""
    return value.startswith(("/", "@"))


def _addresses(value: str, allowed: Allowed) -> list[str]:
    try:
        host = urlsplit(value).hostname if "://" in value else value
        return allowed.addresses("127.0.0.1" if _is_socket(value) else host or value, 0)
    except (OSError, ValueError) as error:
        raise TransientError(f"the host {value} cannot be found: {error}", hint="check its name") from error
