"""What there is to tell people about (`spec/connect-api.md` section 15), as far as it can happen here.

The events of Stitch's plans (rows used up, trials) and of its older integrations have no counterpart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

Level = Literal["info", "warning", "critical", "delay"]
Category = Literal["account", "integration", "destination", "replication", "internal"]


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of notification. Its mail goes out after `delay`, unless the trouble is over by then.

    `{name}` in the subject is the display name of what it is about; `shows_error`: its mail quotes the raw error.
    """

    id: str
    level: Level
    category: Category
    delay: timedelta
    may_opt_out: bool
    subject: str
    shows_error: bool
    advice: str


_NONE, _HOUR = timedelta(), timedelta(hours=1)

EXIT_STATUS = Event(
    "platform.exit_status",
    "critical",
    "replication",
    _HOUR,
    True,
    "We're encountering some errors with your {name} integration",
    True,
    "No rows arrive from it until this is mended. It is tried again at the times of its schedule.",
)
LOADING_ERROR = Event(
    "loading-error",
    "critical",
    "replication",
    2 * _HOUR,
    True,
    "We're having trouble writing to your data warehouse",
    True,
    "Rows from {name} do not land until this is mended. Loading is tried again at the times of its schedule.",
)
JAMMED = Event(
    "jammed-read-head",
    "critical",
    "replication",
    2 * _HOUR,
    True,
    "We're unable to load some of your data",
    True,
    "Rows from {name} have a form that the destination cannot hold, and nothing after them lands until that changes.",
)
NO_SCHEMA_RIGHTS = Event(
    "no-schema-rights",
    "critical",
    "destination",
    _NONE,
    True,
    "Data Warehouse Error",
    False,
    "The destination's user may not write where {name} has its tables. Grant it what is missing.",
)
TUNNEL_ERROR = Event(
    "loader-tunnel-error",
    "critical",
    "replication",
    2 * _HOUR,
    True,
    "Lockstitch cannot load data into your destination",
    False,
    "The SSH tunnel to the destination of {name} cannot be opened. Check the SSH host, its user and its key.",
)
INTERNAL_ERROR = Event(
    "loader-internal-error",
    "delay",
    "internal",
    3 * _HOUR,
    False,
    "Data delays",
    False,
    "Rows from {name} arrive late because of an error of ours. The log of its last extraction tells more.",
)
UNDELIVERABLE = Event(
    "undeliverable-post-load",
    "warning",
    "replication",
    _NONE,
    True,
    "Unable to Deliver Post Load Notification",
    True,
    "A post-load hook was called six times without success, and this call is given up. The rows have landed.",
)

EVENTS: dict[str, Event] = {
    event.id: event
    for event in (
        EXIT_STATUS,
        LOADING_ERROR,
        JAMMED,
        NO_SCHEMA_RIGHTS,
        TUNNEL_ERROR,
        INTERNAL_ERROR,
        UNDELIVERABLE,
    )
}

#: What a run may raise or resolve.
LOADING = (LOADING_ERROR, JAMMED, NO_SCHEMA_RIGHTS, TUNNEL_ERROR, INTERNAL_ERROR)

#: What a loading error is, by its text (`spec/replication.md` section 14.3); first match wins.
_BY_TEXT: tuple[tuple[str, Event], ...] = (
    (r"permission denied|must be owner of|attempting to create new schema|insufficient privilege", NO_SCHEMA_RIGHTS),
    (r"\bSSH\b.*\btunnel|\btunnel\b.*\bSSH\b", TUNNEL_ERROR),
)


def of_run(outcome: Mapping[str, Any]) -> dict[Event, str | None]:
    """Tell of each event that a run decides: the error where there is one, None where there is none any more.

    `outcome` is what a worker writes down of a run's end. Of a phase that never ran nothing is known.
    """
    found: dict[Event, str | None] = {}
    read = _first_error(outcome, "discovery", "tap")
    if read is not None or outcome.get("tap_exit_status") == 0:
        found[EXIT_STATUS] = read
    if outcome.get("target_exit_status") is not None:
        found |= dict.fromkeys(LOADING)
        error = _first_error(outcome, "target")
        if error is not None:
            found[_loading_event(error, outcome.get("verdict"))] = error
    return found


def _first_error(outcome: Mapping[str, Any], *phases: str) -> str | None:
    """Return what the first phase that did not end well says. A phase with a text and no status was killed."""
    for phase in phases:
        status, text = outcome.get(f"{phase}_exit_status"), outcome.get(f"{phase}_description")
        if status or (status is None and text is not None):
            return text or "no error text"
    return None


def _loading_event(text: str, verdict: str | None) -> Event:
    by_text = next((event for pattern, event in _BY_TEXT if re.search(pattern, text, re.IGNORECASE)), None)
    if by_text is not None:
        return by_text
    return {"bug": INTERNAL_ERROR, "data": JAMMED}.get(verdict or "", LOADING_ERROR)
