"""Makes FullStory accounts for tests: the 24 documented columns, newer fields, custom variables, hostile values."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from lockstitch.testing.vendors.fullstory_data import SETTINGS, SETTLING, FullStoryData, stamp
from lockstitch.testing.vendors.messages import Clock, Record

#: When the accounts made here are looked at, unless a test says otherwise.
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)

_TEXTS = ("", "☃ 👩‍👩‍👧", 'quote " \\ \n', "Buy now", None, "x" * 3000, ".my%2Dclass > a")


def make_account(
    seed: int,
    *,
    bundles: int = 45,
    period: timedelta = timedelta(hours=24),
    events: int = 12,
    users: int = 25,
    clock: Clock | None = None,
) -> FullStoryData:
    """Return an account of which so many bundles can be had at the clock's now (`NOW`, standing still, by default).

    One more is still settling, with events; the eighth is empty. Every other bundle has so many events.
    """
    clock = clock or Clock(NOW)
    draw = random.Random(seed)
    now = clock.now().replace(minute=0, second=0, microsecond=0)
    data = FullStoryData(clock, now - SETTLING - bundles * period, period)
    for number in range(bundles + 1):
        if number != 7:
            start = data.begins + number * period
            # The first event lies exactly where the bundle begins: it belongs to this one and to no other.
            offsets = [timedelta(), *(period * draw.random() for _ in range(events - 1))]
            for offset in sorted(offsets):
                data.capture(_event(draw, start + offset), late=draw.choice([timedelta(), timedelta(hours=2)]))
    _fill_users(data, draw, users)
    _fill_segments(data)
    _fill_settings(data)
    return data


def _event(draw: random.Random, at: datetime) -> Record:
    event: Record = {
        "EventStart": stamp(at),
        "EventType": draw.choice(
            ["click", "navigate", "change", "thrash", "abandon", "load", "seen", "custom", "brand-new"]
        ),
        "EventTargetText": draw.choice(_TEXTS),
        "EventTargetSelectorTok": draw.choice(["body > .my%2Dclass", ""]),
        "IndvId": draw.choice([draw.randrange(10**15, 10**16), 2**53 + 1, 2**63 - 1]),
        "UserId": draw.randrange(10**15, 10**16),
        "SessionId": draw.randrange(10**15, 10**16),
        "PageId": draw.randrange(10**15, 10**16),
        "PageDuration": draw.choice([0, 1234, None]),
        "PageActiveDuration": draw.choice([0, 999]),
        "PageUrl": "https://example.com/?q=ü",
        "PageRefererUrl": draw.choice(["", None, "https://example.org/"]),
        "PageIp": "192.0.2.1",
        "PageLatLong": "52.5,13.4",
        "PageAgent": "Mozilla/5.0",
        "PageBrowser": draw.choice(["Chrome", "Unknown", "Mobile App"]),
        "PageDevice": "Desktop",
        "PageOperatingSystem": "Linux",
        "PageNumInfos": draw.randrange(5),
        "PageNumWarnings": 0,
        "PageNumErrors": draw.randrange(2),
        "UserAppKey": draw.choice(["user-1", None]),
        "UserDisplayName": draw.choice(["Ada ☃", ""]),
        "UserEmail": "ada@example.com",
    }
    if draw.random() < 0.2:  # fields without a value may be left out
        event = {name: value for name, value in event.items() if value is not None}
    if draw.random() < 0.5:
        event |= _newer_fields(draw)
    return event


def _newer_fields(draw: random.Random) -> Record:
    return {
        "EventCustomName": draw.choice(["Order ☃", None]),
        "EventModDead": 1,
        "EventModError": 0,
        "EventModFrustrated": 0,
        "EventModSuspicious": 0,
        "PageClusterId": draw.randrange(10**15, 10**16),
        "LoadDomContentTime": 12,
        "LoadFirstPaintTime": 34,
        "LoadEventTime": 56,
        "user_plan_str": "pro",
        "evt_price_real": 19.99,
        "page_x_bool": True,
        "user_tags_strs": ["a", ""],
    }


def _fill_users(data: FullStoryData, draw: random.Random, count: int) -> None:
    for number in range(count):
        user: Record = {
            "id": str(10**15 + number),
            "uid": f"user-{number}",
            "display_name": draw.choice(["Ada ☃", "", None]),
            "email": f"user{number}@example.com",
            "is_being_deleted": number == 3,
            "properties": draw.choice([{}, {"pricing_plan": "free", "popup_help": True, "total_spent": 14.5}]),
            "schema": '{"pricing_plan":"string"}',
            "type_conflicts": None,
            "app_url": f"https://app.fullstory.com/ui/o/segments/everyone/people:search:{number}",
        }
        data.users[user["id"]] = user


def _fill_segments(data: FullStoryData) -> None:
    everyone: Record = {
        "id": "everyone",
        "name": "Everyone",
        "creator": "FullStory",
        "url": "https://example.com/everyone",
    }
    own = {**everyone, "id": "a@example.com:1", "name": "Own ☃", "creator": "a@example.com"}
    own["created"] = stamp(data.clock.now() - timedelta(days=300))
    data.segments = {one["id"]: one for one in (everyone, own)}


def _fill_settings(data: FullStoryData) -> None:
    """Give each setting three versions; the last one is in force."""
    for setting in SETTINGS:
        data.settings[setting] = [_setting(data, setting, age) for age in (300, 20, 2)]


def _setting(data: FullStoryData, setting: str, age: int) -> Record:
    changed = stamp(data.clock.now() - timedelta(days=age))
    created = stamp(data.clock.now() - timedelta(days=400))
    block: Record = {
        "selector": ".secret",
        "consent": False,
        "notes": "☃",
        "type": "EXCLUDE",
        "scope": "everyone",
        "lastUpdated": changed,
        "label": "",
        "targetingConditions": {"urls": [{"contains": "/pay"}]},
        "editable": "yes",
        "exceptionSelectors": ".shown",
        "groupId": 2**53 + 1,
    }
    watch = {"urlRegex": ".*", "recordReq": "NONE", "recordRsp": "ALL", "whitelistReq": "", "whitelistRsp": "a,b"}
    values: dict[str, Record] = {
        "blocking": {"blockedIps": ["192.0.2.0/24"], "blockedUas": [], "blockedAppIds": ["app"]},
        "domain": {"onlyRecordKnownDomains": True, "domains": [{"disabled": False, "domain": "example.com"}]},
        "geo": {"recordGeoMode": "ALLOW", "recordGeoZones": ["DE", "FR"]},
        "privacy": {
            "elementBlocks": [block, {**block, "targetingConditions": None}],
            "ajaxWatches": [watch],
            "discardIpAddresses": True,
            "defaultPrivacyMode": "PRIVATE_BY_DEFAULT",
            "elementRuleGroups": {"1": {"name": "group"}},
        },
        "features": dict[str, Any].fromkeys(
            [
                "enabled",
                "consoleWatcher",
                "ajaxWatcher",
                "resourceUploading",
                "recordingShutoff",
                "clientSideRageClick",
            ],
            age > 10,
        ),
        "targeting": {"sessionTargetingRules": [{"percent": 50, "conditions": [{"url": "/"}]}]},
    }
    by = {"lastUpdatedBy": "b@example.com", "createdBy": "a@example.com"}
    return {**values[setting], "metadata": {"lastUpdated": changed, "created": created, **by}}
