"""Destinations (`spec/connect-api.md` section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from lockstitch.control import checks, connections, sources
from lockstitch.control.catalogue.catalogue import ConnectionType, Property, find
from lockstitch.control.connections import Custody, Row, changed_properties
from lockstitch.control.refusals import Refusal, coded, not_found
from lockstitch.control.store.tables import connections as table
from lockstitch.control.store.tables import hooks
from lockstitch.control.times import told

#: The hard maximum of section 19.
LIMIT = 10

POST_TEXT = (
    "POST body may only include a type, a name, a description, map of properties, and boolean for unmapped sources"
)
PUT_TEXT = "PUT body may only include a name, a description, and map of properties"
GET_TEXT = "GET may only include the params: source_id and/or destination_id"
LIMIT_TEXT = "you are at your destination limit"
TYPE_TEXT = "this API endpoint does not support modifying destination type"
V3_TEXT = "body must be a map with type = redshift, postgres, or snowflake. required-keys = type, connection"


def create(db: sa.Connection, custody: Custody, account_id: int, body: Any, now: datetime) -> dict[str, Any]:
    """Make a destination, map the account's sources without one to it, and start its connection check."""
    known = {"type": str, "properties": dict, "name": str, "description": str, "ignore_unmapped_sources": bool}
    _refuse_body(body, known, required=("type", "properties"), text=POST_TEXT)
    kind = _type_wanted(body["type"], POST_TEXT)
    connections.hold(db, account_id)
    if not kind.details["access"]:
        raise coded("AccessDenied", f"you do not have access to destination type ({kind.type})")
    if len(_active(db, account_id)) >= LIMIT:
        raise Refusal(400, LIMIT_TEXT)
    changed = changed_properties(custody, account_id, kind, body["properties"], None)
    values = {
        "account_id": account_id,
        "kind": "destination",
        "type": kind.type,
        "name": body.get("name") or kind.title,
        "description": body.get("description"),
        "properties": changed.properties,
        "secrets": changed.secrets,
    }
    destination_id = connections.insert(db, values, now)
    if not body.get("ignore_unmapped_sources", False):
        _map(db, account_id, destination_id, now)
    return _told_after_check(db, account_id, destination_id, now)


def _map(db: sa.Connection, account_id: int, destination_id: int, now: datetime) -> None:
    """Let the account's sources without a destination fill this one, by their schedules."""
    unmapped = (table.c.account_id == account_id, table.c.kind == "source", table.c.destination_id.is_(None))
    mapped = sa.update(table).where(*unmapped, table.c.deleted_at.is_(None)).values(destination_id=destination_id)
    for row in db.execute(mapped.returning(table)).all():
        sources.reschedule(db, row, now)


def change(
    db: sa.Connection, custody: Custody, account_id: int, destination_id: int, body: Any, now: datetime
) -> dict[str, Any]:
    """Change some properties, the name or the description, and check the connection again."""
    if isinstance(body, dict) and "type" in body:
        raise Refusal(400, TYPE_TEXT)
    _refuse_body(body, {"properties": dict, "name": str, "description": str}, required=(), text=PUT_TEXT)
    if not body:
        raise Refusal(400, PUT_TEXT)
    row = connections.one(db, account_id, "destination", destination_id)
    if row is None or row.deleted_at is not None:
        raise Refusal(400, connections.UNKNOWN_TEXT)
    values = {"description": body["description"]} if "description" in body else {}
    if body.get("name"):
        values["name"] = body["name"]
    if body.get("properties") is not None:
        changed = changed_properties(custody, account_id, connections.type_of(row), body["properties"], row)
        values |= {"properties": changed.properties, "secrets": changed.secrets}
    connections.update(db, destination_id, values, now)
    return _told_after_check(db, account_id, destination_id, now)


def listed(db: sa.Connection, account_id: int, query: Mapping[str, str]) -> list[dict[str, Any]]:
    if set(query) - {"source_id", "destination_id"}:
        raise Refusal(400, GET_TEXT)
    rows = _active(db, account_id)
    if "destination_id" in query:
        rows = [row for row in rows if str(row.id) == query["destination_id"]]
    if "source_id" in query:
        source = connections.one(db, account_id, "source", _number(query["source_id"]))
        rows = [row for row in rows if source is not None and row.id == source.destination_id]
    return [told_destination(row) for row in rows]


def read(db: sa.Connection, account_id: int, destination_id: int) -> dict[str, Any]:
    row = connections.one(db, account_id, "destination", destination_id)
    if row is None or row.deleted_at is not None:
        raise not_found(f"destination not found ({destination_id})")
    return told_destination(row)


