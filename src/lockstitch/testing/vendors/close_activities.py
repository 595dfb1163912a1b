"""Makes activities of a Close account, of each type that has columns of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from lockstitch.testing.vendors.close_data import stamp
from lockstitch.testing.vendors.close_maker import Maker
from lockstitch.testing.vendors.messages import Record


def activity(maker: Maker, kind: str, at: datetime, lead_id: str, user: Record) -> Record:
    """Return one activity of a type, created at a time."""
    name = f"{user['first_name']} {user['last_name']}"
    return {
        "id": maker.id("acti"),
        "_type": kind,
        "lead_id": lead_id,
        "contact_id": maker.random.choice([None, "cont_1"]),
        "user_id": user["id"],
        "user_name": name,
        "created_by": user["id"],
        "created_by_name": name,
        "updated_by": None,
        "updated_by_name": None,
        "organization_id": "orga_1",
        "date_created": stamp(at),
        "date_updated": stamp(at + timedelta(seconds=maker.random.choice([0, 30, 7200]))),
        "activity_at": stamp(at),
        **_OF_TYPE[kind](maker, at, user),
    }


def _call(maker: Maker, at: datetime, user: Record) -> Record:
    return {
        "direction": "outbound",
        "status": "completed",
        "source": "Close.io",
        "duration": maker.number(),
        "local_phone": "+14155550100",
        "remote_phone": "+4930123",
        "phone": "+4930123",
        "dialer_id": None,
        "note": maker.text(),
        "note_html": "<p>☃</p>",
        "recording_url": "https://example.com/1.mp3",
        "voicemail_url": None,
        "voicemail_duration": 0,
        "transferred_from": None,
        "transferred_to": user["id"],
        "disposition": "answered",
        "cost": "2",
        "has_recording": True,
    }


def _email(maker: Maker, at: datetime, user: Record) -> Record:
    person = {"email": "a@example.com", "name": "Å ☃"}
    file = {
        "url": "https://example.com/f",
        "filename": "",
        "size": maker.number(),
        "content_type": "text/plain",
        "content_id": None,
    }
    return {
        "direction": "incoming",
        "status": "inbox",
        "subject": maker.text(),
        "sender": '"Å" <a@example.com>',
        "to": ["b@example.com", ""],
        "cc": [],
        "bcc": maker.some(["c@example.com"]),
        "body_text": maker.text(),
        "body_html": "<p>hello</p>",
        "body_preview": "hello",
        "body_text_quoted": maker.some([{"text": "hello", "expand": True}, {"text": "> old", "expand": 0}]),
        "body_html_quoted": maker.some([{"html": "<p>hello</p>", "expand": False}]),
        "attachments": maker.some([file]),
        "date_scheduled": None,
        "date_sent": stamp(at),
        "email_account_id": "emailacct_1",
        "envelope": {
            "from": [person],
            "sender": [person],
            "reply_to": maker.some([person]),
            "to": [{"email": "b@example.com", "name": None}],
            "cc": maker.some([person, {"email": "", "name": ""}]),
            "bcc": maker.random.choice([[person], None]),
            "subject": "Re: ☃",
            "message_id": "<1@example.com>",
            "in_reply_to": None,
            "is_autoreply": False,
            # Close passes on what the mail says, which need not be a time.
            "date": maker.random.choice([stamp(at), "Mon, 32 Foo 2026", "", None]),
        },
        "import_id": None,
        "in_reply_to_id": None,
        "message_ids": ["<1@example.com>"],
        "references": maker.some(["<0@example.com>", "<1@example.com>"]),
        "need_smtp_credentials": False,
        "opens": maker.some(
            [{"ip_address": "192.0.2.1", "opened_at": stamp(at), "opened_by": None, "user_agent": "Mail/1"}]
        ),
        "opens_summary": None,
        "send_attempts": maker.some([{"date": stamp(at), "error_class": "SMTPError", "error_message": maker.text()}]),
        "template_id": None,
        "template_name": None,
        "thread_id": "acti_thread",
        "sequence_id": None,
        "updated_by": user["id"],
    }


def _status_change(maker: Maker, at: datetime, user: Record) -> Record:
    return {
        "old_status_id": "stat_1",
        "old_status_label": "Potential",
        "new_status_id": "stat_2",
        "new_status_label": "Customer ☃",
    }


def _opportunity_change(maker: Maker, at: datetime, user: Record) -> Record:
    return {
        **_status_change(maker, at, user),
        "old_status_type": "active",
        "new_status_type": "won",
        "opportunity_id": "oppo_1",
        "opportunity_confidence": 100,
        "opportunity_date_won": "9999-12-31",
        "opportunity_value": maker.number(),
        "opportunity_value_currency": "USD",
        "opportunity_value_formatted": "$500",
        "opportunity_value_period": "annual",
    }


def _task_completed(maker: Maker, at: datetime, user: Record) -> Record:
    return {
        "task_id": "task_1",
        "task_text": maker.text(),
        "task_assigned_to": user["id"],
        "task_assigned_to_name": user["first_name"],
    }


#: What each type has beside the common fields.
_OF_TYPE: Mapping[str, Callable[[Maker, datetime, Record], Record]] = {
    "Call": _call,
    "Email": _email,
    "EmailThread": lambda maker, *_: {"latest_normalized_subject": maker.text(), "n_emails": 2, "participants": []},
    "SMS": lambda maker, *_: {
        "direction": "inbound",
        "status": "inbox",
        "text": maker.text(),
        "local_phone": "+1",
        "remote_phone": "+49",
    },
    "Note": lambda maker, *_: {"note": maker.text(), "note_html": "<p></p>"},
    "Meeting": lambda maker, _, user: {
        "users": [user["id"]],
        "title": maker.text(),
        "status": "upcoming",
        "duration": 1800,
    },
    "Created": lambda *_: {"source": "API", "import_id": "impt_1"},
    "LeadStatusChange": _status_change,
    "OpportunityStatusChange": _opportunity_change,
    "TaskCompleted": _task_completed,
    "LeadMerge": lambda *_: {"source_lead_id": "lead_old", "destination_lead_id": "lead_new"},
    "CustomActivity": lambda maker, *_: {
        "custom_activity_type_id": "actitype_1",
        "status": "published",
        "custom.cf_z": maker.text(),
    },
}

ACTIVITY_TYPES = tuple(_OF_TYPE)
