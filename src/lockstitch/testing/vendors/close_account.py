"""Makes Close accounts for tests: each documented column, fields that are not documented, hostile values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lockstitch.testing.vendors.close_activities import ACTIVITY_TYPES, activity
from lockstitch.testing.vendors.close_data import CloseData, stamp
from lockstitch.testing.vendors.close_maker import Maker
from lockstitch.testing.vendors.messages import Clock, Record

#: When the accounts made here are looked at, unless a test says otherwise.
NOW = datetime(2026, 6, 15, 12, 0, 45, tzinfo=UTC)


def make_account(
    seed: int, *, leads: int = 250, days: float = 40, activities: int = 400, tasks: int = 60, clock: Clock | None = None
) -> CloseData:
    """Return an account whose records date from `days` before the clock's now (`NOW`, standing still, by default).

    Nothing of it is in the event log, unless tests change something or `add_events` fills it.
    """
    data = CloseData(clock or Clock(NOW))
    maker = Maker(seed, data.clock.now(), days)
    for number in range(5):
        _keep(data.users, _user(maker, number, data.organization_id))
    users = list(data.users.values())
    for number, kind in enumerate(("text", "choices", "number", "date", "user", "hidden")):
        _keep(data.custom_fields, _custom_field(maker, number, kind, users))
    fields = list(data.custom_fields)
    for number in range(leads):
        _keep(data.leads, _lead(maker, number, users, fields))
    lead_ids = list(data.leads) or [maker.id("lead")]
    for number in range(tasks):
        lead_id = maker.random.choice(lead_ids)
        _keep(data.tasks, _task(maker, lead_id, users[number % len(users)], TASK_TYPES[number % len(TASK_TYPES)]))
    for number in range(activities):
        at = maker.time()
        kind = ACTIVITY_TYPES[number % len(ACTIVITY_TYPES)]
        _keep(data.activities, activity(maker, kind, at, maker.random.choice(lead_ids), maker.random.choice(users)))
    for records in (data.leads, data.tasks, data.activities, data.custom_fields):
        for record in records.values():
            record["organization_id"] = data.organization_id
    return data


def acceptance_account() -> CloseData:
    """Return the account of the acceptance fixtures: 250 leads, 40 days of activities, 120 events, at `NOW`.

    Fifteen days have more than 1,000 activities, so that a `max_skip` of 1,000 is met. A lead has a text in
    `custom.lcf_x`, a list in `custom.cf_y`, and both by name in `custom`.
    Two leads were updated in the minute of the newest one, before its second. One activity is dated in the future; one
    lies exactly where the second window of 15 days begins, for a start date 40 days ago. One event has no data.
    """
    data = make_account(seed=8, leads=250, days=40, activities=3000)
    leads = list(data.leads.values())
    newest = NOW.replace(second=30)
    for lead, seconds in zip(leads, (0, 10, 20), strict=False):
        lead["date_updated"] = stamp(newest - timedelta(seconds=seconds))
    leads[0] |= {"custom.lcf_x": "blue", "custom.cf_y": ["a", "b"], "custom": {"Colour": "blue", "Letters": ["a", "b"]}}
    first, second = list(data.activities.values())[:2]
    first.update(date_created=stamp(NOW + timedelta(days=3)), date_updated=stamp(NOW))
    second.update(date_created=stamp(acceptance_start() - timedelta(days=1) + timedelta(days=15)))
    add_events(data, 120)
    del list(data.events.values())[17]["data"]
    return data


def acceptance_start() -> datetime:
    """Return the start date that goes with `acceptance_account`: midnight, 40 days before its now."""
    return (NOW - timedelta(days=40)).replace(hour=0, minute=0, second=0)


def add_events(data: CloseData, count: int) -> None:
    """Fill the event log with updates and deletions of the last 29 days, evenly spread, the newest an hour ago."""
    leads = list(data.leads.values())
    now = data.clock.now()
    for number in range(count):
        at = stamp(now - timedelta(hours=1) - timedelta(days=29) * ((count - 1 - number) / count))
        lead = leads[number % len(leads)]
        event: Record = {
            "id": f"ev_made{number:08}",
            "date_created": at,
            "date_updated": at,
            "action": "deleted" if number % 10 == 9 else "updated",
            "object_type": "lead",
            "object_id": lead["id"],
            "lead_id": lead["id"],
            "user_id": None if number % 3 else next(iter(data.users)),
            "organization_id": data.organization_id,
            "request_id": f"req_{number:08}",
            "api_key_id": None,
            "changed_fields": ["name", "custom.cf_x"] if number % 10 != 9 else [],
            "meta": {"request_path": f"/api/v1/lead/{lead['id']}/", "request_method": "PUT"},
            "data": None if number % 10 == 9 else {"id": lead["id"], "name": lead["name"], "big": 2**53 + 1},
            "previous_data": {"name": "before ☃", "custom.cf_x": None},
        }
        _keep(data.events, event)


# --- records ----------------------------------------------------------------------------------------------------------


def _keep(records: dict[str, Record], record: Record) -> None:
    records[record["id"]] = record


def _user(maker: Maker, number: int, organization_id: str) -> Record:
    at = maker.time()
    return {
        "id": maker.id("user"),
        "first_name": ["Ada", "Grace", "李", "", "Zoë"][number % 5],
        "last_name": "Test",
        "email": f"user{number}@example.com",
        "image": None if number else "https://example.com/ada.png",
        "last_used_timezone": "Europe/Berlin",
        "organizations": [organization_id],
        "date_created": stamp(at),
        "date_updated": stamp(at + timedelta(minutes=5)).replace("+00:00", "Z"),
    }


def _custom_field(maker: Maker, number: int, kind: str, users: list[Record]) -> Record:
    at = maker.time()
    return {
        "id": maker.id("lcf" if number % 2 else "cf"),
        "name": f"Field {number} ☃",
        "type": kind,
        "choices": ["A", "B", ""] if kind == "choices" else None,
        "accepts_multiple_values": kind == "choices",
        "editable_with_roles": ["role_admin"] if number == 1 else [],
        "created_by": users[0]["id"],
        "updated_by": users[1]["id"] if number else None,
        "date_created": stamp(at),
        "date_updated": stamp(at),
    }


def _lead(maker: Maker, number: int, users: list[Record], fields: list[str]) -> Record:
    lead_id, at = maker.id("lead"), maker.time()
    user = maker.random.choice(users)
    contacts = [_contact(maker, lead_id, user, at) for _ in range(maker.random.randint(0, 2))]
    name = f"Lead {number}" if number % 7 else maker.text()
    values = ["text ☃", ["A", "B"], 12.5, "9999-12-31", users[0]["id"], True, [], 2**53 + 1, {"nested": [1]}]
    custom = {f"custom.{each}": maker.random.choice(values) for each in maker.some(fields)}
    if number == 0:
        custom = {"custom.lcf_x": "a string", "custom.cf_y": ["several", "choices"]}
    return {
        "id": lead_id,
        "name": name,
        "display_name": name or "(unknown)",
        "description": maker.text(),
        "url": None if number % 3 else "https://example.com/?a=1&b=ü",
        "html_url": f"https://app.close.com/lead/{lead_id}/",
        "status_id": "stat_1",
        "status_label": "Potential",
        **_by(user),
        "addresses": maker.some([_address(), {**_address(), "address_1": "", "state": None}]),
        "integration_links": maker.some([_link()]),
        "contacts": contacts,
        "opportunities": [_opportunity(maker, lead_id, user, contacts) for _ in range(maker.random.randint(0, 2))],
        "tasks": [_task(maker, lead_id, user, "lead") for _ in range(maker.random.randint(0, 1))],
        **custom,
        "custom": {name: value for name, value in zip(("Field 0", "Field 1"), custom.values(), strict=False)},
        "date_created": stamp(at - timedelta(days=1)),
        "date_updated": stamp(at),
    }


def _by(user: Record) -> Record:
    name = f"{user['first_name']} {user['last_name']}"
    return {
        "created_by": user["id"],
        "created_by_name": name,
        "updated_by": user["id"],
        "updated_by_name": name,
    }


def _address() -> Record:
    return {
        "label": "business",
        "address_1": "Straße 1",
        "address_2": "",
        "city": "São Paulo",
        "state": "SP",
        "zipcode": "01310",
        "country": "BR",
    }


def _link() -> Record:
    return {"name": "Search", "url": "https://example.com/find?q=Acme"}


def _contact(maker: Maker, lead_id: str, user: Record, at: datetime) -> Record:
    return {
        "id": maker.id("cont"),
        "lead_id": lead_id,
        "name": maker.text(),
        "display_name": "Someone",
        "title": maker.text(),
        "emails": maker.some([{"email": "a@example.com", "type": "office"}, {"email": "", "type": None}]),
        "phones": maker.some([{"phone": "+4930123", "phone_formatted": "+49 30 123", "type": "mobile"}]),
        "urls": maker.some([{"url": "https://example.com", "type": "url"}]),
        "integration_links": maker.some([_link()]),
        "organization_id": "orga_1",
        "created_by": user["id"],
        "updated_by": None,
        "date_created": stamp(at - timedelta(days=1)),
        "date_updated": stamp(at),
    }


def _opportunity(maker: Maker, lead_id: str, user: Record, contacts: list[Record]) -> Record:
    at = maker.time()
    contact = contacts[0] if contacts else {"id": None, "name": None}
    return {
        "id": maker.id("oppo"),
        "lead_id": lead_id,
        "lead_name": maker.text(),
        "contact_id": contact["id"],
        "contact_name": contact["name"],
        "user_id": user["id"],
        "user_name": user["first_name"],
        "status_id": "stat_2",
        "status_label": "Won",
        "status_type": "won",
        "confidence": maker.random.choice([0, 50, 100]),
        "note": maker.text(),
        "value": maker.number(),
        "value_currency": "USD",
        "value_formatted": "$500",
        "value_period": "one_time",
        "organization_id": "orga_1",
        "integration_links": maker.some([_link()]),
        **_by(user),
        "date_lost": None,
        "date_won": maker.random.choice([None, "9999-12-31", "1900-01-01"]),
        "date_created": stamp(at),
        "date_updated": stamp(at),
    }


TASK_TYPES = (
    "lead",
    "incoming_email",
    "email_followup",
    "missed_call",
    "answered_detached_call",
    "voicemail",
    "opportunity_due",
    "incoming_sms",
)


def _task(maker: Maker, lead_id: str, user: Record, kind: str) -> Record:
    at = maker.time()
    due = maker.random.choice(["2026-07-01", "9999-12-31", None, "2026-07-01T09:30:00+00:00"])
    task: Record = {
        "id": maker.id("task"),
        "_type": kind,
        "lead_id": lead_id,
        "lead_name": maker.text(),
        "contact_id": None,
        "contact_name": None,
        "assigned_to": user["id"],
        "assigned_to_name": user["first_name"],
        "text": maker.text(),
        "view": maker.random.choice(["inbox", "future", "archive", None]),
        "date": due,
        "due_date": due,
        "is_complete": maker.random.random() < 0.5,
        "is_dateless": due is None,
        "object_id": None,
        "object_type": None,
        "organization_id": "orga_1",
        **_by(user),
        "date_created": stamp(at - timedelta(hours=1)),
        "date_updated": stamp(at),
    }
    return {**task, **_of_task_type(maker, kind)}


def _of_task_type(maker: Maker, kind: str) -> Record:
    """Return the fields that only tasks of one type have."""
    phone = {
        "phone": "+4930123",
        "phone_formatted": "+49 30 123",
        "phone_number_description": "Berlin",
        "local_phone": "+14155550100",
        "remote_phone": "+4930123",
        "remote_phone_formatted": "+49 30 123",
        "remote_phone_description": "Mobile",
    }
    value = maker.number()
    return {
        "incoming_email": {
            "email_id": "acti_1",
            "emails": ["a@example.com", ""],
            "subject": "Re: ☃",
            "body_preview": "",
        },
        "email_followup": {"email_id": "acti_2", "emails": [], "subject": None, "body_preview": "Dear"},
        "missed_call": phone,
        "answered_detached_call": {**phone, "recording_url": "https://example.com/1.mp3"},
        "voicemail": {**phone, "voicemail_duration": value, "voicemail_url": "https://example.com/2.mp3"},
        "opportunity_due": {
            "opportunity_note": maker.text(),
            "opportunity_value": value,
            "opportunity_value_currency": "EUR",
            "opportunity_value_formatted": "€1",
            "opportunity_value_period": "monthly",
        },
    }.get(kind, {})
