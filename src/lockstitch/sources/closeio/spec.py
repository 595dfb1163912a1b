"""Close, formerly Close.io: the CRM's leads, activities, tasks, users and event log. Light: imports no driver."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lockstitch.core.errors import SettingsError
from lockstitch.toolkit.home import home_of
from lockstitch.toolkit.moments import read_start_date

if TYPE_CHECKING:
    from lockstitch.core.protocols import Source

TYPES = ("platform.closeio",)
TITLE = "Close.io"
EXTRA: str | None = None
CREDENTIALS = frozenset({"api_key"})
HOSTS = {"base_url": None}

BASE_URL = "https://api.close.com/api/v1"


class Properties(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The settings of a Close source."""

    #: An API key of a user of the organisation: Settings, Developer, API Keys.
    api_key: str
    #: What came before this day is not read: midnight, UTC.
    start_date: str

    #: Stored for the schedule; the source does not look at them.
    frequency_in_minutes: str | int | None = None
    anchor_time: str | None = None
    cron_expression: str | None = None
    image_version: str | None = None

    #: Where the API is.
    base_url: str = BASE_URL
    #: Seconds before the newest activity that are read again, as activities change for a while after they were made.
    activities_window_seconds: int = 86_400
    #: Days of activities that are asked for at once.
    date_window: int = 15
    #: Ask for tasks of all types; Close lists only those of the type `lead` where it is not asked.
    all_task_types: bool = False
    #: Load fields, too, that the documented tables do not have.
    extra_fields: bool = False
    #: What we call ourselves in requests.
    user_agent: str = "lockstitch"


def open_source(properties: Properties, *, spool: Path | None = None) -> Source:
    """Return the source; nothing is asked yet. Raises SettingsError. What connections share lies beside `spool`."""
    start = read_start_date(properties.start_date).replace(hour=0, minute=0, second=0, microsecond=0)
    _refuse_wrong(properties)
    from lockstitch.sources.closeio.source import CloseSource

    return CloseSource(properties, start, home_of(spool))


def _refuse_wrong(properties: Properties) -> None:
    if not re.match(r"https?://[^/]+", properties.base_url):
        raise SettingsError(
            f"source.properties.base_url is {properties.base_url!r}", hint=f"write an address such as {BASE_URL}"
        )
    if not properties.api_key.strip() or not properties.api_key.isascii():
        raise SettingsError("source.properties.api_key is no API key", hint="copy it anew out of Close's settings")
    if not properties.user_agent.isascii() or not properties.user_agent.isprintable():
        raise SettingsError(
            f"source.properties.user_agent is {properties.user_agent!r}", hint="write plain letters, digits and signs"
        )
    for name, (least, most) in _NUMBERS.items():
        if not least <= getattr(properties, name) <= most:
            raise SettingsError(
                f"source.properties.{name} is {getattr(properties, name)}",
                hint=f"write a whole number from {least} to {most}",
            )


#: What numbers may be, from and to.
_NUMBERS = {"activities_window_seconds": (0, 366 * 86_400), "date_window": (1, 366)}
