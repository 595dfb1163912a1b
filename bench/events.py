"""Invented rows in the form of Heap's tables: realistic cardinalities, a fifth of all values null, the same each time.

Everything is drawn column by column in Arrow, so that millions of rows take seconds. Keys are spread over 53 bits, as
Heap's are, and all different. Doubles are multiples of 1/64, so that their sums do not depend on the order of adding.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

#: Odd, so that multiplying by it modulo a power of two maps distinct numbers to distinct numbers.
_SPREAD = 6_364_136_223_846_793_005
_KEY_BITS = (1 << 53) - 1

_START = 1_767_225_600_000  # 2026-01-01, in milliseconds
_CHANGED = 1_782_864_000_000  # 2026-07-01, as buckets.CHANGED_SINCE says

_SYLLABLES = (
    "ba",
    "cor",
    "dan",
    "el",
    "fir",
    "gon",
    "hal",
    "is",
    "jo",
    "kel",
    "lum",
    "mar",
    "nor",
    "ost",
    "pel",
    "ran",
)


class Draw:
    """Draws columns of `count` rows; the same seed draws the same."""

    def __init__(self, seed: int, count: int) -> None:
        self._seed = seed * 1_000
        self.count = count

    def share(self) -> pa.Array:
        """Draw numbers from 0 up to 1."""
        self._seed += 1
        return pc.random(self.count, initializer=self._seed)

    def below(self, limit: int) -> pa.Array:
        return pc.floor(pc.multiply(self.share(), float(limit))).cast(pa.int64())

    def with_nulls(self, array: pa.Array, nulls: float) -> pa.Array:
        return pc.if_else(pc.less(self.share(), nulls), pa.scalar(None, array.type), array) if nulls else array

    def word(self, words: Sequence[str], nulls: float = 0.0) -> pa.Array:
        """Draw words, the first ones more often than the last."""
        share = self.share()
        places = pc.floor(pc.multiply(pc.multiply(share, share), float(len(words)))).cast(pa.int64())
        return self.with_nulls(pa.array(words).take(places), nulls)

    def sixty_fourths(self, limit: int, nulls: float = 0.0) -> pa.Array:
        drawn = pc.divide(self.below(limit * 64).cast(pa.float64()), 64.0)
        return self.with_nulls(drawn, nulls)

    def flag(self, share: float, nulls: float = 0.0) -> pa.Array:
        return self.with_nulls(pc.less(self.share(), share), nulls)


def spread(numbers: pa.Array) -> pa.Array:
    """Map distinct numbers to distinct keys that are in no order."""
    return pc.bit_wise_and(pc.multiply(numbers, _SPREAD), _KEY_BITS)


def events(number: int, first: int, count: int) -> pa.Table:
    """Return one file's rows of an event table: 26 columns, the rows `first` and on of all files together."""
    draw, rows = Draw(number, count), pa.arange(first, first + count)
    octets = (draw.below(180), draw.below(40), draw.below(14))
    return pa.table(
        {
            "event_id": spread(rows),
            "user_id": spread(draw.below(150_000)),
            "session_id": spread(pc.divide(rows, 12)),
            "time": _moments(pc.add(pc.multiply(rows, 37), _START)),
            "library": draw.word(("web", "ios", "android", "server")),
            "platform": draw.word(_PLATFORMS, 0.02),
            "device_type": draw.word(("Desktop", "Mobile", "Tablet"), 0.02),
            "country": draw.word(_COUNTRIES, 0.05),
            "region": draw.word(_REGIONS, 0.1),
            "city": draw.word(_CITIES, 0.12),
            "ip": draw.with_nulls(_joined("10", *octets, separator="."), 0.02),
            "referrer": draw.word(_REFERRERS, 0.35),
            "landing_page": draw.word(_PAGES, 0.1),
            "browser": draw.word(_BROWSERS, 0.05),
            "utm_source": draw.word(_SOURCES, 0.6),
            "utm_medium": draw.word(("cpc", "email", "organic", "social", "display", "affiliate"), 0.6),
            "utm_campaign": draw.word(_CAMPAIGNS, 0.65),
            "path": draw.word(_PATHS, 0.02),
            "query": draw.with_nulls(_joined("?variant=", draw.below(50_000)), 0.6),
            "title": draw.word(_TITLES, 0.05),
            "target_text": draw.word(_LABELS, 0.35),
            "href": draw.word(_LINKS, 0.5),
            "load_seconds": draw.sixty_fourths(20, 0.1),
            "cart_value": draw.sixty_fourths(500, 0.7),
            "logged_in": draw.flag(0.4, 0.05),
            "subscribed": draw.flag(0.1, 0.25),
        }
    )


