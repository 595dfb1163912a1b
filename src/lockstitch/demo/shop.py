"""An invented shop for outdoor gear, as Heap would see it: three nightly dumps, the same at every call."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lockstitch.testing.heap_bucket import DumpTable

Row = dict[str, Any]

FIRST_DAY = datetime(2026, 1, 5)
DAYS_BEFORE_FIRST_DUMP = 14
SESSIONS_A_DAY = 110

#: Columns by table, with the type that Heap's Avro files give them. Times and ids are as in real files: text and long.
_CONTEXT = {
    "event_id": "int64",
    "user_id": "int64",
    "session_id": "int64",
    "time": "string",
    "library": "string",
    "platform": "string",
    "device_type": "string",
    "browser": "string",
    "country": "string",
    "region": "string",
    "city": "string",
    "ip": "string",
    "referrer": "string",
    "landing_page": "string",
    "utm_source": "string",
    "utm_medium": "string",
    "utm_campaign": "string",
}
_PAGE = {"path": "string", "title": "string", "heap_previous_page": "string", "session_time": "string"}
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "users": {
        "user_id": "int64",
        "identity": "string",
        "handle": "string",
        "email": "string",
        "joindate": "string",
        "last_modified": "string",
        "newsletter": "bool",
        "lifetime_value": "float64",
    },
    "user_migrations": {"from_user_id": "int64", "to_user_id": "int64", "time": "string"},
    "sessions": _CONTEXT,
    "pageviews": _CONTEXT | _PAGE,
    "click_add_to_cart": _CONTEXT
    | _PAGE
    | {"type": "string", "target_text": "string", "product": "string", "price": "float64", "quantity": "int64"},
    "order_completed": _CONTEXT
    | _PAGE
    | {"order_number": "int64", "amount": "float64", "items": "int64", "first_order": "bool"},
}
#: The property that the shop's people added to the event on the last day.
NEW_PROPERTY = {"voucher": "string"}

_PRODUCTS = {
    "Fell Runner 2 tent": 329.0,
    "Becket 45 l rucksack": 149.5,
    "Skye rain jacket": 189.0,
    "Tarn cook set": 54.9,
    "Larch down quilt": 259.0,
    "Cairn trekking poles": 79.95,
    "Rill water filter": 42.0,
    "Ember head torch": 36.5,
}
_PLACES = [
    ("Germany", "Bavaria", "München"),
    ("Germany", "Berlin", "Berlin"),
    ("United Kingdom", "Scotland", "Inverness"),
    ("France", "Auvergne-Rhône-Alpes", "Chamonix"),
    ("Poland", "Małopolska", "Kraków"),
    ("United States", "Colorado", "Boulder"),
    ("Japan", "長野県", "松本市"),
]
_DEVICES = [
    ("Desktop", "Windows 11", "Chrome 143"),
    ("Desktop", "Mac OS X 15", "Safari 26"),
    ("Mobile", "iOS 26", "Mobile Safari 26"),
    ("Mobile", "Android 16", "Chrome Mobile 143"),
    ("Tablet", "iPadOS 26", "Mobile Safari 26"),
]
_CHANNELS = [
    ("https://search.example/", "search", "organic", None),
    ("https://search.example/", "search", "cpc", "winter-sale"),
    ("https://mail.example/", "newsletter", "email", "january-trails"),
    ("https://hikers.example/forum", "hikers-forum", "referral", None),
    ("direct", None, None, None),
]
_FIRST_NAMES = [
    "Aiko",
    "Björn",
    "Chloé",
    "Dara",
    "Emeka",
    "Fatima",
    "Grzegorz",
    "Hana",
    "Iain",
    "Jürgen",
    "Kasia",
    "Leïla",
]
_LAST_NAMES = [
    "Abendroth",
    "Baird",
    "Castellanos",
    "Dubois",
    "Eriksen",
    "Fujimoto",
    "Górski",
    "Hartnett",
    "Imamura",
    "O'Dea",
]


@dataclass(frozen=True, slots=True)
class Dump:
    """One night's delivery: its number, what is special about it, and the tables in it."""

    number: int
    story: str
    tables: Mapping[str, DumpTable]


