"""What sources and destinations have in common: their row, their properties, and which credentials they hold."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from lockstitch.control.catalogue import cards, properties
from lockstitch.control.catalogue.catalogue import ConnectionType, find
from lockstitch.control.folders import Folders
from lockstitch.control.keyring import Keyring
from lockstitch.control.refusals import coded
from lockstitch.control.store.database import Row
from lockstitch.control.store.tables import accounts, connections
from lockstitch.control.times import told

Kind = Literal["source", "destination"]

#: The answer to a destination that the account does not have.
UNKNOWN_TEXT = "invalid connection id"


@dataclass(frozen=True, slots=True)
class Custody:
    """Takes in and gives out the properties of connections: the keys for credentials, the folders for files."""

    keyring: Keyring
    folders: Folders


@dataclass(frozen=True, slots=True)
class Changed:
    """The values of the columns `properties` and `secrets` after a change."""

    properties: dict[str, Any]
    secrets: dict[str, str]


def type_of(row: Row) -> ConnectionType:
    """Return the type of a stored connection."""
    return _type(row.kind, row.type)


def _type(kind: Kind, name: str) -> ConnectionType:
    found = find(kind, name)
    if found is None:
        raise LookupError(f"there are {kind}s of type {name}, which this version does not know")
    return found


def changed_properties(custody: Custody, account_id: int, kind: ConnectionType, sent: Any, row: Row | None) -> Changed:
    """Merge what a client sent into what is stored; refuse it as section 6.6 says."""
    plain: dict[str, Any] = dict(row.properties) if row is not None else properties.system_values(kind)
    hidden: dict[str, str] = dict(row.secrets) if row is not None else {}
    accepted = properties.accept(kind, sent, {**plain, **dict.fromkeys(hidden, "")})
    outside = custody.folders.refused(account_id, kind.connector, accepted.values)
    bad = [name for name in sent if name in outside or name in accepted.bad]
    if bad:
        bare = _card(kind.kind, kind.type, frozenset(plain), discovered=False, selected=False)
        card = (card_of(row) if row is not None else bare).json
        raise coded("InvalidProperties", "properties do not match schema", bad_properties=bad, report_card=card)
    secret = properties.secret_names(kind)
    for name in accepted.removed:
        plain.pop(name, None)
        hidden.pop(name, None)
    for name, value in accepted.values.items():
        if name in secret:
            hidden[name] = custody.keyring.encrypt(value)
        else:
            plain[name] = value
    return Changed(plain, hidden)


def settings(custody: Custody, row: Row) -> dict[str, Any]:
    """Return the properties for the connector: credentials decrypted, paths absolute. For those who carry out a job.

    Raises a user error for a path outside the allowed folders, a credential whose key is missing, and a type that
    nothing runs.
    """
    kind = type_of(row)
    secrets = {name: custody.keyring.decrypt(text) for name, text in row.secrets.items()}
    values = properties.settings_for(kind, {**row.properties, **secrets})
    return custody.folders.settled(row.account_id, kind.connector, values)


@dataclass(frozen=True, slots=True)
class Card:
    """A report card, written already, and the type of the step that is to be done next."""

    step: str
    json: msgspec.Raw


def card_of(row: Row) -> Card:
    """Return how far a connection has come (section 7)."""
    provided = frozenset(row.properties) | frozenset(row.secrets)
    return _card(row.kind, row.type, provided, discovered=row.discovered_at is not None, selected=row.has_selection)


# Most connections of a type have the same properties, so that a list of a thousand needs few cards.
@lru_cache(maxsize=1000)
def _card(kind: Kind, type_name: str, provided: frozenset[str], *, discovered: bool, selected: bool) -> Card:
    card = cards.report_card(_type(kind, type_name), provided=provided, discovered=discovered, selected=selected)
    return Card(card["current_step_type"], msgspec.Raw(msgspec.json.encode(card)))


def told_connection(row: Row, own: Mapping[str, Any], check_job_name: str | None) -> dict[str, Any]:
    """Return what the objects of sources and destinations (4.2, 6.2) have in common, with what is the kind's `own`."""
    check = {} if check_job_name is None else {"check_job_name": check_job_name}
    return {
        **own,
        **check,
        "updated_at": told(row.updated_at),
        "name": row.name,
        "type": row.type,
        "deleted_at": told(row.deleted_at),
        "system_paused_at": told(row.system_paused_at),
        "stitch_client_id": row.account_id,
        "paused_at": row.paused_at,
        "id": row.id,
        "display_name": row.display_name,
        "created_at": told(row.created_at),
        "report_card": card_of(row).json,
    }


def insert(db: sa.Connection, values: Mapping[str, Any], now: datetime) -> int:
    row = {**values, "mark_id": uuid.uuid4().hex, "created_at": now, "updated_at": now}
    return db.execute(sa.insert(connections).values(row).returning(connections.c.id)).scalar_one()


def update(db: sa.Connection, connection_id: int, values: Mapping[str, Any], now: datetime) -> None:
    db.execute(sa.update(connections).where(connections.c.id == connection_id).values({**values, "updated_at": now}))


def one(db: sa.Connection, account_id: int, kind: Kind, connection_id: int) -> Row | None:
    """Return an account's connection, deleted or not; nobody else's."""
    if not is_id(connection_id):
        return None
    return db.execute(
        sa.select(connections).where(
            connections.c.id == connection_id, connections.c.account_id == account_id, connections.c.kind == kind
        )
    ).first()


def is_id(number: object) -> bool:
    """Tell whether a number that a client sent can be an id: a database takes no larger ones, not even to compare."""
    return isinstance(number, int) and not isinstance(number, bool) and 0 < number < 2**63


def hold(db: sa.Connection, account_id: int) -> None:
    """Let nobody else name or count this account's things until the transaction ends. SQLite has one writer anyway."""
    db.execute(sa.select(accounts.c.id).where(accounts.c.id == account_id).with_for_update(key_share=True))


def is_inactive(row: Row) -> bool:
    return row.deleted_at is not None or row.paused_at is not None or row.system_paused_at is not None
