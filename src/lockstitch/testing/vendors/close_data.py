"""A Close account: its records as its API shows them, the log of their changes, and what a consumer should have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from lockstitch.testing.vendors.messages import Clock, Record

Kind = Literal["leads", "activities", "tasks", "users", "custom_fields"]
Stream = Literal["leads", "activities", "tasks", "users", "custom_fields", "event_log"]

#: Several changes of one object in a short time are one event, which is updated. Close does not say how short.
CONSOLIDATED = timedelta(minutes=5)


class CloseData:
    """All that one organisation has. Tests change it by `add`, `update` and `delete`, which date and log the change.

    The dictionaries are by id and can also be changed by hand; then nothing is dated or logged.
    """

    def __init__(self, clock: Clock | None = None, organization_id: str = "orga_1") -> None:
        self.clock = clock or Clock()
        self.organization_id = organization_id
        self.leads: dict[str, Record] = {}
        self.activities: dict[str, Record] = {}
        self.tasks: dict[str, Record] = {}
        self.users: dict[str, Record] = {}
        self.custom_fields: dict[str, Record] = {}
        self.events: dict[str, Record] = {}
        #: Ids of all that has been deleted, which a consumer may still have.
        self.deleted: dict[Kind, set[str]] = {}

    def records(self, kind: Kind) -> dict[str, Record]:
        return cast("dict[str, Record]", getattr(self, kind))

    def add(self, kind: Kind, record: Record) -> Record:
        """Add a record as it is, dated now unless it says otherwise; log its creation."""
        dated = {"date_created": stamp(self.clock.now()), "organization_id": self.organization_id, **record}
        dated = {"date_updated": dated["date_created"], **dated}
        self.records(kind)[record["id"]] = dated
        self._log(kind, "created", dated)
        return dated

    def update(self, kind: Kind, record_id: str, changes: Mapping[str, Any]) -> Record:
        """Change fields of a record, move its `date_updated` and log it. A custom field set to None goes away."""
        before = self.records(kind)[record_id]
        after = {**before, **changes, "date_updated": stamp(self.clock.now())}
        gone = [name for name, value in changes.items() if value is None and name.startswith("custom.")]
        after = {name: value for name, value in after.items() if name not in gone}
        self.records(kind)[record_id] = after
        self._log(kind, "updated", after, {name: before.get(name) for name in changes})
        return after

    def delete(self, kind: Kind, record_id: str) -> None:
        """Delete a record: no list shows it any more, only the event log tells of it."""
        before = self.records(kind).pop(record_id)
        self.deleted.setdefault(kind, set()).add(record_id)
        self._log(kind, "deleted", before)

    def truth(self, stream: Stream) -> list[Record]:
        """Return what a consumer that has read all should have, by id, in the form of Stitch's tables.

        Of leads, custom fields come as the list `custom_fields`; else the records are those of the API, with the
        fields that are not documented too. Rows of deleted records are not among them. Of events, those of 30 days.
        """
        if stream == "event_log":
            return _copied(self.recent_events(self.clock.now()))
        rows = sorted(self.records(stream).values(), key=lambda record: str(record["id"]))
        return _copied([with_custom_fields(row) for row in rows] if stream == "leads" else rows)

    def recent_events(self, now: datetime) -> list[Record]:
        """Return the log of 30 days, by id."""
        oldest = now - timedelta(days=30)
        return [event for _, event in sorted(self.events.items()) if parse_time(event["date_updated"]) >= oldest]

    def _log(self, kind: Kind, action: str, record: Record, previous: Record | None = None) -> None:
        object_type = _object_type(kind, record)
        if object_type is None:
            return
        now = self.clock.now()
        open_event = self._open_event(record["id"], now) if action == "updated" else None
        if open_event is not None:
            open_event["changed_fields"] = sorted({*open_event["changed_fields"], *(previous or {})})
            open_event["previous_data"] = {**(previous or {}), **open_event["previous_data"]}
            open_event.update({"data": _copied(record), "date_updated": stamp(now)})
            return
        number = len(self.events) + 1
        event: Record = {
            "id": f"ev_{number:012}",
            "date_created": stamp(now),
            "date_updated": stamp(now),
            "action": action,
            "object_type": object_type,
            "object_id": record["id"],
            "lead_id": record["id"] if kind == "leads" else record.get("lead_id"),
            "user_id": record.get("updated_by"),
            "organization_id": self.organization_id,
            "request_id": f"req_{number:012}",
            "api_key_id": None,
            "changed_fields": sorted(previous or {}),
            "meta": {"request_path": f"/api/v1/{object_type.split('.')[0]}/", "request_method": "PUT"},
            "data": None if action == "deleted" else _copied(record),
        }
        if previous is not None:
            event["previous_data"] = _copied(previous)
        self.events[event["id"]] = event

    def _open_event(self, object_id: str, now: datetime) -> Record | None:
        """Return the object's last event if a further update is still counted to it."""
        of_object = [event for event in self.events.values() if event["object_id"] == object_id]
        last = of_object[-1] if of_object else None
        if last is None or last["action"] != "updated" or now - parse_time(last["date_created"]) > CONSOLIDATED:
            return None
        return last


def with_custom_fields(lead: Record) -> Record:
    """Return a lead as Stitch's table has it: `custom.<id>` as a list, and without the deprecated object `custom`."""
    custom = [{"id": name.split(".")[1], "value": value} for name, value in lead.items() if name.startswith("custom.")]
    rest = {name: value for name, value in lead.items() if name != "custom" and not name.startswith("custom.")}
    return {**rest, "custom_fields": custom}


def stamp(at: datetime) -> str:
    """Return a time as Close writes it."""
    return at.isoformat()


def parse_time(text: str) -> datetime:
    """Return a time of Close's API or of a filter; one without an offset is in UTC."""
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return at if at.tzinfo is not None else datetime.fromisoformat(f"{at.isoformat()}+00:00")


def _object_type(kind: Kind, record: Record) -> str | None:
    """Return the event log's name for a kind of object; None for those of which it tells nothing."""
    if kind == "activities":
        words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in str(record["_type"]))
        return f"activity.{words.strip('_')}"
    return {"leads": "lead", "tasks": f"task.{record.get('_type')}"}.get(kind)


def _copied(value: Any) -> Any:
    """Return a copy that later changes do not reach."""
    return json.loads(json.dumps(value))
