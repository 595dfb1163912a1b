"""Keeps the connections of a job away from the networks around the server, unless its operator has opened them.

Which properties name a host is said by each connector's `spec.py`, as `HOSTS`. The job's own process judges them right
before it connects, and has libpq connect to the very address that was judged. Other clients resolve the name again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from lockstitch.connectors import Kind, find_connector
from lockstitch.control.messages import Assignment
from lockstitch.core.errors import LockstitchError, TransientError
from lockstitch.toolkit.addresses import Allowed

#: Where libpq finds the address of its host; the name stays what the server's certificate is compared with.
_LIBPQ = "PGHOSTADDR"


def refusal(assignment: Assignment) -> LockstitchError | None:
    """Return what stands against connecting to the hosts that an assignment names, or None."""
    try:
        allowed = Allowed.from_environment()
        for value in _hosts(assignment):
            host = urlsplit(value).hostname if "://" in value else value
            # A path is a socket on this machine.
            found = allowed.addresses("127.0.0.1" if value.startswith("/") else host or value, 0)
            if host == value and not value.startswith("/"):
                os.environ[_LIBPQ] = found[0]
    except LockstitchError as error:
        return error
    except (OSError, ValueError) as error:
        return TransientError(f"a host of the connection cannot be found: {error}", hint="check its name")
    return None


def _hosts(assignment: Assignment) -> Iterator[str]:
    ends: tuple[tuple[Kind, str | None, Mapping[str, Any]], ...] = (
        ("source", assignment.source_type, assignment.source_properties),
        ("destination", assignment.destination_type, assignment.destination_properties),
    )
    for kind, type_name, values in ends:
        names: tuple[str, ...] = getattr(find_connector(kind, type_name).spec, "HOSTS", ()) if type_name else ()
        yield from (value for name in names if isinstance(value := values.get(name), str) and value)
