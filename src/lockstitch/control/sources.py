"""Sources (`spec/connect-api.md` section 6)."""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from lockstitch.control import checks, connections
from lockstitch.control.catalogue import properties
from lockstitch.control.catalogue.catalogue import IMPORT_API, ConnectionType, find
from lockstitch.control.connections import Custody, Row, changed_properties
from lockstitch.control.refusals import Refusal, coded
from lockstitch.control.schedules import quartz
from lockstitch.control.schedules.schedule import Schedule, next_fire, schedule_object, schedule_of
from lockstitch.control.store.tables import connections as table
from lockstitch.control.times import is_moment

_POST = "POST body may only include a non-empty type, a non-empty display_name and map of string properties"
_PUT = "PUT body many only include the keys: display_name, properties, and paused_at"
_NAME = (
    "The name field must be under 50 characters, and can only contain lowercase letters, numbers, underscores, or "
    "dollar signs. It must begin with a letter or an underscore."
)
LONGEST_DISPLAY_NAME = 255
#: The properties that define when a source runs (8.1).
_SCHEDULE = ("frequency_in_minutes", "anchor_time", "cron_expression")
#: Types whose rows are pushed: nothing is scheduled, discovered or selected.
PUSHED = (IMPORT_API, "webhook.")


def create(db: sa.Connection, custody: Custody, account_id: int, body: Any, now: datetime) -> dict[str, Any]:
    """Make a source; a connection check starts as soon as its form is complete."""
    kind = _type_wanted(body)
    connections.hold(db, account_id)
    display_name = body["display_name"].strip()
    name = _name_wanted(db, account_id, display_name, body.get("name"))
    changed = changed_properties(custody, account_id, kind, body.get("properties") or {}, None)
    _refuse_schedule(changed.properties)
    destination_id = body.get("destination_id")
    if destination_id is None:
        destination_id = _only_destination(db, account_id)
    else:
        _refuse_destination(db, account_id, destination_id)
    values = {
        "account_id": account_id,
        "kind": "source",
        "type": kind.type,
        "name": name,
        "display_name": display_name,
        "properties": changed.properties,
        "secrets": changed.secrets,
        "destination_id": destination_id,
    }
    source_id = connections.insert(db, values, now)
    return _settled(db, account_id, source_id, now, check=True)


def change(
    db: sa.Connection, custody: Custody, account_id: int, source_id: int, body: Any, now: datetime
) -> dict[str, Any]:
    """Change, pause or unpause a source."""
    row = connections.one(db, account_id, "source", source_id)
    if row is None or row.deleted_at is not None:
        raise coded("InvalidId", f"source not found ({source_id})")
    if not isinstance(body, dict) or set(body) - {"display_name", "properties", "paused_at", "destination_id"}:
        raise coded("InvalidBody", _PUT)
    values: dict[str, Any] = {}
    if "display_name" in body:
        connections.hold(db, account_id)
        values["display_name"] = _display_name(db, account_id, body["display_name"], source_id)
    if "paused_at" in body:
        values |= _paused(body["paused_at"])
    if body.get("destination_id") is not None:
        _refuse_destination(db, account_id, body["destination_id"])
        values["destination_id"] = body["destination_id"]
    if "properties" in body:
        if not isinstance(body["properties"], dict):
            raise coded("InvalidBody", _PUT)
        changed = changed_properties(custody, account_id, connections.type_of(row), body["properties"], row)
        _refuse_schedule(changed.properties)
        values |= {"properties": changed.properties, "secrets": changed.secrets}
        if any(changed.properties.get(name) != row.properties.get(name) for name in _SCHEDULE):
            values["next_fire_at"] = None  # what is due by the old schedule is not by the new one
    connections.update(db, source_id, values, now)
    return _settled(db, account_id, source_id, now, check="properties" in body)


#: What an answer needs of a row.
_TOLD = [column for column in table.c if column.name not in ("description", "mark_id", "last_start_at")]


def listed(db: sa.Connection, account_id: int) -> list[dict[str, Any]]:
    """Return all of an account's sources, deleted ones included."""
    query = sa.select(*_TOLD).where(table.c.account_id == account_id, table.c.kind == "source").order_by(table.c.id)
    return [told_source(row) for row in db.execute(query)]


def read(db: sa.Connection, account_id: int, source_id: int) -> dict[str, Any]:
    row = connections.one(db, account_id, "source", source_id)
    if row is None:
        raise coded("InvalidId", f"source not found ({source_id})", status=404)
    return told_source(row)


def delete(db: sa.Connection, account_id: int, source_id: int, now: datetime) -> dict[str, Any]:
    """Mark a source as deleted. Its credentials go; what it has loaded stays."""
    row = connections.one(db, account_id, "source", source_id)
    if row is None or row.deleted_at is not None:
        raise coded("InvalidId", f"source not found ({source_id})")
    connections.update(db, source_id, {"deleted_at": now, "next_fire_at": None, "secrets": {}}, now)
    return read(db, account_id, source_id)


# --- telling ----------------------------------------------------------------------------------------------------------


def told_source(row: Row, check_job_name: str | None = None) -> dict[str, Any]:
    """Return the object of section 6.2."""
    schedule = schedule_for(row)
    shown = schedule is not None and row.next_fire_at is not None and not connections.is_inactive(row)
    own = {
        "properties": _told_properties(row, schedule),
        "schedule": schedule_object(schedule, row.next_fire_at) if shown and schedule is not None else None,
    }
    return connections.told_connection(row, own, check_job_name)


def _told_properties(row: Row, schedule: Schedule | None) -> dict[str, Any]:
    return row.properties if schedule is None else {"cron_expression": None, **row.properties}


