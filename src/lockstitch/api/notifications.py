"""The notifications API: custom e-mails and post-load hooks (`spec/connect-api.md` section 14)."""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Response, delete, get, post, put
from litestar.params import FromPath, RawBody

from lockstitch.api.answers import AccountId, Now, Serving, parsed, threaded
from lockstitch.control.notifications import emails, hooks

BASE = "/notifications/public/v1/api"


@post(f"{BASE}/custom-emails", status_code=200)
@threaded
def create_email(server: Serving, account_id: AccountId, now: Now, body: RawBody) -> dict[str, Any]:
    with server.write() as db:
        permitted = server.settings.outgoing.custom_emails
        return emails.create(db, account_id, parsed(body), now, permitted=permitted)


@get(f"{BASE}/custom-emails")
@threaded
def list_emails(server: Serving, account_id: AccountId) -> list[dict[str, Any]]:
    with server.read() as db:
        return emails.listed(db, account_id)


@put(f"{BASE}/custom-emails/{{email_id:int}}")
@threaded
def change_email(server: Serving, account_id: AccountId, email_id: FromPath[int], body: RawBody) -> dict[str, Any]:
    with server.write() as db:
        return emails.change(db, account_id, email_id, parsed(body))


@delete(f"{BASE}/custom-emails/{{email_id:int}}", status_code=200)
@threaded
def delete_email(server: Serving, account_id: AccountId, email_id: FromPath[int]) -> list[int]:
    with server.write() as db:
        return emails.delete(db, account_id, email_id)


@post(f"{BASE}/hooks", status_code=200)
@threaded
def create_hook(server: Serving, account_id: AccountId, now: Now, body: RawBody) -> dict[str, Any]:
    with server.write() as db:
        return hooks.create(db, server.keyring, account_id, parsed(body), now, server.settings.outgoing)


@get(f"{BASE}/hooks")
@threaded
def list_hooks(server: Serving, account_id: AccountId) -> dict[str, Any]:
    with server.read() as db:
        return hooks.listed(db, account_id)


@put(f"{BASE}/hooks/{{hook_id:int}}")
@threaded
def change_hook(
    server: Serving, account_id: AccountId, now: Now, hook_id: FromPath[int], body: RawBody
) -> dict[str, Any]:
    with server.write() as db:
        return hooks.change(db, account_id, hook_id, parsed(body), now)


@delete(f"{BASE}/hooks/{{hook_id:int}}", status_code=200)
@threaded
def delete_hook(server: Serving, account_id: AccountId, now: Now, hook_id: FromPath[int]) -> Response[bytes]:
    with server.write() as db:
        hooks.delete(db, account_id, hook_id, now)
    return Response(b"null", media_type=MediaType.JSON)


ROUTES = [
    create_email,
    list_emails,
    change_email,
    delete_email,
    create_hook,
    list_hooks,
    change_hook,
    delete_hook,
]
