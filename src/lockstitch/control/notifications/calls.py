"""Calls to hooks: one request each, signed, to an address that may be reached (`spec/connect-api.md` section 16)."""

from __future__ import annotations

import hashlib
import hmac
import ssl
from dataclasses import dataclass, field

import httpx2
import msgspec
import sqlalchemy as sa

from lockstitch.control.keyring import Keyring
from lockstitch.control.notifications.attempts import Undelivered, Unwanted
from lockstitch.control.notifications.deliveries import Claim
from lockstitch.control.notifications.settings import Outgoing
from lockstitch.control.store.tables import hooks
from lockstitch.toolkit.addresses import AddressRefused
from lockstitch.toolkit.checked_http import CheckedTransport

#: Seconds until a hook must have answered, from the beginning of the connection on.
TIMEOUT = 30.0
USER_AGENT = "StitchLoadingWebhook"
#: The HMAC-SHA256 of the body with the hook's secret as its key, in hexadecimal.
SIGNATURE = "X-Lockstitch-Signature"
#: The number of the delivery: a call that is repeated has the same.
DELIVERY = "X-Lockstitch-Delivery"


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is ready to be made."""

    url: httpx2.URL = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def prepare(db: sa.Connection, keyring: Keyring, outgoing: Outgoing, claimed: Claim) -> Call:
    """Return the request for a claimed delivery. Raises Unwanted, and Undelivered where it may not be made now."""
    hook = db.execute(sa.select(hooks).where(hooks.c.id == claimed.hook_id)).first()
    if hook is None or hook.disabled_at is not None:
        raise Unwanted("the hook is disabled")
    if not outgoing.hooks:
        raise Unwanted("hooks are switched off on this server")
    url = httpx2.URL(hook.url)
    if url.scheme != "https" and not outgoing.plain_hooks:
        raise Undelivered(f"{url.host}: only HTTPS addresses are called")
    body = msgspec.json.encode(claimed.content)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        SIGNATURE: signature(keyring.decrypt(hook.secret), body),
        DELIVERY: str(claimed.id),
    }
    return Call(url, headers, body)


def signature(secret: str, body: bytes) -> str:
    """Return what the signature's header says of a body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def send(call: Call, outgoing: Outgoing, *, tls: ssl.SSLContext | None = None, seconds: float = TIMEOUT) -> None:
    """Make the request. Raises Undelivered for anything but an answer of 2xx in time.

    Redirects are not followed, as they could lead anywhere, and an answer's body is not read.
    """
    host = call.url.host
    transport = CheckedTransport(outgoing.allowed, tls=tls, seconds=seconds)
    try:
        with (
            httpx2.Client(transport=transport, timeout=seconds, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", call.url, content=call.body, headers=call.headers) as answer,
        ):
            status = answer.status_code
    except httpx2.TimeoutException:
        raise Undelivered(f"{host} did not answer within {seconds:g} seconds") from None
    except AddressRefused as error:
        raise Undelivered(error.message) from None
    except (httpx2.HTTPError, OSError) as error:
        raise Undelivered(f"{host}: {error or type(error).__name__}") from None
    if not 200 <= status < 300:
        raise Undelivered(f"{host} answered {status}")
