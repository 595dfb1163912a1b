"""The Import API over HTTP where nobody may push, or nothing can be kept."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from tests.api.calling import Account
from tests.api.importing import STORED, Pushing, pushing
from tests.importing.bodies import batch

from lockstitch.toolkit.inbox import inbox as inbox_module

NOT_ACTIVE = {"error": "Forbidden", "errors": {"error": "Connection is not active."}}
NOT_AUTHENTICATED = {"status": "ERROR", "error": "Not Authenticated.", "errors": None}
NOT_AUTHORIZED = {"message": "Not Authorized"}
POSTED = ("batch", "push", "validate")
BUSY = {"status": "ERROR", "message": "The queue takes nothing right now; send the request again later."}


@pytest.fixture
def source(account: Account) -> Pushing:
    return pushing(account)


def _body(source: Pushing, kind: str) -> Any:
    return batch() if kind == "batch" else [source.record()]


# --- 401: tokens and sources ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "told"), [("batch", NOT_AUTHORIZED), ("push", NOT_AUTHENTICATED), ("validate", NOT_AUTHENTICATED)]
)
def test_a_token_that_is_none(source: Pushing, kind: str, told: Any):
    body = _body(source, kind)
    for header in (None, "", "Bearer", f"Basic {source.token}", "Bearer nobody's", f"Bearer {source.account.token}"):
        assert source.ask(body, kind, Authorization=header) == (401, told)
    listed = source.account.call("GET", f"/v4/sources/{source.source_id}/tokens")
    assert (
        source.account.ask("DELETE", f"/v4/sources/{source.source_id}/tokens/{listed[0]['token_id']}").status_code
        == 200
    )
    assert source.ask(body, kind) == (401, told)
    assert source.waiting() == []


@pytest.mark.parametrize("kind", POSTED)
def test_a_token_brings_records_to_its_own_source_alone(source: Pushing, kind: str):
    second = pushing(source.account, "second")
    assert second.ask(_body(second, kind), kind)[0] in (200, 201)
    assert source.waiting() == []


@pytest.mark.parametrize("kind", POSTED)
def test_a_paused_source(source: Pushing, kind: str):
    path, body = f"/v4/sources/{source.source_id}", _body(source, kind)
    source.account.call("PUT", path, {"paused_at": "2026-01-01T00:00:00Z"})
    assert source.ask(body, kind) == (401, NOT_ACTIVE)
    assert source.waiting() == []
    source.account.call("PUT", path, {"paused_at": None})
    assert source.ask(body, kind)[0] in (200, 201)


@pytest.mark.parametrize("kind", POSTED)
def test_a_deleted_source(source: Pushing, kind: str):
    source.account.call("DELETE", f"/v4/sources/{source.source_id}")
    assert source.ask(_body(source, kind), kind) == (401, NOT_ACTIVE)
    assert source.waiting() == []


# --- 503: nothing of the request is kept ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["batch", "push"])
def test_the_disk_keeps_a_reserve(source: Pushing, kind: str, monkeypatch: pytest.MonkeyPatch):
    real = os.statvfs
    free = inbox_module.RESERVE_BYTES // 4096

    def almost_full(path: Any) -> os.statvfs_result:
        found = list(real(path))
        found[1], found[4] = 4096, free
        return os.statvfs_result(found)

    with monkeypatch.context() as full:
        full.setattr(inbox_module.os, "statvfs", almost_full)
        assert source.ask(_body(source, kind), kind) == (503, BUSY)
        assert source.ask([source.record()], "validate")[0] == 200
    assert source.waiting() == []
    assert source.ask(_body(source, kind), kind) == STORED


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails(source: Pushing, code: int, monkeypatch: pytest.MonkeyPatch):
    def failing(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as broken:
        broken.setattr(inbox_module.os, "fsync", failing)
        assert source.ask([source.record()]) == (503, BUSY)
    assert source.waiting() == []
    assert source.ask([source.record()]) == STORED
    assert len(source.waiting()) == 1


@pytest.mark.parametrize("kind", ["batch", "push"])
def test_a_store_that_does_not_answer(source: Pushing, kind: str, monkeypatch: pytest.MonkeyPatch):
    def failing() -> Any:
        raise OperationalError("SELECT", {}, Exception("the server closed the connection"))

    with monkeypatch.context() as broken:
        broken.setattr(source.account.served.server.store, "read", failing)
        assert source.ask(_body(source, kind), kind) == (503, BUSY)
    assert source.waiting() == []
