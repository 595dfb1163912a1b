"""The streams: their fields by FullStory's documentation, keys and where they come from, as data.

Facts: `facts/streams/fullstory.json` and `spec/source-fullstory.md` sections 4, 7 and 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockstitch.toolkit.shapes import Fields

EVENTS = "events"

EVENT_FIELDS: Fields = {
    "EventStart": "date-time",
    "EventType": "string",
    "EventTargetText": "string",
    "EventTargetSelectorTok": "string",
    "IndvId": "integer",
    "UserId": "integer",
    "SessionId": "integer",
    "PageId": "integer",
    "PageDuration": "integer",
    "PageActiveDuration": "integer",
    "PageUrl": "string",
    "PageRefererUrl": "string",
    "PageIp": "string",
    "PageLatLong": "string",
    "PageAgent": "string",
    "PageBrowser": "string",
    "PageDevice": "string",
    "PageOperatingSystem": "string",
    "PageNumInfos": "integer",
    "PageNumWarnings": "integer",
    "PageNumErrors": "integer",
    "UserAppKey": "string",
    "UserDisplayName": "string",
    "UserEmail": "string",
}

#: Fields of newer bundles that `extra_fields` delivers as columns; all others but the 24 go into CUSTOM.
EXTRA_FIELDS: Fields = {
    "EventCustomName": "string",
    "EventModDead": "integer",
    "EventModError": "integer",
    "EventModFrustrated": "integer",
    "EventModSuspicious": "integer",
    "PageClusterId": "integer",
    "LoadDomContentTime": "integer",
    "LoadFirstPaintTime": "integer",
    "LoadEventTime": "integer",
}
CUSTOM = "CustomVars"


def event_fields(*, extra: bool) -> Fields:
    """Return the columns of `events`, but for CUSTOM."""
    return {**EVENT_FIELDS, **EXTRA_FIELDS} if extra else EVENT_FIELDS


#: Fields that Segment Export names otherwise than Data Export.
RENAMED: Mapping[str, str] = {"PageUserAgent": "PageAgent"}
#: What Segment Export is to add for `extra_fields`: the custom variables of users, events and pages.
CUSTOM_PATTERNS = ("user_*", "evt_*", "page_*")


# --- the server API ---------------------------------------------------------------------------------------------------

_USER: Fields = {
    "id": "string",
    "uid": "string",
    "display_name": "string",
    "email": "string",
    "is_being_deleted": "boolean",
    "properties": {},
    "schema": "string",
    "type_conflicts": "string",
    "app_url": "string",
}

_SEGMENT: Fields = {"id": "string", "name": "string", "creator": "string", "url": "string", "created": "date-time"}

_OF_ALL_SETTINGS: Fields = {
    "lastUpdated": "date-time",
    "created": "date-time",
    "createdBy": "string",
    "metadata": {
        "lastUpdated": "date-time",
        "lastUpdatedBy": "string",
        "created": "date-time",
        "createdBy": "string",
    },
}

_BLOCKING: Fields = {
    "blockedIps": ["string"],
    "blockedUas": ["string"],
    "blockedAppIds": ["string"],
    **_OF_ALL_SETTINGS,
}

_DOMAIN: Fields = {
    "onlyRecordKnownDomains": "boolean",
    "domains": [{"disabled": "boolean", "domain": "string"}],
    **_OF_ALL_SETTINGS,
}

_GEO: Fields = {"recordGeoMode": "string", "recordGeoZones": ["string"], **_OF_ALL_SETTINGS}

_PRIVACY: Fields = {
    "elementBlocks": [
        {
            "selector": "string",
            "consent": "boolean",
            "notes": "string",
            "type": "string",
            "scope": "string",
            "lastUpdated": "date-time",
            "label": "string",
            "targetingConditions": {},
            "editable": "string",
            "exceptionSelectors": "string",
            "groupId": "integer",
        }
    ],
    "ajaxWatches": [
        {
            "urlRegex": "string",
            "recordReq": "string",
            "recordRsp": "string",
            "whitelistReq": "string",
            "whitelistRsp": "string",
        }
    ],
    "discardIpAddresses": "boolean",
    "defaultPrivacyMode": "string",
    "elementRuleGroups": {},
    **_OF_ALL_SETTINGS,
}

_FEATURES: Fields = {
    "enabled": "boolean",
    "consoleWatcher": "boolean",
    "ajaxWatcher": "boolean",
    "resourceUploading": "boolean",
    "recordingShutoff": "boolean",
    "clientSideRageClick": "boolean",
    **_OF_ALL_SETTINGS,
}

_TARGETING: Fields = {"sessionTargetingRules": [{}], **_OF_ALL_SETTINGS}


@dataclass(frozen=True, slots=True)
class Table:
    """A list that is replicated in full. `each`: one request more for each record of the list, by its id."""

    path: str
    records: str
    fields: Fields
    each: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the account, or all `versions` it ever had."""

    path: str
    fields: Fields
    has_versions: bool = False


KEY_OF_TABLES = ("id",)
#: These three are copied out of a setting's metadata.
KEY_OF_SETTINGS = ("created", "createdBy", "lastUpdated")
REPLICATION_KEY_OF_SETTINGS = "lastUpdated"

_RECORDING = "/settings/recording/v1"

TABLES: Mapping[str, Table] = {
    "users": Table("/v2/users", "results", _USER),
    "user": Table("/v2/users", "results", _USER, each=True),
    "segments": Table("/segments/v1", "segments", _SEGMENT),
}

SETTINGS: Mapping[str, Setting] = {
    "block_rules": Setting(f"{_RECORDING}/blocking", _BLOCKING),
    "block_rules_history": Setting(f"{_RECORDING}/blocking/history", _BLOCKING, has_versions=True),
    "domain_settings": Setting(f"{_RECORDING}/domain", _DOMAIN),
    "domain_settings_history": Setting(f"{_RECORDING}/domain/history", _DOMAIN, has_versions=True),
    "geo_settings_history": Setting(f"{_RECORDING}/geo/history", _GEO, has_versions=True),
    "privacy_settings": Setting(f"{_RECORDING}/privacy", _PRIVACY),
    "privacy_settings_history": Setting(f"{_RECORDING}/privacy/history", _PRIVACY, has_versions=True),
    "recording_features": Setting(f"{_RECORDING}/features", _FEATURES),
    "recording_features_history": Setting(f"{_RECORDING}/features/history", _FEATURES, has_versions=True),
    "target_rule_history": Setting(f"{_RECORDING}/targeting/history", _TARGETING, has_versions=True),
}
