"""The inbox in PostgreSQL: durable, in order for whoever follows it, and limited as the one on disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
import sqlalchemy as sa
from tests.control.test_dispatch import FakeDurable

from lockstitch.control import accounts, connections, dispatch, inboxes
from lockstitch.control import runs as runs_of
from lockstitch.control.dispatch import Dispatcher
from lockstitch.control.durable import Durable
from lockstitch.control.inboxes import SharedInboxes, open_inboxes, remove_deleted
from lockstitch.control.store.database import Store
from lockstitch.control.store.tables import inbox_state, runs
from lockstitch.core.errors import AccessError, TransientError
from lockstitch.core.model import Batch, Checkpoint, Selected
from lockstitch.sources.import_api.spec import Properties, open_source
from lockstitch.testing.postgres_server import PostgresDatabase
from lockstitch.toolkit.inbox import shared
from lockstitch.toolkit.inbox.inbox import Full
from lockstitch.toolkit.inbox.records import Records, entries_of
from lockstitch.toolkit.inbox.shared import SharedInbox

NOW = datetime.now(UTC)


@pytest.fixture
def store(postgres: PostgresDatabase) -> Iterator[Store]:
    store = Store(postgres.uri)
    store.migrate()
    yield store
    store.close()


def _source(store: Store, name: str = "pushed") -> int:
    with store.begin() as db:
        account_id = accounts.insert(db, {**accounts.FIRST, "email": f"{name}@example.com"}, NOW)
        values = {"account_id": account_id, "kind": "source", "type": "import_api", "name": name}
        return connections.insert(db, {**values, "properties": {}, "secrets": {}}, NOW)


@pytest.fixture
def source_id(store: Store) -> int:
    return _source(store)


@pytest.fixture
def inbox(store: Store, source_id: int) -> Iterator[SharedInbox]:
    inbox = _inbox(store, source_id)
    yield inbox
    inbox.close()


def _inbox(store: Store, source_id: int) -> SharedInbox:
    given = SharedInboxes(store).properties(source_id)
    return SharedInbox(str(given["database"]), source_id)


def _payloads(inbox: SharedInbox, after: int = 0) -> list[bytes]:
    return [payload for _, payload in inbox.read(after)]


def test_what_is_appended_is_read_in_order_from_every_position(
    store: Store, source_id: int, inbox: SharedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "FETCH_ENTRIES", 3)
    writing = SharedInboxes(store)
    large = b"\0\xff" * 3_000_000
    assert writing.append(source_id, [b"one"])
    assert not writing.append(source_id, [b"two", b"three"])
    assert not writing.append(source_id, [large])
    assert not writing.append(source_id, [large[:9], b"last"])
    expected = [b"one", b"two", b"three", large, large[:9], b"last"]
    assert _payloads(inbox) == expected
    positions = [position for position, _ in inbox.read()]
    assert positions == sorted(set(positions))
    for number, position in enumerate(positions, 1):
        assert _payloads(inbox, position) == expected[number:]
        assert inbox.size(position) == sum(map(len, expected[number:]))


def test_an_inbox_that_was_never_written_is_empty(inbox: SharedInbox) -> None:
    assert (list(inbox.read()), inbox.size(), inbox.committed(), inbox.load_tables()) == ([], 0, 0, None)


def test_inboxes_do_not_see_each_other(store: Store, source_id: int, inbox: SharedInbox) -> None:
    other_id = _source(store, "other")
    writing = SharedInboxes(store)
    writing.append(source_id, [b"mine"])
    writing.append(other_id, [b"theirs"])
    with closing(_inbox(store, other_id)) as other:
        other.save_tables(b"{}")
        other.trim(2**62)
    assert _payloads(inbox) == [b"mine"]
    assert inbox.load_tables() is None
    assert writing.unread() == [source_id]
    assert writing.kept() == {source_id, other_id}


def test_trimming_removes_and_remembers(store: Store, source_id: int, inbox: SharedInbox) -> None:
    writing = SharedInboxes(store)
    writing.append(source_id, [b"one", b"two", b"three"])
    first, second, third = [position for position, _ in inbox.read()]
    inbox.trim(second)
    assert (_payloads(inbox), inbox.committed(), inbox.size()) == ([b"three"], second, 5)
    inbox.trim(first)
    assert inbox.committed() == second
    inbox.trim(third)
    assert (inbox.size(), writing.unread()) == (0, [])
    assert writing.append(source_id, [b"four"])
    assert _payloads(inbox, third) == [b"four"]
    with store.read() as db:
        assert db.scalar(sa.select(inbox_state.c.bytes)) == 4


def test_positions_grow_also_where_the_state_was_lost_or_the_clock_goes_back(
    store: Store, source_id: int, inbox: SharedInbox
) -> None:
    writing = SharedInboxes(store)
    writing.append(source_id, [b"one"])
    ((before, _),) = inbox.read()
    writing.remove([source_id])
    assert (_payloads(inbox), writing.kept()) == ([], set())
    writing.append(source_id, [b"two"])
    assert _payloads(inbox, before) == [b"two"]
    with store.begin() as db:
        db.execute(sa.update(inbox_state).values(last_position=2**62))
    writing.append(source_id, [b"three"])
    assert [position for position, _ in inbox.read(2**62)] == [2**62 + 1]


def test_threads_push_while_a_reader_follows(store: Store, source_id: int, inbox: SharedInbox) -> None:
    """Nothing is skipped by one that goes on from the last position it saw, and each thread's come in their order."""
    count = 150

    def push(name: int) -> None:
        # A store of its own: as on machines of their own.
        own = Store(store.url)
        for number in range(count):
            SharedInboxes(own).append(source_id, [b"%d %d %d" % (name, number, part) for part in range(number % 3 + 1)])
        own.close()

    threads = [threading.Thread(target=push, args=(name,)) for name in range(2)]
    for thread in threads:
        thread.start()
    seen: list[tuple[int, ...]] = []
    position = 0
    while True:
        was_alive = any(thread.is_alive() for thread in threads)
        for now_at, payload in inbox.read(position):
            assert now_at > position
            position = now_at
            seen.append(tuple(map(int, payload.split())))
            if len(seen) % 50 == 0:
                inbox.trim(position)
        if not was_alive:
            break
    for name in range(2):
        mine = [one[1:] for one in seen if one[0] == name]
        assert mine == [(number, part) for number in range(count) for part in range(number % 3 + 1)]
    assert len(seen) == sum(number % 3 + 1 for number in range(count)) * 2


