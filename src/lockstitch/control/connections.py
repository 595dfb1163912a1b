"""What sources and destinations have in common: their row, their properties, and which credentials they hold."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from lockstitch.control.catalogue import cards, properties
from lockstitch.control.catalogue.catalogue import ConnectionType, find
from lockstitch.control.folders import Folders
from lockstitch.control.keyring import Keyring
from lockstitch.control.refusals import coded
from lockstitch.control.store.tables import connections

Kind = Literal["source", "destination"]
Row = sa.Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Custody:
    """Takes in and gives out the properties of connections: the keys for credentials, the folders for files."""

    keyring: Keyring
    folders: Folders


@dataclass(frozen=True, slots=True)
class Changed:
    """The values of the columns `properties` and `secrets` after a change, and whether anything did change."""

    properties: dict[str, Any]
    secrets: dict[str, str]


def type_of(row: Row) -> ConnectionType:
    """Return the type of a stored connection."""
    found = find(row.kind, row.type)
    if found is None:
        raise LookupError(f"connection {row.id} is of type {row.type}, which this version does not know")
    return found


def changed_properties(
    custody: Custody, account_id: int, kind: ConnectionType, sent: Any, row: Row | None
) -> Changed:
    """Merge what a client sent into what is stored; refuse it as section 6.6 says."""
    plain: dict[str, Any] = dict(row.properties) if row is not None else properties.system_values(kind)
    hidden: dict[str, str] = dict(row.secrets) if row is not None else {}
    accepted = properties.accept(kind, sent, {**plain, **dict.fromkeys(hidden, "")})
    outside = custody.folders.refused(account_id, kind.connector, accepted.values)
    bad = [name for name in sent if name in outside or name in accepted.bad]
    if bad:
        card = cards.report_card(kind, provided=plain.keys() | hidden.keys(), discovered=False, selected=False)
        raise coded(
            "InvalidProperties", "properties do not match schema", bad_properties=bad, report_card=card
        )
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


def insert(db: sa.Connection, values: Mapping[str, Any], now: datetime) -> int:
    row = {**values, "mark_id": uuid.uuid4().hex, "created_at": now, "updated_at": now}
    return db.execute(sa.insert(connections).values(row).returning(connections.c.id)).scalar_one()


def update(db: sa.Connection, connection_id: int, values: Mapping[str, Any], now: datetime) -> None:
    db.execute(sa.update(connections).where(connections.c.id == connection_id).values({**values, "updated_at": now}))


def one(db: sa.Connection, account_id: int, kind: Kind, connection_id: int) -> Row | None:
    """Return an account's connection, deleted or not; nobody else's."""
    return db.execute(
        sa.select(connections).where(
            connections.c.id == connection_id, connections.c.account_id == account_id, connections.c.kind == kind
        )
    ).first()


def is_inactive(row: Row) -> bool:
    return row.deleted_at is not None or row.paused_at is not None or row.system_paused_at is not None
