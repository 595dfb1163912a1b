"""What a FullStory account holds: captured events and the bundles they are exported in, users, segments, settings."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lockstitch.testing.vendors.messages import Clock, Record

#: A bundle can be had so long after its end.
SETTLING = timedelta(hours=24)

#: The settings that FullStory keeps versions of, by their path, and whether the version in force can be had alone.
SETTINGS = {"blocking": True, "domain": True, "geo": False, "privacy": True, "features": True, "targeting": False}

#: The tables that come from settings: the setting, and whether from its history.
SETTING_STREAMS = {
    "block_rules": ("blocking", False),
    "block_rules_history": ("blocking", True),
    "domain_settings": ("domain", False),
    "domain_settings_history": ("domain", True),
    "geo_settings_history": ("geo", True),
    "privacy_settings": ("privacy", False),
    "privacy_settings_history": ("privacy", True),
    "recording_features": ("features", False),
    "recording_features_history": ("features", True),
    "target_rule_history": ("targeting", True),
}


@dataclass(frozen=True, slots=True)
class Captured:
    """One event, by the names of the Data Export, and when FullStory has got it: mobile devices deliver late."""

    fields: Record
    arrives: datetime

    @property
    def start(self) -> datetime:
        return parse_time(self.fields["EventStart"])


@dataclass(frozen=True, slots=True)
class Bundle:
    """One export: the events that began from `start` to before `stop`."""

    id: int
    start: datetime
    stop: datetime


@dataclass
class FullStoryData:
    """All that one account has. Tests change it as they like: `capture` adds an event, `settings` lists versions.

    Bundles of one `period` follow each other without a gap from `begins` on, empty ones among them. Those that begin
    longer than the `retention` ago are gone.
    """

    clock: Clock
    begins: datetime
    period: timedelta = timedelta(hours=24)
    retention: timedelta | None = None
    events: list[Captured] = field(default_factory=list[Captured])
    users: dict[str, Record] = field(default_factory=dict[str, Record])
    segments: dict[str, Record] = field(default_factory=dict[str, Record])
    #: Versions by the setting's path, the oldest first; the last one is in force.
    settings: dict[str, list[Record]] = field(default_factory=dict[str, "list[Record]"])

    def capture(self, fields: Record, *, late: timedelta = timedelta()) -> None:
        """Add an event that reaches FullStory so long after it began."""
        self.events.append(Captured(fields, parse_time(fields["EventStart"]) + late))

    def bundles(self, now: datetime) -> list[Bundle]:
        """Return the bundles that can be had, oldest first."""
        found: list[Bundle] = []
        start = self.begins
        while start + self.period + SETTLING <= now:
            stop = start + self.period
            if self.retention is None or start >= now - self.retention:
                # Beyond 53 bits, as ids need 64.
                found.append(Bundle((int(start.timestamp()) << 24) + 48, start, stop))
            start = stop
        return found

    def between(self, start: datetime | None, stop: datetime | None, now: datetime) -> list[Record]:
        """Return the events that FullStory has got by now and that began from `start` to before `stop`, in order."""
        found = [
            each
            for each in self.events
            if each.arrives <= now and (start is None or each.start >= start) and (stop is None or each.start < stop)
        ]
        return [each.fields for each in sorted(found, key=lambda each: each.start)]

    def truth(self, stream: str) -> list[Record]:
        """Return what a consumer that has read all should have now, by the API's own names and values.

        `events` are those of all bundles that can be had. Settings have the fields of their key at the top level too.
        """
        now = self.clock.now()
        if stream == "events":
            rows = [row for bundle in self.bundles(now) for row in self.between(bundle.start, bundle.stop, now)]
        elif stream in {"users", "user"}:
            rows = list(self.users.values())
        elif stream == "segments":
            rows = list(self.segments.values())
        else:
            setting, history = SETTING_STREAMS[stream]
            versions = self.settings[setting] if history else self.settings[setting][-1:]
            rows = [
                {**one, **{key: one["metadata"][key] for key in ("lastUpdated", "created", "createdBy")}}
                for one in versions
            ]
        return json.loads(json.dumps(rows))


def parse_time(text: str) -> datetime:
    """Return an RFC 3339 time."""
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def stamp(at: datetime) -> str:
    """Return a time as FullStory writes it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
