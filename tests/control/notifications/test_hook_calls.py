"""Calls to hooks, to a real server: what is sent, when it is sent again, and that it is sent once."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import ssl
import threading
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.control.notifications.scene import HERE, START, Scene, make_scene
from tests.control.notifications.servers import HookServer, hook_server, make_certificate

from lockstitch.control.messages import Committed
from lockstitch.control.notifications import hooks
from lockstitch.control.notifications.settings import Outgoing
from lockstitch.control.store.tables import hooks as hook_table
from lockstitch.core.loads import LedgerRow
from lockstitch.engine.events import LoadedStream


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene(tmp_path / "home")


@pytest.fixture
def hook() -> Generator[HookServer]:
    with hook_server() as one:
        yield one


def _bodies(hook: HookServer) -> list[Any]:
    return [json.loads(body) for _, _, body in hook.requests]


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_the_documented_payload_is_sent_literally(scene: Scene, hook: HookServer):
    """Section 16's example; what only S3 destinations add is left out."""
    scene.add_hook(hook.url)
    bookmark = ("2018-12-31T00:00:00Z", "2018-12-31T00:00:00Z")
    stream = LoadedStream(
        "orders",
        "orders",
        0,
        visible=True,
        replaced=False,
        replication_key="updated_at",
        bookmark=bookmark,
        extracted_at=datetime(2019, 7, 15, 14, 43, 9, 30_000, tzinfo=UTC),
    )
    ledger = LedgerRow("orders", read=111, inserted=60, updated=40, rejected=11)
    batched_at = datetime(2019, 7, 15, 14, 45, 8, 26_000, tzinfo=UTC)
    assert scene.load(Committed((ledger,), (stream,), batched_at)) == 1
    assert scene.deliverer().turn() == 1
    ((path, headers, body),) = hook.requests
    assert path == "/hook"
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == "StitchLoadingWebhook"
    assert json.loads(body) == {
        "version": "1.0",
        "minimum_sdc_batched_at": "2019-07-15T14:45:08.026Z",
        "integration_name": "shopify",
        "new_version": False,
        "source_root_table_name": "orders",
        "destination_root_table_name": "orders",
        "table_version": 0,
        "tables": [
            {
                "source_table_name": "orders",
                "destination_table_name": "orders",
                "num_rows": 100,
                "num_rows_rejected": 11,
                "bookmark_metadata": [
                    {
                        "key": "updated_at",
                        "max_value": "2018-12-31T00:00:00Z",
                        "min_value": "2018-12-31T00:00:00Z",
                    }
                ],
                "max_time_extracted": "2019-07-15T14:43:09.030Z",
            }
        ],
    }


def test_a_call_is_signed_with_the_hooks_secret(scene: Scene, hook: HookServer):
    hook_id = scene.add_hook(hook.url)
    scene.load()
    scene.deliverer().turn()
    with scene.server.read() as db:
        secret = hooks.secret_of(db, scene.server.keyring, scene.account_id, hook_id)
        stored = db.execute(sa.select(hook_table.c.secret)).scalar_one()
    assert secret is not None
    assert secret not in stored
    ((_, headers, body),) = hook.requests
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Lockstitch-Signature"] == f"sha256={expected}"
    assert headers["X-Lockstitch-Delivery"] == str(scene.outbox()[0].id)


