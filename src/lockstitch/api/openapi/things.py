"""The objects that several answers hold: report cards, sources, destinations, checks, streams."""

from __future__ import annotations

from lockstitch.api.openapi.words import (
    ANY,
    FLAG,
    ID,
    MOMENT,
    TEXT,
    WHOLE,
    Answer,
    Schema,
    choice,
    either,
    listing,
    nullable,
    record,
    ref,
    table,
)

_PROPERTY = record(
    {
        "name": TEXT,
        "is_required": FLAG,
        "is_credential": FLAG,
        "system_provided": FLAG,
        "property_type": choice(
            "read_only",
            "system_provided_by_default",
            "user_provided",
            "user_provided_immutable",
            "user_provided_advanced",
        ),
        "json_schema": nullable(table()),
        "provided": FLAG,
    },
    {"tap_mutable": FLAG},
)
_STEP_TYPE = choice("form", "oauth", "profile", "discover_schema", "field_selection", "fully_configured")
_STEPS = {
    "current_step": ID,
    "current_step_type": _STEP_TYPE,
    "steps": listing(record({"type": _STEP_TYPE, "properties": listing(ref("Property"))})),
}
_DETAILS = record(
    {"pricing_tier": nullable(TEXT), "pipeline_state": TEXT, "protocol": nullable(TEXT), "access": FLAG},
    {
        "default_start_date": nullable(TEXT),
        "default_scheduling_interval": nullable(WHOLE),
        "image_version": nullable(TEXT),
    },
)
#: What is the same of sources and destinations.
_CONNECTION = {
    "id": ID,
    "type": TEXT,
    "name": TEXT,
    "display_name": nullable(TEXT),
    "properties": table(),
    "stitch_client_id": ID,
    "created_at": MOMENT,
    "updated_at": MOMENT,
    "deleted_at": nullable(MOMENT),
    "paused_at": nullable(TEXT),
    "system_paused_at": nullable(MOMENT),
    "report_card": ref("ReportCard"),
}
_NEXT = {"next_fire_time": MOMENT}
_SCHEDULE = either(
    record({"type": choice("interval"), "unit": choice("minute"), "interval": {"type": "number"}, **_NEXT}),
    record({"type": choice("cron"), "cron_expression": TEXT, **_NEXT}),
)
_STATUS = nullable(WHOLE)
_CHECK = record(
    {
        "name": TEXT,
        "mode": choice("check"),
        "status": choice("running", "succeeded", "failed"),
        "start_time": MOMENT,
        "completion_time": nullable(MOMENT),
        "error": FLAG,
        "check_exit_status": _STATUS,
        "discovery_exit_status": _STATUS,
        "discovery_error_message": nullable(TEXT),
        "tap_exit_status": _STATUS,
        "tap_error_message": nullable(TEXT),
        "target_exit_status": _STATUS,
        "target_error_message": nullable(TEXT),
    }
)
_EXTRACTION = record(
    {
        "job_name": TEXT,
        "stitch_client_id": ID,
        "source_id": ID,
        "source_type": TEXT,
        "tap_name": TEXT,
        "start_time": MOMENT,
        "completion_time": MOMENT,
        **{f"{phase}_exit_status": _STATUS for phase in ("discovery", "tap", "target")},
        **{f"{phase}_description": nullable(TEXT) for phase in ("discovery", "tap", "target")},
    }
)
_LOAD = record(
    {
        "stitch_client_id": ID,
        "source_name": TEXT,
        "stream_name": TEXT,
        "last_batch_loaded_at": nullable(MOMENT),
        "error_state": nullable(table()),
    }
)
_STREAM = record(
    {
        "stream_id": ID,
        "tap_stream_id": TEXT,
        "stream_name": TEXT,
        "selected": nullable(FLAG),
        "metadata": table(),
    }
)
_STREAM_SCHEMA = record(
    {
        "schema": TEXT,
        "metadata": listing(record({"breadcrumb": listing(TEXT), "metadata": table()})),
        "non-discoverable-metadata-keys": listing(TEXT),
    }
)
_DESTINATION_V3 = record(
    {
        "id": ID,
        "type": TEXT,
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "connection": table(),
        "last_check": record({"error": FLAG, "started_at": MOMENT, "completed_at": nullable(MOMENT)}),
    }
)

COMPONENTS: dict[str, Schema] = {
    "Property": _PROPERTY,
    "ReportCard": record({"type": TEXT, **_STEPS}),
    "ConnectionType": record(
        {"type": TEXT, "details": _DETAILS},
        {**_STEPS, "upgrade_available": nullable(record({"type": TEXT}))},
    ),
    "Source": record({**_CONNECTION, "schedule": nullable(_SCHEDULE)}, {"check_job_name": TEXT}),
    "Destination": record({**_CONNECTION, "description": nullable(TEXT)}, {"check_job_name": TEXT}),
    "DestinationV3": _DESTINATION_V3,
    "ConnectionCheck": _CHECK,
    "Stream": _STREAM,
    "StreamSchema": _STREAM_SCHEMA,
    "Extraction": _EXTRACTION,
    "Load": _LOAD,
    "NotFound": record({"error": choice("NotFound")}),
}

#: Values that a card's schemas refuse, with the card itself.
INVALID_PROPERTIES = Answer(
    400,
    record(
        {
            "error": choice("InvalidProperties"),
            "data": record(
                {"message": TEXT, "bad_properties": listing(TEXT), "report_card": ref("ReportCard")},
            ),
        }
    ),
)

#: What a client may send as the value of a connection's property.
GIVEN_PROPERTIES = table(ANY)
