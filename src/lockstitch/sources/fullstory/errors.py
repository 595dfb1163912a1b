"""What statuses of FullStory's APIs mean to somebody who replicates (`spec/source-fullstory.md` sections 6 to 8)."""

from __future__ import annotations

from collections.abc import Mapping

from lockstitch.core.errors import AccessError, SettingsError, SourceDataError
from lockstitch.toolkit.meanings import Meaning

_KEY = Meaning(
    AccessError,
    "FullStory does not accept the API key ({status}): {detail}",
    "set api_key to a key of Settings, Integrations & API Keys, as it is shown there",
)


class NoDataExport(AccessError):
    """The account has no Data Export, or FullStory has none any more."""


_NO_EXPORT = Meaning(
    NoDataExport,
    "FullStory refuses the Data Export, {place} ({status}): {detail}",
    "the account's plan needs the Data Export add-on; with Segment Export instead, set events_api = segment_export",
)

EXPORT: Mapping[int, Meaning] = {
    401: _KEY,
    403: _NO_EXPORT,
    404: _NO_EXPORT,
    410: _NO_EXPORT,
}

SEGMENT_EXPORT: Mapping[int, Meaning] = {
    400: Meaning(
        SettingsError,
        "FullStory refuses the Segment Export, {place} ({status}): {detail}",
        "correct segment_id: the segments are those of the stream segments, and everyone",
    ),
    401: _KEY,
    403: Meaning(
        AccessError,
        "FullStory refuses the Segment Export, {place} ({status}): {detail}",
        "Segment Export needs its add-on in the account's plan, and an API key of an admin",
    ),
    410: Meaning(SourceDataError, "{place} is gone (410): {detail}", "run again: the export is made anew"),
}

SERVER: Mapping[int, Meaning] = {
    401: _KEY,
    403: Meaning(
        AccessError,
        "FullStory does not let the API key read {place} (403): {detail}",
        "give the key the rights for it, or deselect the stream",
    ),
    404: Meaning(
        SettingsError,
        "FullStory has no {place} (404): {detail}",
        "correct base_url, or deselect the stream where the account does not have it",
    ),
}
