"""A push is durable before it is answered, wherever it lies; and it waits until its destination takes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.control.pushes import Clients, Target, keyed_push, keyless_batch, make_target, post
from tests.control.serving import serving, start, until

from lockstitch.testing.postgres_server import PostgresDatabase
from lockstitch.toolkit.inbox.inbox import Inbox
from lockstitch.toolkit.inbox.shared import SharedInbox


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """The address of the store that each command started by the test uses; None is SQLite."""
    if request.param == "sqlite":
        return None
    postgres: PostgresDatabase = request.getfixturevalue("postgres")
    monkeypatch.setenv("LOCKSTITCH_DATABASE_URL", postgres.uri)
    return postgres.uri


def _inbox(home: Path, database: str | None, target: Target) -> Inbox | SharedInbox:
    if database is not None:
        return SharedInbox(database, target.source_id)
    return Inbox(home / "inbox" / str(target.source_id))


def test_all_that_was_answered_lands_once_although_the_server_is_killed(tmp_path: Path, database: str | None):
    home = tmp_path / "home"
    with serving(home, "--silence", "5") as served:
        target = make_target(served, tmp_path / "warehouse.duckdb")
        clients = Clients(target.token, served.account_id, lambda: served.address)
        clients.start(8)
        try:
            for count in (60, 120):
                until(lambda wanted=count: len(clients.stored) >= wanted, "pushes to be answered")
                served.kill()
                again = start(home, "--silence", "5")
                served.process, served.address = again.process, again.address
                again.client.close()
            until(lambda: len(clients.stored) >= 180, "pushes to be answered again")
        finally:
            clients.stop()
        expected = {number * 10 + one for number in clients.stored for one in range(3)}
        for table in ("keyed", "keyless"):
            wanted = len(expected)
            query = f"select count(distinct id) from import_api.{table}"
            until(lambda sql=query, least=wanted: (found := target.query(sql)) and found[0][0] >= least, table, 120)
        inbox = _inbox(home, database, target)
        until(lambda: inbox.size(inbox.committed()) == 0, "the inbox to be trimmed")
        inbox.close()
        for table in ("keyed", "keyless"):
            found = until(
                lambda name=table: target.query(f"select id, count(*) from import_api.{name} group by 1"), table
            )
            assert expected <= {one for one, _ in found}
            assert {one for one, _ in found} <= {number * 10 + one for number in clients.sent for one in range(3)}
            assert {count for _, count in found} == {1}


@pytest.mark.long
def test_it_waits_for_a_destination_that_is_down(tmp_path: Path, database: str | None):
    home, folder = tmp_path / "home", tmp_path / "warehouse"
    folder.mkdir()
    with serving(home, "--silence", "5") as served:
        target = make_target(served, folder / "warehouse.duckdb")
        # No folder: no run can succeed.
        (folder / "warehouse.duckdb").unlink(missing_ok=True)
        folder.rename(tmp_path / "away")
        folder.write_text("in the way")
        for number in range(4):
            rows = [(number * 10 + one, {"id": one, "number": number}) for one in range(3)]
            body = keyed_push(served.account_id, rows)
            assert post(served.client, served.address, target.token, "push", body) == 201
            assert post(served.client, served.address, target.token, "batch", keyless_batch(rows)) == 201

        def runs() -> list[int | None]:
            page = served.call("GET", f"/v4/{served.account_id}/extractions")
            return [one["target_exit_status"] for one in page["data"]]

        until(lambda: any(runs()), "a run to fail")
        inbox = _inbox(home, database, target)
        assert inbox.size(inbox.committed()) > 0
        folder.unlink()
        (tmp_path / "away").rename(folder)
        # A minute passes before the next run.
        found = until(lambda: target.query("select id, number from import_api.keyed order by id"), "all to land", 150)
        assert found == [(0, 3), (1, 3), (2, 3)]
        numbers = until(lambda: target.query("select number from import_api.keyless order by _sdc_sequence"), "keyless")
        assert numbers == [(number,) for number in range(4) for _ in range(3)]
        assert len(runs()) <= 5, "a destination that is down is not asked every few seconds"
        until(lambda: inbox.size(inbox.committed()) == 0, "the inbox to be trimmed")
        inbox.close()