def test_each_root_table_is_told_with_its_subtables(scene: Scene, hook: HookServer):
    scene.add_hook(hook.url)
    load = Committed(
        (
            LedgerRow("orders", read=3, inserted=3),
            LedgerRow("orders__order_items", read=9, inserted=9),
            LedgerRow("orders__order_items__taxes", read=2, inserted=1, updated=1),
            LedgerRow("orders_archive", read=4, rejected=4),
            LedgerRow("users"),
            LedgerRow("pages", read=5, inserted=5),
        ),
        (
            LoadedStream("Orders", "orders", 1700000000000, True, True),
            LoadedStream("orders-archive", "orders_archive", 0, False, False, "id", ("1", "4")),
            LoadedStream("users", "users", 0, True, False),
            LoadedStream("pages", "pages", 0, False, False),
        ),
    )
    assert scene.load(load) == 2
    scene.deliverer().turn()
    orders, archive = _bodies(hook)
    assert orders["source_root_table_name"] == "Orders"
    assert orders["destination_root_table_name"] == "orders"
    assert (orders["new_version"], orders["table_version"]) == (True, 1700000000000)
    names = [(one["source_table_name"], one["destination_table_name"], one["num_rows"]) for one in orders["tables"]]
    assert names == [
        ("Orders", "orders", 3),
        ("order_items", "orders__order_items", 9),
        ("taxes", "orders__order_items__taxes", 2),
    ]
    assert [one["bookmark_metadata"] for one in orders["tables"]] == [[], [], []]
    (table,) = archive["tables"]
    assert (table["num_rows"], table["num_rows_rejected"], table["bookmark_metadata"]) == (0, 4, None)


def test_a_version_that_many_loads_fill_is_told_once_it_is_there(scene: Scene, hook: HookServer):
    scene.add_hook(hook.url)
    filling = LoadedStream("orders", "orders", 5, visible=False, replaced=False)
    published = LoadedStream("orders", "orders", 5, visible=True, replaced=True)
    assert scene.load(Committed((LedgerRow("orders", read=100, inserted=100),), (filling,))) == 0
    assert scene.load(Committed((LedgerRow("orders", read=20, inserted=19, total=118),), (published,))) == 1
    scene.deliverer().turn()
    (payload,) = _bodies(hook)
    assert payload["tables"][0]["num_rows"] == 118
    assert payload["new_version"] is True


def test_only_enabled_hooks_of_the_sources_destination_are_told(scene: Scene, hook: HookServer):
    assert scene.load() == 0
    first, second = scene.add_hook(hook.url + "/1"), scene.add_hook(hook.url + "/2")
    with scene.server.write() as db:
        hooks.change(db, scene.account_id, second, {"enable": False}, scene.moment)
    assert scene.load() == 1
    with scene.server.write() as db:
        hooks.change(db, scene.account_id, second, {"enable": True}, scene.moment)
    assert scene.load() == 2
    with scene.server.write() as db:
        hooks.change(db, scene.account_id, first, {"enable": False}, scene.moment)
    scene.deliverer().turn()
    assert [path for path, _, _ in hook.requests] == ["/hook/2"]
    unsent = [row for row in scene.outbox() if row.delivered_at is None]
    assert [row.last_error for row in unsent] == ["the hook is disabled"] * 2
    with scene.server.write() as db:
        hooks.delete(db, scene.account_id, first, scene.moment)
    assert [row.hook_id for row in scene.outbox()] == [second]


def test_a_load_that_is_undone_tells_nobody(scene: Scene, hook: HookServer):
    scene.add_hook(hook.url)

    class Undone(Exception):
        pass

    def undone() -> None:
        with scene.server.write() as db:
            from tests.control.notifications.scene import LOAD

            from lockstitch.control.notifications import payload

            assert payload.after_load(db, scene.source(), LOAD, scene.moment) == 1
            raise Undone

    with pytest.raises(Undone):
        undone()
    assert scene.deliverer().turn() == 0


# --- again and again --------------------------------------------------------------------------------------------------


