"""The Connect API (`spec/connect-api.md` sections 2 to 13), operation by operation."""

from __future__ import annotations

from lockstitch.api.openapi.things import GIVEN_PROPERTIES, INVALID_PROPERTIES
from lockstitch.api.openapi.words import (
    FLAG,
    FORM,
    ID,
    JSON,
    PLAIN,
    TEXT,
    Answer,
    Operation,
    bare,
    choice,
    coded,
    either,
    listing,
    nullable,
    ok,
    paged,
    record,
    ref,
    table,
    typed,
)
from lockstitch.control import destinations
from lockstitch.control.connections import UNKNOWN_TEXT

_ACCOUNT = {name: TEXT for name in ("partner_id", "partner_secret", "first_name", "last_name", "email", "company")}
_FORM_ERRORS = table(choice("required", "invalid"))
_EXCHANGE = record(
    {"client_secret": TEXT, "code": TEXT, "grant_type": choice("authorization_code")},
    {"client_id": TEXT, "code_verifier": TEXT, "redirect_uri": TEXT},
)

_ACCOUNTS = (
    Operation(
        "POST",
        "/v3/accounts",
        "Create an account on behalf of a partner",
        (
            ok(record({"access_token": TEXT, "stitch_account_id": ID})),
            Answer(400, record({"code": choice("ExistingUser"), "message": TEXT})),
            Answer(400, record({"code": choice("BadRequest"), "message": TEXT, "errors": _FORM_ERRORS})),
        ),
        bodies={JSON: record(_ACCOUNT, {"region": choice("us-east-1", "eu-central-1")})},
        needs_token=False,
    ),
    Operation(
        "POST",
        "/v3/sessions/ephemeral",
        "Make a token that hands a user to the web app, within an hour",
        (ok(record({"ephemeral_token": TEXT})),),
    ),
    Operation(
        "POST",
        "/v3/sessions",
        "Exchange such a token for a browser's session of 12 hours, which is kept as a cookie",
        (ok(record({"stitch_account_id": ID})), coded("BadRequest"), coded("Unauthorized", status=401)),
        bodies={JSON: record({"ephemeral_token": TEXT})},
        needs_token=False,
    ),
    Operation(
        "POST",
        "/oauth/token",
        "Exchange a code for a permanent token",
        (
            ok(record({"token_type": choice("bearer"), "access_token": TEXT, "stitch_account_id": ID})),
            Answer(400, record({"error": choice("invalid_grant", "unsupported_grant_type")})),
            Answer(401, record({"error": choice("invalid_client")})),
        ),
        bodies={FORM: _EXCHANGE, JSON: _EXCHANGE},
        needs_token=False,
    ),
)

_TYPES = (
    Operation("GET", "/v4/source-types", "List all source types", (ok(listing(ref("ConnectionType"))),)),
    Operation(
        "GET",
        "/v4/source-types/{name}",
        "Read one source type",
        (ok(ref("ConnectionType")), coded("InvalidType", status=404)),
    ),
    Operation("GET", "/v4/destination-types", "List all destination types", (ok(listing(ref("ConnectionType"))),)),
    Operation(
        "GET",
        "/v4/destination-types/{name}",
        "Read one destination type",
        (ok(ref("ConnectionType")), coded("NotFound", status=404)),
    ),
)

_NO_DESTINATION = bare(UNKNOWN_TEXT)
_NAMED = {"name": nullable(TEXT), "description": nullable(TEXT)}
_NEW_DESTINATION = record(
    {"type": TEXT, "properties": GIVEN_PROPERTIES},
    {**_NAMED, "ignore_unmapped_sources": nullable(FLAG)},
)
_DESTINATION_V3 = {JSON: record({"type": TEXT, "connection": GIVEN_PROPERTIES})}
_CHECKED = (ok(ref("ConnectionCheck")), coded("NotFound", status=404))