def delete(db: sa.Connection, account_id: int, destination_id: int, now: datetime) -> None:
    """Delete a destination; its sources are paused and have none until another one is chosen."""
    row = connections.one(db, account_id, "destination", destination_id)
    if row is None or row.deleted_at is not None:
        raise Refusal(400, f"Unable to locate dest ({destination_id}) for client ({account_id}) to delete")
    connections.update(db, destination_id, {"deleted_at": now, "secrets": {}}, now)
    db.execute(sa.delete(hooks).where(hooks.c.destination_id == destination_id))
    mapped = sa.update(table).where(table.c.destination_id == destination_id, table.c.deleted_at.is_(None))
    db.execute(mapped.values(destination_id=None, paused_at=told(now), next_fire_at=None, updated_at=now))


# --- version 3 (section 4.4) ------------------------------------------------------------------------------------------

_DIGITS = (r"^\d+", r"^\d+$", r"^-?\d+$")


def create_v3(db: sa.Connection, custody: Custody, account_id: int, body: Any, now: datetime) -> dict[str, Any]:
    """Make a destination from the older body, whose properties are called connection."""
    wanted = _as_v4(body)
    _type_wanted(wanted["type"], V3_TEXT)
    made = create(db, custody, account_id, wanted, now)
    return _told_v3(db, account_id, made["id"])


def change_v3(
    db: sa.Connection, custody: Custody, account_id: int, destination_id: int, body: Any, now: datetime
) -> dict[str, Any]:
    wanted = _as_v4(body)
    row = connections.one(db, account_id, "destination", destination_id)
    if row is None or row.type == wanted["type"]:
        del wanted["type"]  # here the same type is no change
    change(db, custody, account_id, destination_id, wanted, now)
    return _told_v3(db, account_id, destination_id)


def listed_v3(db: sa.Connection, account_id: int) -> list[dict[str, Any]]:
    return [_told_v3(db, account_id, row.id) for row in _active(db, account_id)[:1]]


def _as_v4(body: Any) -> dict[str, Any]:
    _refuse_body(body, {"type": str, "connection": dict}, required=("type", "connection"), text=V3_TEXT)
    return {"type": body["type"], "properties": body["connection"]}


def _told_v3(db: sa.Connection, account_id: int, destination_id: int) -> dict[str, Any]:
    row = connections.one(db, account_id, "destination", destination_id)
    assert row is not None
    last = checks.last(db, destination_id)
    return {
        "id": row.id,
        "type": row.type,
        "created_at": told(row.created_at),
        "updated_at": told(row.updated_at),
        "connection": _as_json(row),
        "last_check": {
            "error": last["error"],
            "started_at": last["start_time"],
            "completed_at": last["completion_time"],
        },
    }


def _as_json(row: Row) -> dict[str, Any]:
    """Return the properties with the JSON types of version 3, where version 4 writes all of them as text."""
    known = connections.type_of(row).properties
    return {name: _typed(known[name], value) if name in known else value for name, value in row.properties.items()}


def _typed(known: Property, value: Any) -> Any:
    schema = known.json_schema or {}
    if schema.get("type") == "boolean" or schema.get("pattern") == "^(true|false)$":
        return value == "true"
    return int(value) if schema.get("pattern") in _DIGITS and len(value) < 19 and value.isdecimal() else value


# --- telling ----------------------------------------------------------------------------------------------------------


def told_destination(row: Row, check_job_name: str | None = None) -> dict[str, Any]:
    """Return the object of section 4.2."""
    own = {"description": row.description, "properties": row.properties}
    return connections.told_connection(row, own, check_job_name)


def _told_after_check(db: sa.Connection, account_id: int, destination_id: int, now: datetime) -> dict[str, Any]:
    name = checks.start(db, account_id, destination_id, now)
    row = connections.one(db, account_id, "destination", destination_id)
    assert row is not None
    return told_destination(row, name)


def _active(db: sa.Connection, account_id: int) -> Sequence[Row]:
    query = sa.select(table).where(
        table.c.account_id == account_id, table.c.kind == "destination", table.c.deleted_at.is_(None)
    )
    return db.execute(query.order_by(table.c.id)).all()


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def _type_wanted(name: str, text: str) -> ConnectionType:
    kind = find("destination", name)
    if kind is None:
        raise Refusal(400, text)
    return kind


def _refuse_body(body: Any, known: Mapping[str, type], *, required: Sequence[str], text: str) -> None:
    """Refuse a body that lacks or adds arguments, or has them in another type; null stands for a missing one."""
    if not isinstance(body, dict) or any(body.get(name) is None for name in required):
        raise Refusal(400, text)
    for name, value in body.items():
        if name not in known or not (value is None or isinstance(value, known[name])):
            raise Refusal(400, text)