def test_a_call_is_repeated_five_times_and_then_given_up(scene: Scene, hook: HookServer):
    hook_id = scene.add_hook(hook.url)
    scene.load()
    hook.status = 503
    deliverer = scene.deliverer()
    assert deliverer.turn() == 1
    for number, wait in enumerate((10, 30, 90, 270, 810), start=1):
        assert scene.raised() == []
        scene.later(seconds=wait - 0.001)
        assert deliverer.turn() == 0
        scene.later(seconds=0.001)
        assert deliverer.turn() == 1
        assert len(hook.requests) == number + 1
    row = scene.outbox()[0]
    assert (row.attempts, row.due_at, row.given_up_at) == (6, None, scene.moment)
    assert row.last_error == "127.0.0.1 answered 503"
    scene.later(days=1)
    assert deliverer.turn() == 0
    (raised,) = scene.raised()
    assert raised.event == "undeliverable-post-load"
    assert raised.error == "127.0.0.1 answered 503"
    assert raised.open_topic == f"{scene.account_id} undeliverable-post-load hook {hook_id}"
    assert len({headers["X-Lockstitch-Delivery"] for _, headers, _ in hook.requests}) == 1
    # The next call that gets through ends the trouble.
    hook.status = 204
    scene.load()
    assert deliverer.turn() == 1
    assert scene.open_events() == []
    assert scene.raised()[0].resolved_at == scene.moment


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 500])
def test_anything_but_2xx_is_repeated_and_no_redirect_is_followed(scene: Scene, hook: HookServer, status: int):
    scene.add_hook(hook.url)
    scene.load()
    hook.status, hook.location = status, f"http://127.0.0.1:{hook.port}/elsewhere"
    scene.deliverer().turn()
    assert [path for path, _, _ in hook.requests] == ["/hook"]
    assert scene.outbox()[0].due_at == START + timedelta(seconds=10)


def test_a_hook_without_an_answer_in_time_is_repeated(scene: Scene, hook: HookServer):
    scene.add_hook(hook.url)
    scene.load()
    hook.hold = threading.Event()
    scene.deliverer(seconds=0.2).turn()
    assert scene.outbox()[0].last_error == "127.0.0.1 did not answer within 0.2 seconds"
    hook.hold.set()


def test_a_hook_that_cannot_be_connected_to_is_repeated(scene: Scene):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    scene.add_hook(f"http://127.0.0.1:{port}/")
    scene.load()
    scene.deliverer().turn()
    (row,) = scene.outbox()
    assert "refused" in row.last_error
    assert row.due_at == START + timedelta(seconds=10)