def test_a_push_that_has_its_position_holds_up_the_next_until_it_is_there(
    store: Store, source_id: int, inbox: SharedInbox
) -> None:
    writing = SharedInboxes(store)
    writing.append(source_id, [b"first"])
    with store.begin() as slow:
        writing._append(slow, source_id, [b"slow"], 4)  # pyright: ignore[reportPrivateUsage]
        later = threading.Thread(target=writing.append, args=(source_id, [b"later"]))
        later.start()
        later.join(0.3)
        assert later.is_alive()
        assert _payloads(inbox) == [b"first"]
    later.join(10)
    assert _payloads(inbox) == [b"first", b"slow", b"later"]


def test_a_push_that_fails_half_way_leaves_nothing(store: Store, source_id: int, inbox: SharedInbox) -> None:
    writing = SharedInboxes(store)
    writing.append(source_id, [b"one"])
    with store.engine.connect() as db:
        writing._append(db, source_id, [b"two"], 3)  # pyright: ignore[reportPrivateUsage]
    writing.append(source_id, [b"three"])
    assert _payloads(inbox) == [b"one", b"three"]
    assert inbox.size() == 8


def test_it_takes_no_more_than_its_bytes(
    store: Store, source_id: int, inbox: SharedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inboxes, "LARGEST", 1_000)
    writing = SharedInboxes(store)
    writing.append(source_id, [b"x" * 600, b"y" * 400])
    with pytest.raises(Full, match="takes no 1 bytes more: it holds at most 1000 bytes") as full:
        writing.append(source_id, [b"z"])
    assert full.value.hint
    ((first, _), _) = inbox.read()
    inbox.trim(first)
    with pytest.raises(Full):
        writing.append(source_id, [b"z" * 601])
    writing.append(source_id, [b"z" * 600])
    assert inbox.size() == 1_000


