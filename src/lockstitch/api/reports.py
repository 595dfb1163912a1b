"""Extractions, their logs, and loads (`spec/connect-api.md` sections 12 and 13)."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote, urlencode

from litestar import MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery

from lockstitch.api.answers import AccountId, Now, Serving, threaded
from lockstitch.control import runs
from lockstitch.control.refusals import not_found, unauthorized

#: Seconds for which the address of a log works.
LOG_LIFE = 600


def _client(account_id: AccountId, client_id: FromPath[int], now: Now, state: State) -> int:
    """Return the account in the address, which must be the token's own; its requests are counted (1.5)."""
    if account_id != client_id:
        raise unauthorized()
    if state.jobs_limit is not None:
        state.jobs_limit.admit(account_id, now)
    return account_id


_CLIENT = {"client": Provide(_client, sync_to_thread=False)}
Client = NamedDependency[int]


@get("/v4/{client_id:int}/extractions", dependencies=_CLIENT)
@threaded
def list_extractions(server: Serving, client: Client, now: Now, request: Request[Any, Any, Any]) -> dict[str, Any]:
    with server.read() as db:
        return runs.extractions(db, client, _page(request), now)


@get("/v4/{client_id:int}/loads", dependencies=_CLIENT)
@threaded
def list_loads(server: Serving, client: Client, now: Now, request: Request[Any, Any, Any]) -> dict[str, Any]:
    with server.read() as db:
        return runs.loads_page(db, client, _page(request), now)


@get("/v4/{client_id:int}/extractions/{job_name:str}", dependencies=_CLIENT)
@threaded
def read_log_address(server: Serving, client: Client, job_name: FromPath[str]) -> Response[Any]:
    """Send the client to the log, at an address that needs no token and works for some minutes."""
    with server.read() as db:
        if not runs.is_run_of(db, client, job_name):
            raise not_found(f"job not found ({job_name})")
    expires = str(int(time.time()) + LOG_LIFE)
    query = urlencode({"expires": expires, "signature": server.keyring.sign(_signed(job_name, expires))})
    return Response(b"", status_code=302, headers={"Location": f"/logs/{quote(job_name)}?{query}"})


@get("/logs/{job_name:str}")
@threaded
def read_log(
    server: Serving, job_name: FromPath[str], expires: FromQuery[str] = "", signature: FromQuery[str] = ""
) -> Response[str]:
    good = server.keyring.is_signature(signature, _signed(job_name, expires))
    if not good or not expires.isdecimal() or int(expires) < time.time():
        raise unauthorized()
    with server.read() as db:
        text = "".join(runs.log_pieces(db, job_name))
    return Response(text, media_type=MediaType.TEXT, headers={"Cache-Control": "no-store"})


def _signed(job_name: str, expires: str) -> str:
    return f"log {job_name} {expires}"


def _page(request: Request[Any, Any, Any]) -> int:
    """Return the page that is asked for: the first one for whatever is no positive number."""
    text = request.query_params.get("page", "1")
    if not text.isdecimal():
        return 1
    # What is longer than any page's number is past the end just as well.
    return max(1, int(text[:18]))


ROUTES = [list_extractions, list_loads, read_log_address, read_log]
