"""What is beside Connect: the Import API (section 17), notifications (section 14), and the server's own state."""

from __future__ import annotations

from lockstitch.api.openapi.words import (
    ANY,
    FLAG,
    ID,
    JSON,
    MOMENT,
    NULL,
    PLAIN,
    TEXT,
    WHOLE,
    Answer,
    Operation,
    choice,
    coded,
    either,
    listing,
    nullable,
    ok,
    record,
    table,
)

# --- the Import API ---------------------------------------------------------------------------------------------------

_MESSAGE = record({"status": choice("OK"), "message": TEXT})
_ERROR = record({"status": choice("ERROR"), "message": TEXT}, {"error": TEXT, "input": ANY})
_ERRORS = record({"status": choice("ERROR"), "error": TEXT, "errors": ANY})
_INACTIVE = record({"error": choice("Forbidden"), "errors": record({"error": TEXT})})
_REFUSED = (
    Answer(401, either(_ERRORS, _INACTIVE, record({"message": TEXT}))),
    Answer(403, _ERRORS),
    Answer(413, _ERROR),
    Answer(503, _ERROR),
)
_RECORDS = listing(
    record(
        {
            "client_id": ID,
            "table_name": TEXT,
            "action": choice("upsert", "switch_view"),
            "sequence": WHOLE,
            "key_names": listing(TEXT),
            "data": table(),
        },
        {"namespace": TEXT, "table_version": WHOLE},
    )
)
_PUSHED = {JSON: _RECORDS, "application/transit+json": ANY}
_PUSH_REFUSED = (Answer(400, _ERROR), Answer(415, _ERROR), Answer(422, _ERRORS), *_REFUSED)
_BATCH = record(
    {"table_name": TEXT, "schema": table(), "messages": listing(table())},
    {"key_names": listing(TEXT), "table_version": WHOLE},
)

_IMPORTS = (
    Operation("GET", "/v2/import/status", "Tell whether the Import API works", (ok(table()),), needs_token=False),
    Operation(
        "POST",
        "/v2/import/batch",
        "Push rows of one table, with their schema",
        (
            Answer(201, _MESSAGE),
            Answer(400, either(record({"error": TEXT}), _ERROR)),
            Answer(415, TEXT, PLAIN),
            *_REFUSED,
        ),
        bodies={JSON: _BATCH},
    ),
    Operation(
        "POST", "/v2/import/push", "Push records of several tables", (Answer(201, _MESSAGE), *_PUSH_REFUSED), _PUSHED
    ),
    Operation(
        "POST", "/v2/import/validate", "Check records without keeping them", (ok(_MESSAGE), *_PUSH_REFUSED), _PUSHED
    ),
)

# --- notifications ----------------------------------------------------------------------------------------------------

_BASE = "/notifications/public/v1/api"
_DISABLED = {"disabled_at": nullable(TEXT)}
_EMAIL = record({"id": ID, "client_id": ID, "email_address": TEXT, "created_at": MOMENT, **_DISABLED})
_HOOK = record(
    {
        "id": ID,
        "client_id": ID,
        "type": choice("post_load"),
        "version": choice(1),
        "destination_id": ID,
        "config": record({"url": TEXT}),
        "created_at": MOMENT,
        "modified_at": MOMENT,
        **_DISABLED,
    }
)
_SAID = Answer(400, record({"error": record({"message": either(TEXT, table(TEXT))})}))
_NO_HOOK = Answer(400, record({"error": choice("NotFound")}))

_NOTIFICATIONS = (
    Operation(
        "POST",
        f"{_BASE}/custom-emails",
        "Add an address for notifications",
        (ok(_EMAIL), _SAID),
        bodies={JSON: record({"email_address": TEXT})},
    ),
    Operation("GET", f"{_BASE}/custom-emails", "List the addresses for notifications", (ok(listing(_EMAIL)),)),
    Operation(
        "PUT",
        f"{_BASE}/custom-emails/{{email_id}}",
        "Disable or enable an address",
        (ok(record(_DISABLED)), Answer(400, record({"disabled_at": ANY})), Answer(404, record({"status": TEXT}))),
        bodies={JSON: record(_DISABLED)},
    ),
    Operation(
        "DELETE",
        f"{_BASE}/custom-emails/{{email_id}}",
        "Delete an address; the answer says how many there were",
        (ok(listing(WHOLE)),),
    ),
    Operation(
        "POST",
        f"{_BASE}/hooks",
        "Add a hook that is called after loads",
        (ok(_HOOK), coded("InvalidBody"), _SAID),
        bodies={JSON: record({"type": choice("post_load"), "config": record({"url": TEXT})}, {"destination_id": ID})},
    ),
    Operation("GET", f"{_BASE}/hooks", "List the hooks", (ok(record({"post_load": listing(_HOOK)})),)),
    Operation(
        "PUT",
        f"{_BASE}/hooks/{{hook_id}}",
        "Enable or disable a hook",
        (ok(_HOOK), coded("InvalidBody"), _NO_HOOK),
        bodies={JSON: record({"enable": FLAG})},
    ),
    Operation("DELETE", f"{_BASE}/hooks/{{hook_id}}", "Delete a hook", (ok(NULL), _NO_HOOK)),
)

# --- the server itself ------------------------------------------------------------------------------------------------

_STATE = (
    Operation("GET", "/health", "Tell that the server is there", (ok(table(TEXT)),), needs_token=False),
    Operation("GET", "/ready", "Tell that the server can work", (ok(table(TEXT)),), needs_token=False),
    Operation(
        "GET",
        "/metrics",
        "Read the server's metrics, from an address that the operator lets",
        (ok(TEXT, PLAIN), Answer(404, record({"error": choice("NotFound")}))),
        needs_token=False,
    ),
    Operation("GET", "/openapi.json", "Read this description", (ok(table()),), needs_token=False),
)

OPERATIONS = (*_IMPORTS, *_NOTIFICATIONS, *_STATE)
