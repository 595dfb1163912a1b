"""FullStory: captured events, and the tables of its server API. Light: imports no driver."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from lockstitch.core.errors import SettingsError
from lockstitch.toolkit.home import home_of
from lockstitch.toolkit.moments import read_start_date

if TYPE_CHECKING:
    from pathlib import Path

    from lockstitch.core.protocols import Source

TYPES = ("platform.fullstory",)
TITLE = "FullStory"
EXTRA: str | None = None
CREDENTIALS = frozenset({"api_key"})
HOSTS = {"base_url": None, "export_base_url": None}

#: A slice of a Segment Export is an even fraction of a day, of at least a quarter of an hour.
SLICES = (15, 30, 60, 120, 180, 240, 360, 480, 720, 1440)


class Properties(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The settings of a FullStory source."""

    #: An API key: Settings, Integrations & API Keys. Segment Export needs one of an admin.
    api_key: str
    #: Events are read from here on, as an ISO 8601 moment: 2026-01-01T00:00:00Z.
    start_date: str

    #: Stored for the schedule; the source does not look at them.
    frequency_in_minutes: str | int | None = None
    anchor_time: str | None = None
    cron_expression: str | None = None
    #: 1 offers the stream events alone, as Stitch's version 1 does; everything else offers all streams.
    image_version: str | None = None
    #: Offer all streams whatever image_version says, which on a server nobody can set.
    all_streams: bool = False

    #: How events are fetched. auto is data_export, or segment_export where the account has no Data Export.
    events_api: Literal["auto", "data_export", "segment_export"] = "auto"
    #: Deliver fields beyond the 24 documented ones too: nine as columns, the others inside CustomVars.
    extra_fields: bool = False
    #: Of Segment Export: whose events, how much at once, and how long they settle before.
    segment_id: str = "everyone"
    slice_minutes: int = 1440
    delay_hours: Annotated[int, msgspec.Meta(ge=1, le=720)] = 24

    #: Seconds to wait for an answer to go on.
    request_timeout: Annotated[float, msgspec.Meta(gt=0)] = 300.0
    user_agent: str = "lockstitch"
    base_url: str = "https://api.fullstory.com"
    export_base_url: str = "https://export.fullstory.com"

    @property
    def start(self) -> datetime:
        """The start date as a moment, UTC where it names no zone. Raises SettingsError."""
        return read_start_date(self.start_date)

    @property
    def only_events(self) -> bool:
        is_first = self.image_version is not None and self.image_version.partition(".")[0] == "1"
        return is_first and not self.all_streams


def open_source(properties: Properties, *, spool: Path | None = None) -> Source:
    """Return the source; nothing is asked yet. Raises SettingsError. Downloads wait below `spool`."""
    _refuse_wrong(properties)
    from lockstitch.sources.fullstory.source import FullStorySource

    home = home_of(spool)
    return FullStorySource(properties, spool=home / "spool" if spool is None else spool, home=home)


def _refuse_wrong(properties: Properties) -> None:
    for name, (pattern, allowed) in _FORMS.items():
        value = getattr(properties, name)
        if not re.fullmatch(pattern, value):
            seen = "what it is (not shown)" if name in CREDENTIALS else repr(value)
            raise SettingsError(f"source.properties.{name} cannot be {seen}", hint=f"{name} takes {allowed}")
    if properties.slice_minutes not in SLICES:
        raise SettingsError(
            f"source.properties.slice_minutes is {properties.slice_minutes}",
            hint=f"slice_minutes takes one of {', '.join(map(str, SLICES))}",
        )
    _ = properties.start


#: What text may be in a property, and in words.
_FORMS = {
    "api_key": (r"[\x21-\x7e]+", "a key as FullStory shows it, without spaces and without the word Basic"),
    "user_agent": (r"[\x20-\x7e]+", "plain text"),
    "segment_id": (r"\S+", "the id of a segment; everyone is FullStory's own"),
    "base_url": (r"https?://[^/\s]+/?\S*", "an address that begins with http:// or https://"),
    "export_base_url": (r"https?://[^/\s]+/?\S*", "an address that begins with http:// or https://"),
}
