"""Extractions, their logs, and loads (`spec/connect-api.md` sections 12 and 13)."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from litestar import MediaType, Request, Response, get

from lockstitch.api.answers import threaded
from lockstitch.control import runs
from lockstitch.control.refusals import not_found, unauthorized
from lockstitch.control.server import Server

#: Seconds for which the address of a log works.
LOG_LIFE = 600


@get("/v4/{client_id:int}/extractions")
@threaded
def list_extractions(
    server: Server, account_id: int, now: datetime, client_id: int, request: Request[Any, Any, Any]
) -> dict[str, Any]:
    _refuse_others(account_id, client_id)
    with server.read() as db:
        return runs.extractions(db, account_id, _page(request), now)


@get("/v4/{client_id:int}/loads")
@threaded
def list_loads(
    server: Server, account_id: int, now: datetime, client_id: int, request: Request[Any, Any, Any]
) -> dict[str, Any]:
    _refuse_others(account_id, client_id)
    with server.read() as db:
        return runs.loads_page(db, account_id, _page(request), now)


@get("/v4/{client_id:int}/extractions/{job_name:str}")
@threaded
def read_log_address(server: Server, account_id: int, client_id: int, job_name: str) -> Response[Any]:
    """Send the client to the log, at an address that needs no token and works for some minutes."""
    _refuse_others(account_id, client_id)
    with server.read() as db:
        if not runs.is_run_of(db, account_id, job_name):
            raise not_found(f"job not found ({job_name})")
    expires = str(int(time.time()) + LOG_LIFE)
    query = urlencode({"expires": expires, "signature": server.keyring.sign(_signed(job_name, expires))})
    return Response(b"", status_code=302, headers={"Location": f"/logs/{quote(job_name)}?{query}"})


@get("/logs/{job_name:str}")
@threaded
def read_log(server: Server, job_name: str, expires: str = "", signature: str = "") -> Response[str]:
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
    return max(1, int(text)) if text.isdecimal() and len(text) < 10 else 1


def _refuse_others(account_id: int, client_id: int) -> None:
    if account_id != client_id:
        raise unauthorized()


ROUTES = [list_extractions, list_loads, read_log_address, read_log]