def dumps() -> Iterator[Dump]:
    """Yield the three dumps of `spec/source-heap.md` section 15, in their order."""
    shop = _Shop()
    for _ in range(DAYS_BEFORE_FIRST_DUMP):
        shop.open_for_a_day()
    first = shop.delivery()
    orders, clicks = first.pop("order_completed"), first["click_add_to_cart"]
    yield Dump(100, "two weeks of a shop, all tables in full", _tables(first, full={*first}))

    shop.open_for_a_day()
    second = shop.delivery()
    orders, clicks = orders + second.pop("order_completed"), clicks + second["click_add_to_cart"]
    story = "one more day: new rows, and users who changed; user_migrations is full in every dump"
    yield Dump(101, story, _tables(second, full={"user_migrations"}))

    shop.open_for_a_day()
    third = shop.delivery()
    third["order_completed"] = orders + third["order_completed"]
    clicks += third["click_add_to_cart"]
    third["click_add_to_cart"] = [
        click | {"voucher": shop.voucher(click)} for click in clicks if click["device_type"] != "Tablet"
    ]
    story = "click_add_to_cart was redefined (no tablets, a new property), so it comes in full; order_completed is new"
    yield Dump(102, story, _tables(third, full={"user_migrations", "click_add_to_cart", "order_completed"}))


def _tables(rows: Mapping[str, list[Row]], full: Iterable[str]) -> dict[str, DumpTable]:
    import pyarrow as pa

    from lockstitch.testing.heap_bucket import DumpTable

    types = {"int64": pa.int64(), "string": pa.string(), "float64": pa.float64(), "bool": pa.bool_()}
    tables: dict[str, DumpTable] = {}
    for name, content in rows.items():
        columns = {**COLUMNS[name], **(NEW_PROPERTY if content and "voucher" in content[0] else {})}
        schema = pa.schema([(column, types[kind]) for column, kind in columns.items()])
        table = pa.Table.from_pylist(content, schema=schema)
        tables[name] = DumpTable(table, incremental=name not in full, files=2 if len(content) > 1000 else 1)
    return tables


@dataclass(slots=True)
class _Visitor:
    """Who comes to the shop. `user_id` changes at the moment of signing in as someone already known."""

    user_id: int
    place: tuple[str, str, str]
    device: tuple[str, str, str]
    ip: str
    person: Row | None = None