_DESTINATIONS = (
    Operation(
        "POST",
        "/v4/destinations",
        "Create a destination and check it",
        (
            ok(ref("Destination")),
            bare(destinations.POST_TEXT, destinations.LIMIT_TEXT),
            coded("AccessDenied"),
            INVALID_PROPERTIES,
        ),
        bodies={JSON: _NEW_DESTINATION},
    ),
    Operation(
        "GET",
        "/v4/destinations",
        "List the destinations",
        (ok(listing(ref("Destination"))), bare(destinations.GET_TEXT)),
        query={"source_id": ID, "destination_id": ID},
    ),
    Operation(
        "GET",
        "/v4/destinations/{destination_id}",
        "Read a destination",
        (ok(ref("Destination")), coded("NotFound", status=404)),
    ),
    Operation(
        "PUT",
        "/v4/destinations/{destination_id}",
        "Change a destination and check it",
        (ok(ref("Destination")), bare(destinations.PUT_TEXT, destinations.TYPE_TEXT, UNKNOWN_TEXT), INVALID_PROPERTIES),
        bodies={JSON: record({}, {"properties": GIVEN_PROPERTIES, **_NAMED})},
    ),
    Operation(
        "DELETE",
        "/v4/destinations/{destination_id}",
        "Delete a destination",
        (ok(record({})), bare(pattern="^Unable to locate dest ")),
    ),
    Operation(
        "GET",
        "/v4/destinations/{destination_id}/last-connection-check",
        "Read the last connection check of a destination",
        _CHECKED,
    ),
    Operation(
        "POST",
        "/v3/destinations",
        "Create a destination (version 3)",
        (
            ok(ref("DestinationV3")),
            bare(destinations.V3_TEXT, destinations.LIMIT_TEXT),
            coded("AccessDenied"),
            INVALID_PROPERTIES,
        ),
        bodies=_DESTINATION_V3,
    ),
    Operation("GET", "/v3/destinations", "List the destination, if there is one", (ok(listing(ref("DestinationV3"))),)),
    Operation(
        "PUT",
        "/v3/destinations/{destination_id}",
        "Change a destination (version 3)",
        (
            ok(ref("DestinationV3")),
            bare(destinations.V3_TEXT, destinations.TYPE_TEXT, UNKNOWN_TEXT),
            INVALID_PROPERTIES,
        ),
        bodies=_DESTINATION_V3,
    ),
)

_SOURCE_REFUSED = (INVALID_PROPERTIES, _NO_DESTINATION)
_BAD_SOURCE = ("InvalidBody", "InvalidName", "InvalidDisplayName", "InvalidCronExpression")
_NO_SOURCE = coded("InvalidId")
_TOKENS = "/v4/sources/{source_id}/tokens"