def users(number: int, first: int, count: int) -> pa.Table:
    """Return one file's rows of the users table: 12 columns."""
    return _users(Draw(number, count), pa.arange(first, first + count), _START)


def migrations(number: int, first: int, count: int) -> pa.Table:
    """Return one file's rows of the table of users that were merged."""
    draw, rows = Draw(number, count), pa.arange(first, first + count)
    return pa.table({"from_user_id": spread(rows), "to_user_id": spread(draw.below(100_000)), "time": _moments(rows)})


def changed_users(number: int, first: int, count: int, changed: int) -> pa.Table:
    """Return one file's rows of `changed` users that are sent again: every tenth of ten times as many, in no order."""
    order = pc.sort_indices(pc.random(changed, initializer=7)).cast(pa.int64())
    return _users(Draw(1_000_000 + number, count), pc.multiply(order.slice(first, count), 10), _CHANGED)


def _users(draw: Draw, rows: pa.Array, modified: int) -> pa.Table:
    name = draw.word(_CITIES)
    handle = _joined(pc.utf8_lower(name), rows)
    return pa.table(
        {
            "user_id": spread(rows),
            "identity": draw.with_nulls(_joined("id-", rows), 0.4),
            "handle": draw.with_nulls(handle, 0.3),
            "email": draw.with_nulls(_joined(handle, "@example.com"), 0.3),
            "joindate": _moments(pc.add(pc.multiply(draw.below(20_000_000), 1_000), _START - 20_000_000_000)),
            "last_modified": _moments(pc.add(pc.multiply(draw.below(10_000_000), 1_000), modified)),
            "plan": draw.word(("free", "starter", "team", "enterprise"), 0.1),
            "country": draw.word(_COUNTRIES, 0.1),
            "company": draw.word(_LABELS, 0.4),
            "visits": draw.below(5_000),
            "revenue": draw.sixty_fourths(10_000, 0.5),
            "subscribed": draw.flag(0.3, 0.2),
        }
    )


def _moments(milliseconds: pa.Array) -> pa.Array:
    """Heap writes times as text."""
    return pc.strftime(milliseconds.cast(pa.timestamp("ms")), "%Y-%m-%d %H:%M:%S")


def _joined(*parts: str | pa.Array, separator: str = "") -> pa.Array:
    texts = (part if isinstance(part, str) else part.cast(pa.string()) for part in parts)
    return pc.binary_join_element_wise(*texts, separator)


def _names(count: int, syllables: int) -> list[str]:
    """Invent names, each another one."""
    base = len(_SYLLABLES)
    return [
        "".join(_SYLLABLES[number // base**place % base] for place in range(syllables)).title()
        for number in range(count)
    ]


_PLATFORMS = ("Mac OS X 14.4", "Windows 11", "Windows 10", "iOS 18.1", "Android 15", "Android 14", "Linux", "iPadOS 18")
_COUNTRIES = _names(60, 3)
_REGIONS = _names(250, 3)
_CITIES = _names(3_000, 3)
_BROWSERS = [f"{name} {version}" for version in range(140, 120, -1) for name in ("Chrome", "Safari", "Firefox", "Edge")]
_SOURCES = ("google", "newsletter", "bing", "facebook", "partner", "linkedin", "reddit", "podcast")
_CAMPAIGNS = [f"{name.lower()}-2026-{month:02}" for name in _names(30, 2) for month in range(1, 13)]
_PATHS = [f"/{one.lower()}/{number}" for number, one in enumerate(_names(2_000, 4))]
_PAGES = [f"https://www.example.com/{one.lower()}" for one in _names(800, 3)]
_REFERRERS = ["direct", *(f"https://www.{one.lower()}.com/search/{at}" for at, one in enumerate(_names(3_000, 4)))]
_TITLES = [f"{one} | Example shop, everything for your {one.lower()}" for one in _names(2_000, 4)]
_LABELS = [f"{one} {other}" for one in _names(70, 2) for other in _names(70, 3)]
_LINKS = [f"https://www.example.com{path}?from=list" for path in _PATHS]
