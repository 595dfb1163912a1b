"""Encrypts every stored secret again with the newest key, so that older keys can be dropped."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from lockstitch.control.keyring import Keyring
from lockstitch.control.store.database import Store
from lockstitch.control.store.tables import connections, hooks

#: Rows of one transaction: a server at work waits for it only briefly.
_AT_ONCE = 100


def renew_secrets(store: Store, keyring: Keyring) -> int:
    """Renew all secrets and return how many. May be broken off and repeated, also while servers are at work.

    Raises AccessError where a secret's key is not here; those before it are renewed then, and stay readable.
    """

    def renewed(secrets: dict[str, str]) -> dict[str, str]:
        return {name: keyring.renew(text) for name, text in secrets.items()}

    return _renew(store, connections.c.secrets, renewed) + _renew(store, hooks.c.secret, keyring.renew)


def _renew(store: Store, column: sa.Column[Any], renewed: Any) -> int:
    key, last, count = column.table.c.id, 0, 0
    while True:
        with store.begin() as db:
            # Held until the new text is written: a change by a client in between would be lost.
            query = sa.select(key, column).where(key > last).order_by(key).limit(_AT_ONCE).with_for_update()
            rows = db.execute(query).all()
            for row in rows:
                db.execute(sa.update(column.table).where(key == row[0]).values({column.name: renewed(row[1])}))
        if not rows:
            return count
        count += sum(len(row[1]) if isinstance(row[1], dict) else 1 for row in rows)
        last = rows[-1][0]
