"""Two machines on one PostgreSQL: either takes pushes of a source in, into the one inbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.api.calling import Account, Served, serving
from tests.api.importing import STORED, Pushing, pushing
from tests.importing.bodies import batch

from lockstitch.control import inboxes
from lockstitch.testing.postgres_server import PostgresDatabase
from lockstitch.toolkit.inbox.records import read_entry
from lockstitch.toolkit.inbox.shared import SharedInbox

BUSY = {"status": "ERROR", "message": "The queue takes nothing right now; send the request again later."}


@pytest.fixture
def machines(postgres: PostgresDatabase, tmp_path: Path) -> Iterator[tuple[Served, Served]]:
    with (
        serving(tmp_path / "a", database_url=postgres.uri) as first,
        serving(tmp_path / "b", database_url=postgres.uri) as second,
    ):
        yield first, second


def _elsewhere(source: Pushing, machine: Served) -> Pushing:
    account = Account(machine, source.account.id, source.account.token)
    return Pushing(account, source.source_id, source.token)


def _waiting(postgres: PostgresDatabase, source: Pushing) -> list[int]:
    with closing(SharedInbox(postgres.uri, source.source_id)) as inbox:
        entries = [read_entry(payload) for _, payload in inbox.read()]
        return [number for entry in entries for one in entry for number in one.decoded()[0]]


def test_either_machine_takes_a_push(machines: tuple[Served, Served], postgres: PostgresDatabase, tmp_path: Path):
    here = pushing(machines[0].account())
    there = _elsewhere(here, machines[1])
    for number in range(10):
        source = (here, there)[number % 2]
        assert source.ask([source.record(sequence=number)]) == STORED
    assert there.ask(batch(), "batch") == STORED
    assert here.ask([here.record(sequence="x")])[0] == 422
    assert _waiting(postgres, here) == [*range(10), 1565880017]
    assert not list(tmp_path.glob("*/inbox/*"))
    here.account.call("DELETE", f"/v4/sources/{here.source_id}")
    assert there.ask([there.record()])[0] == 401


def test_what_does_not_fit_is_refused_before_it_is_kept(
    machines: tuple[Served, Served], postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
):
    source = pushing(machines[0].account())
    assert source.ask([source.record(sequence=1)]) == STORED
    with monkeypatch.context() as small:
        small.setattr(inboxes, "LARGEST", 60)
        assert source.ask([source.record(sequence=2)]) == (503, BUSY)
        assert source.ask([source.record(sequence=2)], "validate")[0] == 200
    assert source.ask([source.record(sequence=3)]) == STORED
    assert _waiting(postgres, source) == [1, 3]


def test_a_database_that_went_away(machines: tuple[Served, Served], postgres: PostgresDatabase):
    """Each push is either answered 201 and there, or 503 and not there."""
    source = pushing(machines[0].account())
    stored: list[int] = []
    for number in range(12):
        if number % 3 == 1:
            postgres.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        status, _ = source.ask([source.record(sequence=number)])
        assert status in (201, 503)
        stored += [number] if status == 201 else []
    assert len(stored) >= 8
    assert _waiting(postgres, source) == stored