_SOURCES = (
    Operation(
        "POST",
        "/v4/sources",
        "Create a source, and check it once its form is complete",
        (
            ok(ref("Source")),
            coded("InvalidType", "AccessDenied", *_BAD_SOURCE),
            *_SOURCE_REFUSED,
        ),
        bodies={
            JSON: record(
                {"type": TEXT, "display_name": TEXT},
                {"properties": nullable(GIVEN_PROPERTIES), "destination_id": nullable(ID), "name": nullable(TEXT)},
            )
        },
    ),
    Operation("GET", "/v4/sources", "List all sources, paused and deleted ones too", (ok(listing(ref("Source"))),)),
    Operation("GET", "/v4/sources/{source_id}", "Read a source", (ok(ref("Source")), coded("InvalidId", status=404))),
    Operation(
        "PUT",
        "/v4/sources/{source_id}",
        "Change, pause or unpause a source",
        (
            ok(ref("Source")),
            coded("InvalidId", *_BAD_SOURCE),
            *_SOURCE_REFUSED,
        ),
        bodies={
            JSON: record(
                {},
                {
                    "display_name": TEXT,
                    "properties": GIVEN_PROPERTIES,
                    "paused_at": nullable({"type": "string", "format": "date-time"}),
                    "destination_id": nullable(ID),
                },
            )
        },
    ),
    Operation("DELETE", "/v4/sources/{source_id}", "Delete a source", (ok(ref("Source")), _NO_SOURCE)),
    Operation(
        "GET",
        "/v4/sources/{source_id}/last-connection-check",
        "Read the last connection check of a source",
        (ok(ref("ConnectionCheck")), coded("NotFound", "InvalidId", status=404)),
    ),
    Operation(
        "POST",
        _TOKENS,
        "Make a token for the Import API",
        (ok(record({"id": ID, "access_token": TEXT})), coded("InvalidId", "InvalidType", "TokenLimitExceeded")),
    ),
    Operation(
        "GET",
        _TOKENS,
        "List a source's tokens for the Import API",
        (ok(listing(record({"token_id": ID, "created_at": TEXT}))), coded("InvalidId", "InvalidType")),
    ),
    Operation(
        "DELETE",
        _TOKENS + "/{token_id}",
        "Delete a token for the Import API",
        (ok(ref("Source")), coded("InvalidId", "InvalidType")),
    ),
)

_QUOTED = Answer(400, TEXT)
_DONE = ok(record({"status": choice(200)}))
_CHOICE = record({"breadcrumb": listing(TEXT), "metadata": table()})
_JOB = record({"job_name": TEXT})
_RUNNING = record({"error": record({"type": choice("already_running"), "message": TEXT})})

_STREAMS = (
    Operation(
        "GET", "/v4/sources/{source_id}/streams", "List a source's streams", (ok(listing(ref("Stream"))), _QUOTED)
    ),
    Operation(
        "GET",
        "/v4/sources/{source_id}/streams/{stream_id}",
        "Read a stream's schema and metadata",
        (ok(ref("StreamSchema")), _QUOTED),
    ),
    Operation(
        "PUT",
        "/v4/sources/{source_id}/streams/metadata",
        "Select streams and fields",
        (_DONE, _QUOTED, Answer(400, record({"invalid_fields": TEXT}))),
        bodies={JSON: record({"streams": listing(record({"tap_stream_id": TEXT, "metadata": listing(_CHOICE)}))})},
    ),
    Operation(
        "POST",
        "/v4/sources/{source_id}/sync",
        "Start a replication job",
        (ok(either(_JOB, _RUNNING)), typed("generic", "invalid_source")),
    ),
    Operation("DELETE", "/v4/sources/{source_id}/sync", "Stop the replication job", (_DONE, typed("invalid_source"))),
)

_LIMITED = Answer(429, coded("RateLimitExceeded").schema, headers=("Retry-After",))
_PAGE = {"page": ID}

_REPORTS = (
    Operation(
        "GET",
        "/v4/{client_id}/extractions",
        "List the last extraction of each source",
        (ok(paged(ref("Extraction"))), _LIMITED),
        query=_PAGE,
    ),
    Operation(
        "GET",
        "/v4/{client_id}/extractions/{job_name}",
        "Be sent to the log of a job",
        (Answer(302, None, headers=("Location",)), coded("NotFound", status=404), _LIMITED),
    ),
    Operation(
        "GET",
        "/v4/{client_id}/loads",
        "List the last load of each table",
        (ok(paged(ref("Load"))), _LIMITED),
        query=_PAGE,
    ),
    Operation(
        "GET",
        "/logs/{job_name}",
        "Read a log at the signed address that a job's log was found at",
        (ok(TEXT, PLAIN), coded("Unauthorized", status=401)),
        query={"expires": TEXT, "signature": TEXT},
        needs_token=False,
    ),
)

OPERATIONS = (*_ACCOUNTS, *_TYPES, *_DESTINATIONS, *_SOURCES, *_STREAMS, *_REPORTS)
