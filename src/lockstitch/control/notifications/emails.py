"""Custom e-mail addresses (`spec/connect-api.md` section 14.1)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from lockstitch.control import connections
from lockstitch.control.connections import Row
from lockstitch.control.refusals import Refusal
from lockstitch.control.store.tables import custom_emails
from lockstitch.control.times import is_moment, told

LIMIT = 10
LONGEST = 254
#: What browsers take for an address: ASCII, one @, and nothing that a header or an envelope could misread.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")

_NOT_IN_PLAN = "Account not authorized to create custom notification email addresses."
_TOO_MANY = "Account not authorized to create additional custom notification email addresses."
_NO_ADDRESS = {"email_address": "Required. Must be valid email address format."}


def is_address(text: object) -> bool:
    """Tell whether mail can be sent to this."""
    return isinstance(text, str) and len(text) <= LONGEST and _ADDRESS.fullmatch(text) is not None


def create(db: sa.Connection, account_id: int, body: Any, now: datetime, *, permitted: bool) -> dict[str, Any]:
    """Add an address; `permitted`: the operator lets accounts do so."""
    if not permitted:
        raise _refusal(_NOT_IN_PLAN)
    address = body.get("email_address") if isinstance(body, dict) else None
    if not is_address(address):
        raise _refusal(_NO_ADDRESS)
    connections.hold(db, account_id)
    own = sa.select(sa.func.count()).where(custom_emails.c.account_id == account_id)
    if db.execute(own).scalar_one() >= LIMIT:
        raise _refusal(_TOO_MANY)
    values = {"account_id": account_id, "email_address": address, "created_at": now}
    return _told(db.execute(sa.insert(custom_emails).values(values).returning(*custom_emails.c)).one())


def listed(db: sa.Connection, account_id: int) -> list[dict[str, Any]]:
    """Return all of an account's addresses, disabled ones included."""
    query = sa.select(custom_emails).where(custom_emails.c.account_id == account_id).order_by(custom_emails.c.id)
    return [_told(row) for row in db.execute(query)]


def change(db: sa.Connection, account_id: int, email_id: int, body: Any) -> dict[str, Any]:
    """Disable an address by any moment, or enable it by null."""
    own = _own(account_id, email_id)
    if db.execute(sa.select(custom_emails.c.id).where(*own)).first() is None:
        raise Refusal(404, {"status": "NOT FOUND"})
    if not isinstance(body, dict) or "disabled_at" not in body:
        raise Refusal(400, {"disabled_at": None})
    disabled_at = body["disabled_at"]
    if disabled_at is not None and not is_moment(disabled_at):
        raise Refusal(400, {"disabled_at": disabled_at})
    db.execute(sa.update(custom_emails).where(*own).values(disabled_at=disabled_at))
    return {"disabled_at": disabled_at}


def delete(db: sa.Connection, account_id: int, email_id: int) -> list[int]:
    """Delete an address; return how many there were."""
    return [db.execute(sa.delete(custom_emails).where(*_own(account_id, email_id))).rowcount]


def _own(account_id: int, email_id: int) -> tuple[Any, ...]:
    known = custom_emails.c.id == email_id if connections.is_id(email_id) else sa.false()
    return (known, custom_emails.c.account_id == account_id)


def _refusal(message: Any) -> Refusal:
    return Refusal(400, {"error": {"message": message}})


def _told(row: Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "client_id": row.account_id,
        "email_address": row.email_address,
        "created_at": told(row.created_at),
        "disabled_at": row.disabled_at,
    }