def test_two_deliverers_at_once_send_once(scene: Scene, hook: HookServer):
    for _ in range(3):
        scene.add_hook(hook.url)
    for _ in range(10):
        scene.load()
    deliverers = [scene.deliverer() for _ in range(4)]
    counts: list[int] = []
    ready = threading.Barrier(len(deliverers))

    def work(number: int) -> None:
        ready.wait()
        counts.append(deliverers[number].turn())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(deliverers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent = [headers["X-Lockstitch-Delivery"] for _, headers, _ in hook.requests]
    assert len(sent) == len(set(sent)) == 30
    assert sum(counts) == 30
    assert all(row.attempts == 1 and row.delivered_at is not None for row in scene.outbox())


def test_a_slow_hook_holds_up_only_its_own_calls(scene: Scene, hook: HookServer):
    with hook_server() as slow:
        slow.hold = threading.Event()
        scene.add_hook(slow.url)
        scene.add_hook(hook.url)
        for _ in range(3):
            scene.load()
        deliverer = scene.deliverer()
        thread = threading.Thread(target=deliverer.turn)
        thread.start()
        while not slow.requests:
            assert thread.is_alive()
        assert deliverer.turn() == 3
        assert (len(hook.requests), len(slow.requests)) == (3, 1)
        slow.hold.set()
        thread.join()
        assert len(slow.requests) == 3


def test_a_call_whose_process_died_is_made_again(scene: Scene, hook: HookServer):
    from lockstitch.control.notifications import deliveries

    scene.add_hook(hook.url)
    scene.load()
    first = deliveries.claim(scene.server.store, ("hook",), set(), scene.moment)
    assert first is not None
    assert scene.deliverer().turn() == 0
    scene.later(minutes=10)
    assert scene.deliverer().turn() == 1
    # Should the first one live after all, what it writes is void.
    with scene.server.write() as db:
        assert not deliveries.given_up(db, first, "too late", scene.moment)
    (row,) = scene.outbox()
    assert row.delivered_at == scene.moment
    assert row.given_up_at is None


def test_a_call_that_killed_its_process_every_time_is_given_up(scene: Scene, hook: HookServer):
    from lockstitch.control.notifications import deliveries

    scene.add_hook(hook.url)
    scene.load()
    for _ in range(6):
        assert deliveries.claim(scene.server.store, ("hook",), set(), scene.moment) is not None
        scene.later(minutes=10)
    assert scene.deliverer().turn() == 1
    assert hook.requests == []
    assert scene.outbox()[0].given_up_at == scene.moment
    assert scene.open_events() == ["undeliverable-post-load"]


# --- where it may be sent to ------------------------------------------------------------------------------------------


def test_an_address_near_the_server_is_refused_and_told(tmp_path: Path, hook: HookServer):
    scene = make_scene(tmp_path / "home", Outgoing(plain_hooks=True))
    for host in ("127.0.0.1", "2130706433", "localhost", "[::ffff:127.0.0.1]"):
        scene.add_hook(f"http://{host}:{hook.port}/")
    scene.load()
    assert scene.deliverer().turn() == 4
    assert hook.requests == []
    assert all("not a public address" in row.last_error for row in scene.outbox())


def test_a_plain_hook_is_not_called_where_only_https_is_allowed(tmp_path: Path, hook: HookServer):
    scene = make_scene(tmp_path / "home", Outgoing(allowed=HERE))
    scene.add_hook(hook.url)
    scene.load()
    scene.deliverer().turn()
    assert hook.requests == []
    assert scene.outbox()[0].last_error == "127.0.0.1: only HTTPS addresses are called"


def test_a_switched_off_server_calls_nobody(tmp_path: Path, hook: HookServer):
    scene = make_scene(tmp_path / "home", Outgoing(allowed=HERE, plain_hooks=True))
    scene.add_hook(hook.url)
    scene.load()
    off = replace(scene.server.settings.outgoing, hooks=False)
    scene.server.settings = replace(scene.server.settings, outgoing=off)
    scene.deliverer().turn()
    assert hook.requests == []
    assert scene.raised() == []
    assert scene.outbox()[0].given_up_at == scene.moment


def test_a_hook_is_called_over_tls_by_its_name(tmp_path: Path):
    scene = make_scene(tmp_path / "home", Outgoing(allowed=HERE))
    good, bad = make_certificate(tmp_path, "localhost"), make_certificate(tmp_path, "elsewhere.example")
    trust = ssl.create_default_context(cafile=str(good))
    trust.load_verify_locations(str(bad))
    with hook_server(good) as right, hook_server(bad) as wrong:
        scene.add_hook(f"https://localhost:{right.port}/secret-path")
        scene.add_hook(f"https://localhost:{wrong.port}/secret-path")
        scene.load()
        scene.deliverer(tls=trust).turn()
        assert len(right.requests) == 1
        assert right.requests[0][1]["Host"] == f"localhost:{right.port}"
        assert wrong.requests == []
    delivered, refused = scene.outbox()
    assert delivered.delivered_at is not None
    assert "ertificate" in refused.last_error
    assert "secret-path" not in refused.last_error


# --- in its threads ---------------------------------------------------------------------------------------------------


def test_a_deliverer_works_by_itself_until_it_is_stopped(scene: Scene, hook: HookServer):
    scene.add_hook(hook.url)
    scene.load()
    deliverer = scene.deliverer()
    deliverer.start()
    for _ in range(500):
        if scene.outbox()[0].delivered_at is not None:
            break
        threading.Event().wait(0.01)
    deliverer.stop()
    assert len(hook.requests) == 1
    scene.load()
    assert deliverer.turn() == 0


def test_old_deliveries_are_deleted(scene: Scene, hook: HookServer):
    scene.add_hook(hook.url)
    scene.load()
    deliverer = scene.deliverer()
    deliverer.turn()
    scene.later(days=61)
    scene.load()
    deliverer.turn()
    assert len(scene.outbox()) == 1
