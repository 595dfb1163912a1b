"""Source types and destination types with their report cards (`spec/connect-api.md` sections 4.1 and 5)."""

from __future__ import annotations

from typing import Any

from litestar import get
from litestar.params import FromPath

from lockstitch.api.answers import AccountId, threaded
from lockstitch.control.catalogue import cards
from lockstitch.control.catalogue.catalogue import ConnectionType, destination_types, find, source_types
from lockstitch.control.refusals import coded, not_found


@get("/v4/source-types")
@threaded
def list_source_types(account_id: AccountId) -> list[dict[str, Any]]:
    return [_card(one) for one in source_types()]


@get("/v4/source-types/{name:str}")
@threaded
def read_source_type(account_id: AccountId, name: FromPath[str]) -> dict[str, Any]:
    found = find("source", name)
    if found is None:
        raise coded("InvalidType", f"invalid source type ({name})", status=404)
    return _card(found)


@get("/v4/destination-types")
@threaded
def list_destination_types(account_id: AccountId) -> list[dict[str, Any]]:
    return [_card(one) for one in destination_types()]


@get("/v4/destination-types/{name:str}")
@threaded
def read_destination_type(account_id: AccountId, name: FromPath[str]) -> dict[str, Any]:
    found = find("destination", name)
    if found is None:
        raise not_found(f"invalid destination type ({name})")
    return _card(found)


def _card(one: ConnectionType) -> dict[str, Any]:
    return cards.report_card(one, provided=frozenset(), discovered=False, selected=False, details=True)


ROUTES = [list_source_types, read_source_type, list_destination_types, read_destination_type]
