"""Accounts and the partners who may create them (`spec/connect-api.md` sections 2.2, 2.3 and 3)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from lockstitch.control import tokens
from lockstitch.control.refusals import flat
from lockstitch.control.store.tables import accounts, partners

_FIELDS = ("partner_id", "partner_secret", "first_name", "last_name", "email", "company", "region")
REGIONS = ("us-east-1", "eu-central-1")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
LONGEST_EMAIL = 254


def create(db: sa.Connection, body: Any, now: datetime) -> tuple[int, str]:
    """Make an account on a partner's behalf; return its id and its API token."""
    given = _fields(body)
    errors = _errors(db, given)
    if errors:
        raise flat("BadRequest", "Invalid form data.", errors)
    account_id = register(db, {name: given[name] for name in given if name != "partner_secret"}, now)
    return account_id, partner_token(db, account_id, given["partner_id"], now)


def register(db: sa.Connection, values: Mapping[str, str], now: datetime) -> int:
    """Make an account, unless its email address has one."""
    taken = flat("ExistingUser", "This email address is already associated with an active user.")
    if db.execute(sa.select(accounts.c.id).where(sa.func.lower(accounts.c.email) == values["email"].lower())).first():
        raise taken
    try:
        with db.begin_nested():
            return insert(db, values, now)
    except IntegrityError:  # another request was faster
        raise taken from None


#: The account that comes with a new server.
FIRST = {"company": "", "first_name": "", "last_name": "", "email": "owner@localhost", "region": REGIONS[0]}


def exists(db: sa.Connection, account_id: int) -> bool:
    return db.execute(sa.select(accounts.c.id).where(accounts.c.id == account_id)).first() is not None


def label(db: sa.Connection, account_id: int) -> str:
    """Return what a user knows an account by."""
    row = db.execute(sa.select(accounts.c.company, accounts.c.email).where(accounts.c.id == account_id)).one()
    return f"{row.company} ({row.email})" if row.company else row.email


def insert(db: sa.Connection, values: Mapping[str, str], now: datetime) -> int:
    made = sa.insert(accounts).values({**values, "created_at": now}).returning(accounts.c.id)
    return db.execute(made).scalar_one()


def _fields(body: Any) -> dict[str, str]:
    if not isinstance(body, dict) or not all(isinstance(value, str) for value in body.values()):
        raise flat("BadRequest", "Invalid form data.", {})
    return {"region": REGIONS[0], **{name: value.strip() for name, value in body.items() if name in _FIELDS}}


def _errors(db: sa.Connection, given: Mapping[str, str]) -> dict[str, str]:
    errors = {name: "required" for name in _FIELDS if not given.get(name)}
    if "email" not in errors and not is_email(given["email"]):
        errors["email"] = "invalid"
    if "region" not in errors and given["region"] not in REGIONS:
        errors["region"] = "invalid"
    if "partner_id" not in errors and "partner_secret" not in errors:
        partner = db.execute(sa.select(partners).where(partners.c.id == given["partner_id"])).first()
        if partner is None:
            errors["partner_id"] = "required"
        elif not secrets.compare_digest(partner.secret_hash, tokens.hashed(given["partner_secret"])):
            errors["partner_secret"] = "required"
    return errors


def is_email(text: str) -> bool:
    return len(text) <= LONGEST_EMAIL and _EMAIL.fullmatch(text) is not None


def make_partner(db: sa.Connection, name: str, redirect_uris: list[str], now: datetime) -> tuple[str, str]:
    """Register a partner; return its id and its secret, which is shown this once."""
    partner_id, secret = (f"oc_{secrets.token_urlsafe(24)}" for _ in range(2))
    values = {
        "id": partner_id,
        "name": name,
        "secret_hash": tokens.hashed(secret),
        "redirect_uris": redirect_uris,
        "created_at": now,
    }
    db.execute(sa.insert(partners).values(values))
    return partner_id, secret


def partner_token(db: sa.Connection, account_id: int, partner_id: str, now: datetime) -> str:
    """Make the permanent token by which a partner acts for an account."""
    return tokens.make(db, account_id, "api", now, description=f"partner {partner_id}", partner_id=partner_id).text


# --- authorisation of a partner by a user (section 2.3) ---------------------------------------------------------------


def callback_of(db: sa.Connection, partner_id: str, wanted: str | None) -> str | None:
    """Return the address to which an answer for the partner may go; None for one that is not registered."""
    registered = db.execute(sa.select(partners.c.redirect_uris).where(partners.c.id == partner_id)).scalar() or []
    if wanted is None:
        return registered[0] if registered else None
    return wanted if wanted in registered else None


def name_of_partner(db: sa.Connection, partner_id: str) -> str:
    return db.execute(sa.select(partners.c.name).where(partners.c.id == partner_id)).scalar_one()


#: How a partner's PKCE challenge was made out of its verifier (RFC 7636, section 4.2).
CHALLENGE_METHODS = ("plain", "S256")


def authorize(
    db: sa.Connection,
    partner_id: str,
    account_id: int,
    now: datetime,
    challenge: str | None = None,
    method: str = "plain",
) -> str:
    """Return a code for the partner, once the account's user has agreed; it works once, within five minutes.

    `challenge` and `method` are PKCE's (RFC 7636), where the partner has sent them.
    """
    detail = None if challenge is None else f"{method} {challenge}"
    return tokens.make(db, account_id, "code", now, partner_id=partner_id, detail=detail).text


def exchange(db: sa.Connection, partner_id: str, code: str, verifier: str, now: datetime) -> tuple[int, str] | None:
    """Return the account and a permanent token for a code of this partner's, or None; the code is spent."""
    found = tokens.spend(db, code, "code", now, partner_id=partner_id)
    if found is None or not _is_verified(found.detail, verifier):
        return None
    return found.account_id, partner_token(db, found.account_id, partner_id, now)


def _is_verified(detail: str | None, verifier: str) -> bool:
    if detail is None:
        return True
    method, _, challenge = detail.partition(" ")
    text = verifier.encode("utf-8", "replace")
    if method == "S256":
        text = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=")
    return secrets.compare_digest(text, challenge.encode("utf-8", "replace"))


def partner_of_secret(db: sa.Connection, secret: str) -> str | None:
    """Return the id of the partner whose secret this is."""
    return db.execute(sa.select(partners.c.id).where(partners.c.secret_hash == tokens.hashed(secret))).scalar()
