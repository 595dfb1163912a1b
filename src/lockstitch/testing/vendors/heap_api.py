"""A fake of Heap's server-side API (`spec/source-heap.md` part B): it keeps what it accepts, for tests of a sender.

The paths below `/api/` are those that Heap documents, with an `app_id` in the body. Those without `/api/` are of the
variant at `api.heap.io`, which asks for an OAuth token and is not confirmed by Heap.
"""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import parse_qsl

from lockstitch.testing.vendors.messages import Clock, Record, Reply, Request, json_reply
from lockstitch.testing.vendors.server import VendorServer

#: Most objects of one bulk request.
BULK = 1000

#: Most user ids that one identity is given in a month; more are ignored.
USER_IDS_A_MONTH = 10

#: Paths of Heap's own API, and of the variant behind OAuth.
_CALLS = {
    "/api/track": "track",
    "/api/v1/identify": "identify",
    "/api/add_user_properties": "add_user_properties",
    "/api/add_account_properties": "add_account_properties",
    "/track": "track",
    "/identify": "identify",
    "/add_user_properties": "add_user_properties",
    "/add_event_properties": "add_event_properties",
}


class InvalidCall(Exception):
    """A call that Heap answers with 400."""


@dataclass(slots=True)
class _Window:
    """Counts what has happened lately."""

    seen: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])

    def room(self, limit: int, seconds: float, now: float) -> int:
        self.seen = [(at, count) for at, count in self.seen if at > now - seconds]
        return limit - sum(count for _, count in self.seen)


