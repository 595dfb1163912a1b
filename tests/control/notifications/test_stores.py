"""The same on SQLite and PostgreSQL, with several processes' worth of connections at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from tests.control.notifications.scene import Scene, make_scene
from tests.control.notifications.servers import hook_server

from lockstitch.control.notifications import deliveries, hooks, notices
from lockstitch.control.notifications.deliverer import Deliverer
from lockstitch.control.notifications.notices import Wishes
from lockstitch.control.store.database import Store
from lockstitch.testing.postgres_server import PostgresServer

FAILED = {"tap_exit_status": 1, "tap_description": "no"}


@pytest.fixture(params=["sqlite", "postgres"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Scene]:
    if request.param == "sqlite":
        yield make_scene(tmp_path / "home")
        return
    server: PostgresServer = request.getfixturevalue("postgres_18")
    database = server.create_database()
    scene = make_scene(tmp_path / "home", database_url=database.uri)
    yield scene
    scene.server.store.close()
    server.drop_database(database)


def _at_once(*works: Callable[[], object]) -> None:
    ready = threading.Barrier(len(works))
    errors: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        ready.wait()
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_deliverers_of_several_machines_send_each_call_once(scene: Scene):
    stores = [Store(scene.server.store.url) for _ in range(3)]
    with hook_server() as hook:
        for _ in range(3):
            scene.add_hook(hook.url)
        for _ in range(8):
            scene.load()
        outgoing = scene.server.settings.outgoing
        machines = [Deliverer(store, scene.server.keyring, outgoing, lambda: scene.moment) for store in stores]
        _at_once(*(machine.turn for machine in machines for _ in range(2)))
        sent = [headers["X-Lockstitch-Delivery"] for _, headers, _ in hook.requests]
    assert len(sent) == len(set(sent)) == 24
    assert all(row.attempts == 1 and row.delivered_at is not None for row in scene.outbox())
    for store in stores:
        store.close()


def test_one_delivery_is_claimed_by_one(scene: Scene):
    with hook_server() as hook:
        scene.add_hook(hook.url)
        scene.load()
        found: list[object] = []

        def claim() -> None:
            found.append(deliveries.claim(scene.server.store, ("hook",), set(), scene.moment))

        _at_once(*[claim] * 6)
    assert len([one for one in found if one is not None]) == 1


def test_trouble_that_many_see_at_once_is_raised_once(scene: Scene):
    _at_once(*[lambda: scene.ends(**FAILED)] * 6)
    assert len(scene.raised()) == len(scene.outbox()) == 1
    _at_once(*[lambda: scene.ends(tap_exit_status=0)] * 6)
    assert scene.open_events() == []
    scene.ends(**FAILED)
    assert len(scene.raised()) == 2


def test_wishes_are_kept(scene: Scene):
    with scene.server.write() as db:
        assert notices.wishes_of(db, scene.account_id) == Wishes()
        for wishes in (Wishes(True, frozenset({"loading-error"})), Wishes(False, frozenset())):
            notices.keep_wishes(db, scene.server.store, scene.account_id, wishes)
            assert notices.wishes_of(db, scene.account_id) == wishes


def test_a_deleted_hook_takes_its_calls_along(scene: Scene):
    number = scene.add_hook("http://127.0.0.1:9/")
    scene.load()
    with scene.server.write() as db:
        hooks.delete(db, scene.account_id, number, scene.moment)
    assert scene.outbox() == []