# --- schedules --------------------------------------------------------------------------------------------------------


def is_pushed(type_name: str) -> bool:
    return type_name.startswith(PUSHED)


def has_field_selection(type_name: str) -> bool:
    kind = find("source", type_name)
    return kind is not None and any(step.type == "field_selection" for step in kind.steps)


def schedule_for(row: Row) -> Schedule | None:
    """Return when the source is to run by itself; None for one whose rows are pushed."""
    return None if is_pushed(row.type) else _schedule(row.type, *map(row.properties.get, _SCHEDULE))


@lru_cache(maxsize=1000)
def _schedule(type_name: str, *values: str | None) -> Schedule | None:
    kind = find("source", type_name)
    default = kind.details.get("default_scheduling_interval") if kind is not None else None
    return schedule_of(dict(zip(_SCHEDULE, values, strict=True)), default if isinstance(default, int) else None)


def reschedule(db: sa.Connection, row: Row, now: datetime, *, fired: bool = False) -> None:
    """Work out anew when a source runs next: never, while it is paused, incomplete or without a destination.

    A tick that is due and has not `fired` stays: the clock is about to come to it.
    """
    schedule = schedule_for(row) if row.destination_id is not None and not connections.is_inactive(row) else None
    moment = None
    if schedule is not None and connections.card_of(row).step == "fully_configured":
        if not fired and row.next_fire_at is not None and row.next_fire_at <= now:
            return
        moment = next_fire(schedule, last_start=row.last_start_at, now=now, after=now)
    if moment != row.next_fire_at:
        db.execute(sa.update(table).where(table.c.id == row.id).values(next_fire_at=moment))


# --- parts ------------------------------------------------------------------------------------------------------------


def _settled(db: sa.Connection, account_id: int, source_id: int, now: datetime, *, check: bool) -> dict[str, Any]:
    """Start a check where the form is complete, set the schedule, and tell the source as it stands then."""
    row = connections.one(db, account_id, "source", source_id)
    assert row is not None
    name = None
    if check and not is_pushed(row.type) and connections.card_of(row).step not in ("form", "oauth"):
        name = checks.start(db, account_id, source_id, now)
    reschedule(db, row, now)
    row = connections.one(db, account_id, "source", source_id)
    assert row is not None
    return told_source(row, name)


def _type_wanted(body: Any) -> ConnectionType:
    known = {"type": str, "display_name": str, "properties": dict, "destination_id": int, "name": str}
    if not isinstance(body, dict) or not all(
        name in known and (value is None or isinstance(value, known[name])) for name, value in body.items()
    ):
        raise coded("InvalidBody", _POST)
    if not body.get("type") or not (body.get("display_name") or "").strip():
        raise coded("InvalidBody", _POST)
    kind = find("source", body["type"])
    if kind is None:
        raise coded("InvalidType", f"invalid source type ({body['type']})")
    if not kind.details["access"]:
        raise coded("AccessDenied", f"you do not have access to source type ({kind.type})")
    return kind


def _name_wanted(db: sa.Connection, account_id: int, display_name: str, name: str | None) -> str:
    _display_name(db, account_id, display_name, None)
    derived = properties.name_from(display_name) if name is None else name
    if not properties.is_name(derived):
        if name is not None:
            raise coded("InvalidName", _NAME)
        text = f"invalid name after deriving it from display_name ({display_name} -> {derived})"
        raise coded("InvalidDisplayName", text)
    taken = sa.select(table.c.id).where(*_own(account_id), table.c.name == derived)
    if db.execute(taken).first() is not None:
        text = f"non-unique name ({derived})"
        if name is None:
            text = f"non-unique name after deriving it from display_name ({display_name} -> {derived})"
        raise coded("InvalidName", text)
    return derived


def _display_name(db: sa.Connection, account_id: int, value: Any, source_id: int | None) -> str:
    if not isinstance(value, str) or not 0 < len(value.strip()) <= LONGEST_DISPLAY_NAME:
        shown = value if isinstance(value, str) else json.dumps(value)
        raise coded("InvalidDisplayName", f"invalid display_name ({shown})")
    name = value.strip()
    taken = sa.select(table.c.id).where(*_own(account_id), table.c.display_name == name, table.c.id != (source_id or 0))
    if db.execute(taken).first() is not None:
        raise coded("InvalidName", f"non-unique name ({name})")
    return name


def _own(account_id: int) -> tuple[Any, ...]:
    return table.c.account_id == account_id, table.c.kind == "source", table.c.deleted_at.is_(None)


def _only_destination(db: sa.Connection, account_id: int) -> int | None:
    """Return the account's destination where it has just one: what most accounts mean."""
    query = sa.select(table.c.id).where(
        table.c.account_id == account_id, table.c.kind == "destination", table.c.deleted_at.is_(None)
    )
    found = db.execute(query.limit(2)).scalars().all()
    return found[0] if len(found) == 1 else None


def _refuse_destination(db: sa.Connection, account_id: int, destination_id: Any) -> None:
    row = connections.one(db, account_id, "destination", destination_id)
    if row is None or row.deleted_at is not None:
        raise Refusal(400, connections.UNKNOWN_TEXT)


def _paused(value: Any) -> dict[str, Any]:
    if value is None:
        return {"paused_at": None, "system_paused_at": None}
    if not is_moment(value):
        raise coded("InvalidBody", _PUT)
    return {"paused_at": value}


def _refuse_schedule(values: dict[str, Any]) -> None:
    expression = values.get("cron_expression")
    if expression is None:
        return
    try:
        quartz.parse(expression)
    except quartz.CronError as error:
        text = f'cron_expression "{expression}" is invalid: {error}'
        raise coded("InvalidCronExpression", text) from None
