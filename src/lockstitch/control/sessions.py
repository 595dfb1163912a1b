"""Browser sessions: begun by an ephemeral or an API token, over after 12 hours (`spec/connect-api.md` section 2)."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from lockstitch.control import tokens
from lockstitch.control.tokens import Bearer


def begin_by_ephemeral_token(db: sa.Connection, text: str, now: datetime) -> tuple[int, str] | None:
    """Spend the token; return its account and a session's token, or None where it is unknown, spent or too old."""
    return _begun(db, tokens.spend(db, text, "ephemeral", now), now)


def begin_by_api_token(db: sa.Connection, text: str, now: datetime) -> tuple[int, str] | None:
    """Return the account and a session's token for whoever knows an API token; None for any other text."""
    return _begun(db, tokens.find(db, text, "api", now), now)


def _begun(db: sa.Connection, found: Bearer | None, now: datetime) -> tuple[int, str] | None:
    return (found.account_id, tokens.make(db, found.account_id, "session", now).text) if found is not None else None


def account_of(db: sa.Connection, text: str, now: datetime) -> int | None:
    """Return whose session it is, or None where it is over."""
    found = tokens.find(db, text, "session", now)
    return found.account_id if found is not None else None


def end(db: sa.Connection, text: str, now: datetime) -> None:
    tokens.spend(db, text, "session", now)