class HeapServer(VendorServer):
    """Heap's API at `url`, of one environment.

    accepted        every call stored, in order: a record with its `call`; one of a known idempotency key is not
    profiles        the properties of users by identity; `accounts` those of accounts by their id
    identities      the identity of each user id
    minute          how many seconds the minute of the limits has: tests shorten it
    tells_wait      whether a 429 has a Retry-After, of which Heap's documentation says nothing
    token_lifetime  how long a token holds, by the clock
    refuses         tells of an object whether Heap refuses it for a reason that nobody can know beforehand; `refusal`
                    is that reason
    """

    def __init__(
        self,
        *,
        app_id: str = "1234567890",
        client_id: str = "client",
        client_secret: str = "test-secret",
        clock: Clock | None = None,
    ) -> None:
        super().__init__(clock)
        self.app_id = app_id
        self.client = (client_id, client_secret)
        self.accepted: list[Record] = []
        self.profiles: dict[str, Record] = {}
        self.accounts: dict[str, Record] = {}
        self.identities: dict[str, str] = {}
        self.minute = 60.0
        self.tells_wait = False
        self.token_lifetime = timedelta(hours=1)
        self.refuses: Callable[[Record], bool] = lambda _: False
        self.refusal = "this is refused"
        self._tokens: dict[str, datetime] = {}
        self._identified: list[tuple[str, datetime]] = []
        self._keys: set[str] = set()
        self._windows: dict[tuple[str, str], _Window] = {}

    def expire_tokens(self) -> None:
        """Let all tokens given so far be expired."""
        self._tokens.clear()

    def answer(self, request: Request) -> Reply:
        if request.path == "/oauth/token":
            return self._token(request)
        if not request.path.startswith("/api/"):
            ends = self._tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
            if ends is None or request.at >= ends:
                return json_reply({"error": "invalid_token"}, 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
            if request.path == "/user":
                return self._user(request)
        call = _CALLS.get(request.path)
        if call is None:
            return self.failure(404, "not found")
        if request.method != "POST":
            return self.failure(405, "method not allowed")
        try:
            return self._take(call, request)
        except InvalidCall as error:
            return self.failure(400, str(error))

    def _take(self, call: str, request: Request) -> Reply:
        """Check a whole call, then its limits, then store it: nothing of a refused call is stored."""
        body = _object(request)
        if request.path.startswith("/api/") and body.get("app_id") != self.app_id:
            raise InvalidCall("app_id is missing or not known")
        plural = {"track": "events", "add_user_properties": "users", "add_account_properties": "accounts"}.get(call, "")
        bulk = plural in body
        items = body[plural] if bulk else [{name: value for name, value in body.items() if name != "app_id"}]
        if not isinstance(items, list) or not 1 <= len(cast("list[Any]", items)) <= BULK:
            raise InvalidCall(f"{plural} must be a list of 1 to {BULK} objects")
        checked = [_CHECKS[call](item) for item in cast("list[Any]", items)]
        if any(self.refuses(item) for item in checked):
            raise InvalidCall(self.refusal)
        wait = self._over_limit(call, checked, bulk=bulk)
        if wait is not None:
            return self.limited(
                "seconds" if self.tells_wait or not request.path.startswith("/api/") else "none", wait, request.at
            )
        for item in checked:
            self._store(call, item, request.at)
        return json_reply({})

    def _over_limit(self, call: str, items: list[Record], *, bulk: bool) -> float | None:
        """Count a call in the windows of its limits; return the seconds to wait if it exceeds one."""
        now = time.monotonic()
        whose = Counter(str(item.get("identity", item.get("user_id"))) for item in items)
        limits: list[tuple[tuple[str, str], int, int, float]] = []
        if call == "track" and bulk:
            limits += [(("bulk", each), count, 1000, self.minute) for each, count in whose.items()]
            limits.append((("app", ""), len(items), 15_000, self.minute))
        elif call in {"track", "add_user_properties"}:
            limits += [((call, each), count, 30, self.minute / 2) for each, count in whose.items()]
        windows = [(self._windows.setdefault(name, _Window()), count, *rest) for name, count, *rest in limits]
        waits = [
            window.seen[0][0] + seconds - now if window.seen else seconds
            for window, count, limit, seconds in windows
            if window.room(int(limit), seconds, now) < count
        ]
        if waits:
            return max(waits)
        for window, count, *_ in windows:
            window.seen.append((now, count))
        return None

    # --- storing ------------------------------------------------------------------------------------------------------

    def _store(self, call: str, item: Record, now: datetime) -> None:
        key = item.get("idempotency_key")
        if key is not None and key in self._keys:
            return
        if key is not None:
            self._keys.add(key)
        if call == "identify" and not self._identify(item, now):
            return
        if call == "add_user_properties":
            self.profiles.setdefault(item["identity"], {}).update(item["properties"])
        if call == "add_account_properties":
            self.accounts.setdefault(item["account_id"], {}).update(item["properties"])
        if call == "track":
            item = {"timestamp": now.isoformat(), **item}
        self.accepted.append({"call": call, **item})

    def _identify(self, item: Record, now: datetime) -> bool:
        """Give a user id its identity, unless it has one, or the identity has had too many: then nothing is said."""
        recent = [
            at for identity, at in self._identified if identity == item["identity"] and at > now - timedelta(days=30)
        ]
        if item["user_id"] in self.identities or len(recent) >= USER_IDS_A_MONTH:
            return False
        self._identified.append((item["identity"], now))
        self.identities[item["user_id"]] = item["identity"]
        self.profiles.setdefault(item["identity"], {})
        return True

    # --- the variant behind OAuth -------------------------------------------------------------------------------------

    def _token(self, request: Request) -> Reply:
        """Give a token for client credentials, in a form's fields, in JSON, or (the client's) in HTTP Basic."""
        if request.method != "POST":
            return self.failure(405, "method not allowed")
        try:
            asked = request.json() if request.body.startswith(b"{") else dict(parse_qsl(request.body.decode()))
        except ValueError:
            return json_reply({"error": "invalid_request"}, 400)
        client = (asked.get("client_id"), asked.get("client_secret"))
        basic = base64.b64encode(":".join(self.client).encode()).decode()
        if client != self.client and request.headers.get("authorization") != f"Basic {basic}":
            return json_reply({"error": "invalid_client"}, 401)
        if asked.get("grant_type") != "client_credentials":
            return json_reply({"error": "unsupported_grant_type"}, 400)
        token = f"token-{request.number}"
        self._tokens[token] = request.at + self.token_lifetime
        seconds = int(self.token_lifetime.total_seconds())
        return json_reply({"access_token": token, "token_type": "Bearer", "expires_in": seconds})

    def _user(self, request: Request) -> Reply:
        if request.method != "GET":
            return self.failure(405, "method not allowed")
        identity = request.get("identity")
        if not identity:
            return self.failure(400, "identity is required")
        if identity not in self.profiles:
            return self.failure(404, "no such user")
        return json_reply({"user": {"identity": identity, **self.profiles[identity]}})


# --- checks -----------------------------------------------------------------------------------------------------------


def _object(request: Request) -> Record:
    try:
        body = request.json()
    except ValueError as error:
        raise InvalidCall("the body is not JSON") from error
    if not isinstance(body, dict):
        raise InvalidCall("the body is not an object")
    return cast("Record", body)


def _text(item: Record, name: str, longest: int) -> str:
    value = item.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        raise InvalidCall(f"{name} must be a text of 1 to {longest} characters")
    return value


def _user_id(item: Record, name: str = "user_id") -> str:
    value = item.get(name)
    if not isinstance(value, str) or not value.isdecimal() or int(value) >= 2**53:
        raise InvalidCall(f"{name} must be a decimal text from 0 to 2^53 - 1")
    return value


def _properties(item: Record, *, required: bool = False) -> Record:
    """Return properties as Heap keeps them: a list as its elements joined."""
    found = item.get("properties")
    if found is None and not required:
        return {}
    if not isinstance(found, dict):
        raise InvalidCall("properties must be an object")
    kept: Record = {}
    for name, value in cast("Record", found).items():
        value = "||".join(str(each) for each in cast("list[Any]", value)) if isinstance(value, list) else value
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise InvalidCall(f"property {name!r} must be a text or a number")
        if not 1 <= len(name) < 1024 or len(str(value)) >= 1024:
            raise InvalidCall(f"property {name[:20]!r} is longer than 1023 characters")
        kept[name] = value
    return kept


def _tracked(item: Any) -> Record:
    item = _fields(item, "event", "identity", "user_id", "session_id", "properties", "timestamp", "idempotency_key")
    if ("identity" in item) == ("user_id" in item):
        raise InvalidCall("exactly one of identity and user_id is required")
    kept: Record = {"event": _text(item, "event", 1024)}
    if "identity" in item:
        kept["identity"] = _text(item, "identity", 255)
    else:
        kept["user_id"] = _user_id(item)
    if "session_id" in item:
        kept["session_id"] = _user_id(item, "session_id")
    if "idempotency_key" in item:
        kept["idempotency_key"] = _text(item, "idempotency_key", 1024)
    return {**kept, "properties": _properties(item), **_timestamp(item)}


def _identified(item: Any) -> Record:
    item = _fields(item, "identity", "user_id", "timestamp")
    return {"identity": _text(item, "identity", 255), "user_id": _user_id(item), **_timestamp(item)}


def _described_user(item: Any) -> Record:
    item = _fields(item, "identity", "properties")
    properties = _properties(item, required=True)
    if any(name.lower() == "id" for name in properties):
        raise InvalidCall("a property cannot be named id")
    return {"identity": _text(item, "identity", 255), "properties": properties}


def _described_account(item: Any) -> Record:
    item = _fields(item, "account_id", "properties")
    return {"account_id": _text(item, "account_id", 255), "properties": _properties(item, required=True)}


def _described_event(item: Any) -> Record:
    item = _fields(item, "event_id", "properties")
    return {"event_id": _user_id(item, "event_id"), "properties": _properties(item, required=True)}


def _fields(item: Any, *known: str) -> Record:
    if not isinstance(item, dict) or set(cast("Record", item)) - set(known):
        raise InvalidCall(f"not an object with {', '.join(known)}: {json.dumps(item)[:100]}")
    return cast("Record", item)


def _timestamp(item: Record) -> Record:
    if "timestamp" not in item:
        return {}
    try:
        datetime.fromisoformat(str(item["timestamp"]).replace("Z", "+00:00"))
    except ValueError as error:
        raise InvalidCall("timestamp must be in ISO 8601") from error
    return {"timestamp": item["timestamp"]}


#: Checks one object of each call, and returns what is kept of it.
_CHECKS: Mapping[str, Callable[[Any], Record]] = {
    "track": _tracked,
    "identify": _identified,
    "add_user_properties": _described_user,
    "add_account_properties": _described_account,
    "add_event_properties": _described_event,
}