@dataclass(slots=True)
class _Shop:
    """The shop's days, one after the other. `delivery` hands out what has happened since the last one."""

    chance: random.Random = field(default_factory=lambda: random.Random(1729))
    day: datetime = FIRST_DAY
    visitors: list[_Visitor] = field(default_factory=list[_Visitor])
    migrations: list[Row] = field(default_factory=list[Row])
    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    changed: dict[int, Row] = field(default_factory=dict[int, Row])
    people: list[Row] = field(default_factory=list[Row])
    orders: int = 0

    def delivery(self) -> dict[str, list[Row]]:
        """Return the rows by table since the last delivery; user_migrations as a whole."""
        rows, self.rows = self.rows, {name: [] for name in COLUMNS}
        rows["users"] = [dict(person) for person in self.changed.values()]
        rows["user_migrations"] = [dict(migration) for migration in self.migrations]
        self.changed = {}
        return rows

    def open_for_a_day(self) -> None:
        times = sorted(self.chance.triangular(0, 86_400, 68_000) for _ in range(SESSIONS_A_DAY))
        for seconds in times:
            self._session(self._visitor(), self.day + timedelta(seconds=seconds))
        self.day += timedelta(days=1)

    def voucher(self, click: Row) -> str | None:
        """Return a click's value of the new property: most have none."""
        return f"TRAIL-{click['event_id'] % 900 + 100}" if click["event_id"] % 7 == 0 else None

    def _visitor(self) -> _Visitor:
        if self.visitors and self.chance.random() < 0.6:
            return self.chance.choice(self.visitors)
        ip = f"203.0.113.{self.chance.randrange(1, 255)}"
        visitor = _Visitor(self._id(), self.chance.choice(_PLACES), self.chance.choice(_DEVICES), ip)
        self.visitors.append(visitor)
        return visitor

    def _session(self, visitor: _Visitor, start: datetime) -> None:
        referrer, source, medium, campaign = self.chance.choice(_CHANNELS)
        device_type, platform, browser = visitor.device
        country, region, city = visitor.place
        session_id = self._id()
        session: Row = {
            "event_id": session_id,
            "user_id": visitor.user_id,
            "session_id": session_id,
            "time": _stamp(start),
            "library": "web",
            "platform": platform,
            "device_type": device_type,
            "browser": browser,
            "country": country,
            "region": region,
            "city": city,
            "ip": visitor.ip,
            "referrer": referrer,
            "landing_page": "https://shop.example/",
            "utm_source": source,
            "utm_medium": medium,
            "utm_campaign": campaign,
        }
        self.rows["sessions"].append(session)
        self._walk(visitor, session, start)

    def _walk(self, visitor: _Visitor, session: Row, start: datetime) -> None:
        """Look at some pages, put things into the cart, and perhaps sign in and buy."""
        now, previous, cart = start, None, list[float]()
        for product in [None, *self.chance.sample(sorted(_PRODUCTS), self.chance.randrange(0, 6))]:
            page = self._page(session, now, product, previous)
            previous = page["path"]
            self.rows["pageviews"].append(page)
            now += timedelta(seconds=self.chance.uniform(4, 240))
            if product is not None and self.chance.random() < 0.3:
                cart.append(_PRODUCTS[product])
                self.rows["click_add_to_cart"].append(self._click(page, now, product))
        if cart and self.chance.random() < 0.4:
            self._sign_in(visitor, now)
            self._order(visitor, session, previous, now, cart)

    def _page(self, session: Row, now: datetime, product: str | None, previous: str | None) -> Row:
        path = f"/gear/{product.lower().replace(' ', '-')}" if product else "/"
        return session | {
            "event_id": self._id(),
            "time": _stamp(now),
            "path": path,
            "title": f"{product} | Fernhill" if product else "Fernhill: gear for slow walks",
            "heap_previous_page": previous,
            "session_time": session["time"],
        }

    def _click(self, page: Row, now: datetime, product: str) -> Row:
        return page | {
            "event_id": self._id(),
            "time": _stamp(now),
            "type": "click",
            "target_text": "Add to cart",
            "product": product,
            "price": _PRODUCTS[product],
            "quantity": self.chance.choice([1, 1, 1, 2]),
        }

    def _sign_in(self, visitor: _Visitor, now: datetime) -> None:
        """Make the visitor a person: a new one, or one known from another device (then Heap notes a migration)."""
        if visitor.person is not None:
            return
        if self.people and self.chance.random() < 0.35:
            visitor.person = self.chance.choice(self.people)
            known = visitor.person["user_id"]
            self.migrations.append({"from_user_id": visitor.user_id, "to_user_id": known, "time": _stamp(now)})
            visitor.user_id = known
            return
        visitor.person = self._person(visitor.user_id, now)
        self.people.append(visitor.person)

    def _person(self, user_id: int, now: datetime) -> Row:
        first, last = self.chance.choice(_FIRST_NAMES), self.chance.choice(_LAST_NAMES)
        handle = f"{first} {last}"
        email = f"{handle.lower().replace(' ', '.').replace(chr(39), '')}.{len(self.people)}@example.com"
        return {
            "user_id": user_id,
            "identity": email,
            "handle": handle,
            "email": email,
            "joindate": _stamp(now),
            "last_modified": _stamp(now),
            "newsletter": self.chance.choice([True, False, None]),
            "lifetime_value": 0.0,
        }

    def _order(self, visitor: _Visitor, session: Row, path: str | None, now: datetime, cart: list[float]) -> None:
        person = visitor.person
        if person is None:
            raise AssertionError("nobody orders before signing in")
        self.orders += 1
        amount = round(sum(cart), 2)
        order = session | {
            "event_id": self._id(),
            "user_id": visitor.user_id,
            "time": _stamp(now),
            "path": "/checkout/thanks",
            "title": "Thank you | Fernhill",
            "heap_previous_page": path,
            "session_time": session["time"],
            "order_number": 10_000 + self.orders,
            "amount": amount,
            "items": len(cart),
            "first_order": person["lifetime_value"] == 0,
        }
        self.rows["order_completed"].append(order)
        person["lifetime_value"] = round(person["lifetime_value"] + amount, 2)
        person["last_modified"] = _stamp(now)
        self.changed[person["user_id"]] = person

    def _id(self) -> int:
        return self.chance.getrandbits(53)


def _stamp(moment: datetime) -> str:
    """Return a time as Heap writes it: text, to the millisecond."""
    return moment.isoformat(sep=" ", timespec="milliseconds")
