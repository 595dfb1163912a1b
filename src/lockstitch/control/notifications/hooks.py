"""Post-load hooks as accounts manage them (`spec/connect-api.md` section 14.2)."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

import httpx2
import sqlalchemy as sa

from lockstitch.control import connections
from lockstitch.control.connections import Row
from lockstitch.control.keyring import Keyring
from lockstitch.control.notifications import notices
from lockstitch.control.notifications.events import UNDELIVERABLE
from lockstitch.control.notifications.settings import Outgoing
from lockstitch.control.refusals import Refusal, coded
from lockstitch.control.store.tables import connections as connection_table
from lockstitch.control.store.tables import hooks
from lockstitch.control.times import told

LIMIT = 10
LONGEST_URL = 2000


def create(
    db: sa.Connection, keyring: Keyring, account_id: int, body: Any, now: datetime, outgoing: Outgoing
) -> dict[str, Any]:
    """Add a hook, with a secret of its own that signs what it is sent."""
    if not outgoing.hooks:
        raise _refusal("Client does not have access to hooks.")
    url, destination_id = _wanted(db, account_id, body, outgoing)
    connections.hold(db, account_id)
    own = sa.select(sa.func.count()).where(hooks.c.account_id == account_id)
    if db.execute(own).scalar_one() >= LIMIT:
        raise _refusal(f"You have exceeded the limit of {LIMIT} hooks.")
    values = {
        "account_id": account_id,
        "destination_id": destination_id,
        "url": url,
        "secret": keyring.encrypt(secrets.token_hex(32)),
        "created_at": now,
        "modified_at": now,
    }
    return _told(db.execute(sa.insert(hooks).values(values).returning(*hooks.c)).one())


def _wanted(db: sa.Connection, account_id: int, body: Any, outgoing: Outgoing) -> tuple[str, int]:
    """Return address and destination; a body without a destination means the only one that there is."""
    names: set[Any] = set(body) if isinstance(body, dict) else set()
    if names | {"destination_id"} != {"type", "config", "destination_id"} or body["type"] != "post_load":
        raise _bad_body()
    config = body["config"]
    if not isinstance(config, dict) or set(config) != {"url"} or not _is_good(config["url"], outgoing):
        raise _bad_body()
    existing = _destinations(db, account_id)
    wanted = body.get("destination_id", existing[0] if len(existing) == 1 else None)
    if type(wanted) is not int or wanted not in existing:
        raise _bad_body()
    return config["url"], wanted


def _is_good(url: Any, outgoing: Outgoing) -> bool:
    if not isinstance(url, str) or len(url) > LONGEST_URL:
        return False
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, UnicodeError):
        return False
    return parsed.scheme in (("https", "http") if outgoing.plain_hooks else ("https",)) and bool(parsed.host)


def _destinations(db: sa.Connection, account_id: int) -> list[int]:
    own = (connection_table.c.account_id == account_id, connection_table.c.kind == "destination")
    query = sa.select(connection_table.c.id).where(*own, connection_table.c.deleted_at.is_(None))
    return list(db.execute(query).scalars())


def listed(db: sa.Connection, account_id: int) -> dict[str, Any]:
    """Return all of an account's hooks by type, disabled ones included."""
    query = sa.select(hooks).where(hooks.c.account_id == account_id).order_by(hooks.c.id)
    return {"post_load": [_told(row) for row in db.execute(query)]}


def change(db: sa.Connection, account_id: int, hook_id: int, body: Any, now: datetime) -> dict[str, Any]:
    """Enable or disable a hook."""
    if not isinstance(body, dict) or set(body) != {"enable"} or not isinstance(body["enable"], bool):
        raise coded("InvalidBody", "PUT body must only contain boolean 'enable' key")
    values = {"disabled_at": None if body["enable"] else now, "modified_at": now}
    changed = sa.update(hooks).where(*_own(account_id, hook_id)).values(values).returning(*hooks.c)
    row = db.execute(changed).first()
    if row is None:
        raise Refusal(400, {"error": "NotFound"})
    if not body["enable"]:
        notices.resolve(db, account_id, UNDELIVERABLE, topic(hook_id), now)
    return _told(row)


def delete(db: sa.Connection, account_id: int, hook_id: int, now: datetime) -> None:
    """Delete a hook, and with it what it has not been sent yet."""
    if db.execute(sa.delete(hooks).where(*_own(account_id, hook_id))).rowcount == 0:
        raise Refusal(400, {"error": "NotFound"})
    notices.resolve(db, account_id, UNDELIVERABLE, topic(hook_id), now)


def secret_of(db: sa.Connection, keyring: Keyring, account_id: int, hook_id: int) -> str | None:
    """Return the secret by which the hook's owner can check what it is sent."""
    text = db.execute(sa.select(hooks.c.secret).where(*_own(account_id, hook_id))).scalar()
    return None if text is None else keyring.decrypt(text)


def topic(hook_id: int) -> str:
    """Return what notifications about a hook are about."""
    return f"hook {hook_id}"


def subject_of(db: sa.Connection, hook_id: int) -> notices.Subject | None:
    """Return what a notification about a hook is about: its destination, by way of the hook."""
    query = sa.select(hooks.c.account_id, connection_table.c.id, connection_table.c.display_name)
    joined = query.join(connection_table, connection_table.c.id == hooks.c.destination_id)
    row = db.execute(joined.where(hooks.c.id == hook_id)).first()
    return None if row is None else notices.Subject(row.account_id, row.id, row.display_name or "", topic(hook_id))


def _own(account_id: int, hook_id: int) -> tuple[Any, ...]:
    known = hooks.c.id == hook_id if connections.is_id(hook_id) else sa.false()
    return (known, hooks.c.account_id == account_id)


def _bad_body() -> Refusal:
    return coded("InvalidBody", "Invalid POST body")


def _refusal(message: str) -> Refusal:
    return Refusal(400, {"error": {"message": message}})


def _told(row: Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "client_id": row.account_id,
        "type": "post_load",
        "version": 1,
        "destination_id": row.destination_id,
        "config": {"url": row.url},
        "created_at": told(row.created_at),
        "modified_at": told(row.modified_at),
        "disabled_at": told(row.disabled_at),
    }