def test_it_takes_no_more_while_what_is_old_is_not_loaded(
    store: Store, source_id: int, inbox: SharedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = SharedInboxes(store)
    writing.append(source_id, [b"old"])
    monkeypatch.setattr(inboxes, "OLDEST", timedelta(0))
    with pytest.raises(Full, match="while something waits for more than 0 days"):
        writing.append(source_id, [b"new"])
    ((position, _),) = inbox.read()
    inbox.trim(position)
    writing.append(source_id, [b"new"])
    assert _payloads(inbox) == [b"new"]


def test_a_database_that_does_not_answer_is_a_passing_trouble() -> None:
    gone = Store("postgresql://u:s3cret@127.0.0.1:1/none")
    with pytest.raises(TransientError) as refused:
        SharedInboxes(gone).append(1, [b"a customer's name"])
    assert "s3cret" not in str(refused.value)
    assert "customer" not in str(refused.value)
    with pytest.raises(TransientError) as refused:
        SharedInbox(str(SharedInboxes(gone).properties(1)["database"]), 1).size()
    assert "s3cret" not in str(refused.value)


def test_nobody_is_told_what_was_pushed_where_the_database_refuses_it(store: Store, source_id: int) -> None:
    SharedInboxes(store).append(source_id, [b"x"])
    options = {"options": "-c default_transaction_read_only=on"}
    standby = Store(sa.make_url(store.url).update_query_dict(options).render_as_string(hide_password=False))
    with pytest.raises(TransientError, match="read-only") as refused:
        SharedInboxes(standby).append(source_id, [b"a customer's name"])
    standby.close()
    assert "customer" not in str(refused.value)


def test_a_folder_that_nobody_reads_any_more_is_told(
    store: Store, source_id: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inboxes.warn_of_forgotten(store, tmp_path)
    assert caplog.text == ""
    folders = inboxes.FolderInboxes(tmp_path)
    folders.append(source_id, [b"x"])
    folders.close()
    inboxes.warn_of_forgotten(store, tmp_path)
    assert f"pushed to the sources {source_id} and are not loaded" in caplog.text


def test_a_database_without_inboxes_is_told(postgres: PostgresDatabase) -> None:
    with closing(SharedInbox(postgres.uri, 1)) as inbox, pytest.raises(AccessError, match="cannot be read") as refused:
        inbox.committed()
    assert refused.value.hint


def test_a_connection_that_was_lost_is_made_anew(store: Store, source_id: int, inbox: SharedInbox) -> None:
    SharedInboxes(store).append(source_id, [b"x"])
    assert _payloads(inbox) == [b"x"]
    with store.begin() as db:
        db.execute(sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"))
    with pytest.raises(TransientError):
        inbox.size()
    assert inbox.size() == 1


def test_a_source_reads_it_pauses_for_a_key_and_goes_on(store: Store, source_id: int) -> None:
    writing = SharedInboxes(store)
    rows = [{"id": number} for number in range(3)]
    writing.append(source_id, entries_of([Records("orders", ("id",), sequences=[1, 2, 3], rows=rows)]))
    writing.append(source_id, entries_of([Records("orders", ("id", "n"), sequences=[4], rows=[{"id": 1, "n": 1}])]))
    cursor = None
    keys: list[tuple[str, ...]] = []
    found: list[int] = []
    for _ in range(2):
        given = writing.properties(source_id)
        source = open_source(Properties(database=str(given["database"]), source_id=source_id))
        streams = source.discover()
        keys += [stream.key for stream in streams]
        (lane,) = source.lanes([Selected(stream, None) for stream in streams])
        for message in source.read(lane, cursor):
            if isinstance(message, Batch):
                found += message.sequence.to_pylist() if message.sequence is not None else []
            elif isinstance(message, Checkpoint):
                cursor = message.cursor
        source.committed(lane, cursor)
        source.close()
    assert keys == [("id",), ("id", "n")]
    assert found == [1, 2, 3, 4]
    assert writing.unread() == []


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_what_was_pushed_is_loaded_and_after_a_failure_only_a_minute_later(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "INBOX_EVERY", 0.0)
    store = _store(kind, tmp_path, request)
    all_inboxes = open_inboxes(store, tmp_path)
    clock = Dispatcher(store, cast("Durable", FakeDurable()), "a", all_inboxes)
    source_id = _source(store)
    with store.begin() as db:
        values = {"account_id": 1, "kind": "destination", "type": "duckdb", "name": "d", "properties": {}}
        destination_id = connections.insert(db, {**values, "secrets": {}}, NOW)
        connections.update(db, source_id, {"destination_id": destination_id}, NOW)

    def open_runs(seconds: float) -> list[str]:
        clock.turn(NOW + timedelta(seconds=seconds))
        with store.read() as db:
            return [row.name for row in runs_of.waiting(db)]

    assert open_runs(0) == []
    all_inboxes.append(source_id, [b"x"])
    (first,) = open_runs(1)
    assert open_runs(2) == [first]
    with store.begin() as db:
        runs_of.take(db, first, "a", NOW)
        failed = {"tap_exit_status": 0, "target_exit_status": 1, "verdict": "retry"}
        runs_of.finish(db, first, "a", failed, NOW + timedelta(seconds=3))
    assert open_runs(4) == []
    assert open_runs(62) == []
    (second,) = open_runs(64)
    assert second != first
    all_inboxes.close()
    store.close()


def _store(kind: str, folder: Path, request: pytest.FixtureRequest) -> Store:
    if kind == "postgres":
        return request.getfixturevalue("store")
    store = Store(f"sqlite:///{folder}/control.sqlite")
    store.migrate()
    return store


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_inbox_of_a_deleted_source_is_removed(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    store = _store(kind, tmp_path, request)
    all_inboxes = open_inboxes(store, tmp_path)
    deleted, busy, alive = (_source(store, name) for name in ("deleted", "busy", "alive"))
    for source_id in (deleted, busy, alive):
        all_inboxes.append(source_id, [b"x"])
    with store.begin() as db:
        for source_id in (deleted, busy):
            connections.update(db, source_id, {"deleted_at": NOW}, NOW)
        values = {"name": "r", "source_id": busy, "active_source_id": busy, "created_at": NOW}
        db.execute(sa.insert(runs).values({**values, "account_id": 1}))
    remove_deleted(all_inboxes, store)
    assert all_inboxes.kept() == {busy, alive}
    assert all_inboxes.unread() == [busy, alive]
    remove_deleted(all_inboxes, store)
    # One that was under way when its source was deleted: the next turn removes it.
    all_inboxes.append(deleted, [b"late"])
    assert all_inboxes.kept() == {deleted, busy, alive}
    remove_deleted(all_inboxes, store)
    assert all_inboxes.kept() == {busy, alive}
    all_inboxes.close()
    store.close()
