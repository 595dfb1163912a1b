"""Tokens: made once, shown once, stored as a hash (`spec/connect-api.md` section 2.1)."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from lockstitch.control import connections
from lockstitch.control.refusals import coded, unauthorized
from lockstitch.control.store.tables import accounts, tokens

Kind = Literal["api", "import", "ephemeral", "session", "code"]

SESSION_LIFE = timedelta(hours=12)
#: What a token of each kind begins with, and how long it lives.
_PREFIX: dict[Kind, str] = {"api": "ac_", "import": "at_", "ephemeral": "", "session": "", "code": ""}
_LIFE: dict[Kind, timedelta | None] = {
    "api": None,
    "import": None,
    "ephemeral": timedelta(hours=1),
    "session": SESSION_LIFE,
    "code": timedelta(minutes=5),
}
API_TOKENS = 10
IMPORT_TOKENS = 2


@dataclass(frozen=True, slots=True)
class Made:
    """A new token; `text` is known only now."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whose token was shown."""

    account_id: int
    token_id: int
    source_id: int | None = None
    detail: str | None = None


def make(db: sa.Connection, account_id: int, kind: Kind, now: datetime, **more: Any) -> Made:
    """Store a new token; `more` are further columns: description, source_id, partner_id, detail."""
    text = _PREFIX[kind] + secrets.token_urlsafe(32)
    life = _LIFE[kind]
    if life is not None:
        # Those that are over are of no more use; without this they would stay for ever.
        db.execute(sa.delete(tokens).where(tokens.c.account_id == account_id, tokens.c.expires_at <= now))
    values = {
        "account_id": account_id,
        "kind": kind,
        "hash": hashed(text),
        "last_four": text[-4:],
        "created_at": now,
        "expires_at": now + life if life is not None else None,
        **more,
    }
    made = db.execute(sa.insert(tokens).values(values).returning(tokens.c.id)).scalar_one()
    return Made(made, text)


def hashed(text: str) -> str:
    # A token has 256 random bits: a slow hash would protect nothing more.
    return hashlib.sha256(text.encode()).hexdigest()


def bearer(db: sa.Connection, header: str | None, kind: Kind, now: datetime) -> Bearer:
    """Return whose token an Authorization header shows; the scheme's spelling is not looked at closely."""
    scheme, _, text = (header or "").strip().partition(" ")
    if scheme.rstrip(":").lower() != "bearer" or not text:
        raise unauthorized()
    found = find(db, text.strip(), kind, now)
    if found is None:
        raise unauthorized()
    return found


def find(db: sa.Connection, text: str, kind: Kind, now: datetime) -> Bearer | None:
    """Return whose token this text is, or None: unknown, of another kind, disabled, or too old."""
    row = db.execute(
        sa.select(tokens.c.id, tokens.c.account_id, tokens.c.source_id, tokens.c.detail).where(
            tokens.c.hash == hashed(text),
            tokens.c.kind == kind,
            tokens.c.disabled_at.is_(None),
            sa.or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now),
        )
    ).first()
    return Bearer(row.account_id, row.id, row.source_id, row.detail) if row is not None else None


def spend(db: sa.Connection, text: str, kind: Kind, now: datetime, partner_id: str | None = None) -> Bearer | None:
    """Return whose one-time token this is and take it away, or None; one given for a partner is that partner's."""
    found = find(db, text, kind, now)
    if found is None:
        return None
    own = (tokens.c.id == found.token_id, tokens.c.partner_id.is_not_distinct_from(partner_id))
    return found if db.execute(sa.delete(tokens).where(*own)).rowcount == 1 else None


# --- Import API tokens of a source (section 6.7) ----------------------------------------------------------------------


def make_import_token(db: sa.Connection, source: Any, now: datetime) -> Made:
    _refuse_other_types(source)
    connections.hold(db, source.account_id)
    if len(import_tokens(db, source)) >= IMPORT_TOKENS:
        raise coded("TokenLimitExceeded", f"a source can have at most {IMPORT_TOKENS} active tokens")
    return make(db, source.account_id, "import", now, source_id=source.id)


def import_tokens(db: sa.Connection, source: Any) -> list[Any]:
    """Return the source's tokens, the newest first."""
    _refuse_other_types(source)
    query = sa.select(tokens.c.id, tokens.c.created_at).where(
        tokens.c.source_id == source.id, tokens.c.kind == "import", tokens.c.disabled_at.is_(None)
    )
    return list(db.execute(query.order_by(tokens.c.id.desc())))


def delete_import_token(db: sa.Connection, source: Any, token_id: int, now: datetime) -> None:
    _refuse_other_types(source)
    own = (tokens.c.source_id == source.id, tokens.c.kind == "import", tokens.c.id == token_id)
    if not connections.is_id(token_id) or db.execute(sa.delete(tokens).where(*own)).rowcount == 0:
        raise coded("InvalidId", f"token not found ({token_id})")
    connections.update(db, source.id, {}, now)


def _refuse_other_types(source: Any) -> None:
    if source.type != "import_api":
        raise coded("InvalidType", f"source type does not support tokens ({source.type})")


# --- API tokens -------------------------------------------------------------------------------------------------------


def make_api_token(db: sa.Connection, account_id: int, description: str, now: datetime) -> Made:
    """Make a token for a member of the account; those of partners are listed, and counted, apart."""
    connections.hold(db, account_id)
    own = (tokens.c.account_id == account_id, tokens.c.kind == "api", tokens.c.partner_id.is_(None))
    held = sa.select(sa.func.count()).where(*own)
    if db.execute(held).scalar_one() >= API_TOKENS:
        raise coded("TokenLimitExceeded", f"an account can have at most {API_TOKENS} API tokens")
    return make(db, account_id, "api", now, description=description)


def first_account(db: sa.Connection) -> int | None:
    return db.execute(sa.select(sa.func.min(accounts.c.id))).scalar()
