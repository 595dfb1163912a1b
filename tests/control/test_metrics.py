"""Metrics: what is counted here, what is read from the store, who may see it; and what every answer carries."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families
from tests.control.serving import serving

from lockstitch.api.app import make_app
from lockstitch.control import accounts, checks, connections, metrics
from lockstitch.control.server import Server, Settings, open_server
from lockstitch.control.store.tables import runs as run_table
from lockstitch.control.store.tables import workers
from lockstitch.core.errors import SettingsError
from lockstitch.testing.postgres_server import PostgresDatabase

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_store_is_told_as_it_stands(tmp_path: Path):
    server = open_server(Settings(tmp_path))
    ended: list[tuple[dict[str, Any], timedelta]] = [
        ({"tap_exit_status": 0, "target_exit_status": 0, "rows": 1000}, timedelta(minutes=1)),
        ({"tap_exit_status": 0, "target_exit_status": 0, "rows": 10}, timedelta(minutes=59)),
        ({"tap_exit_status": 0, "target_exit_status": 0, "rows": 5}, timedelta(minutes=61)),
        ({"tap_exit_status": 1, "verdict": "user"}, timedelta(minutes=1)),
        ({"tap_exit_status": 0, "target_exit_status": 1, "verdict": "retry"}, timedelta(minutes=1)),
        ({"tap_exit_status": 1}, timedelta(minutes=1)),
        ({}, timedelta(minutes=1)),
    ]
    with server.write() as db:
        source_id = _source(db, "first")
        for number, (values, ago) in enumerate(ended):
            _run(db, f"{number}", source_id, completion_time=NOW - ago, start_time=NOW - ago, **values)
        _run(db, "active", source_id, active_source_id=1, start_time=NOW)
        _run(db, "waiting", source_id, active_source_id=2)
        _run(db, "waiting too", source_id, active_source_id=3)
        checks.start(db, 1, source_id, NOW)
        beats = {"alive": NOW - timedelta(seconds=10), "dead": NOW - timedelta(minutes=5)}
        for name, beat in beats.items():
            db.execute(sa.insert(workers).values(executor_id=name, host="h", started_at=beat, heartbeat_at=beat))
    told = _told(server)
    assert {name: told[f'lockstitch_runs_last_hour verdict="{name}"'] for name in _VERDICTS} == {
        "succeeded": 2,
        "user": 2,
        "data": 0,
        "retry": 1,
        "bug": 0,
        "terminated": 1,
    }
    assert told["lockstitch_rows_last_hour "] == 1010
    assert told["lockstitch_runs_active "] == 1
    assert told["lockstitch_runs_queued "] == 2
    assert told["lockstitch_checks_open "] == 1
    assert told["lockstitch_workers_alive "] == 1
    assert told["process_resident_memory_bytes "] > 1e6
    assert told["lockstitch_inbox_bytes "] == 0
    (tmp_path / "inbox" / "1").mkdir(parents=True)
    (tmp_path / "inbox" / "1" / "a").write_bytes(b"12345")
    assert _told(server)["lockstitch_inbox_bytes "] == 5
    server.store.close()


_VERDICTS = ("succeeded", "user", "data", "retry", "bug", "terminated")


def test_requests_are_counted_by_route_and_not_by_what_clients_invent(tmp_path: Path):
    server = open_server(Settings(tmp_path))
    before = _told(server)
    with TestClient(make_app(server)) as client:
        for number in range(3):
            client.get(f"/v4/sources/{number}")
            client.get(f"/secret-{number}")
            client.request(f"METHOD{number}", "/v4/sources")
    after = _told(server)
    counted = {name: value - before.get(name, 0) for name, value in after.items() if "http_requests_total" in name}
    assert {name.partition(" ")[2]: value for name, value in counted.items() if value} == {
        'method="GET",route="/v4/sources/{source_id}",status="401"': 3,
        'method="GET",route="unknown",status="404"': 3,
        'method="other",route="unknown",status="404"': 3,
    }
    server.store.close()


def test_an_inbox_in_the_store_is_told_as_well(tmp_path: Path, postgres: PostgresDatabase):
    server = open_server(Settings(tmp_path, postgres.uri))
    with server.write() as db:
        source_id = _source(db, "pushed")
    assert _told(server)["lockstitch_inbox_bytes "] == 0
    server.inboxes.append(source_id, [b"12345", b"678"])
    assert _told(server)["lockstitch_inbox_bytes "] == 8
    server.store.close()


@pytest.mark.parametrize(
    ("networks", "host", "allowed"),
    [
        ("127.0.0.0/8,::1", "127.0.0.1", True),
        ("127.0.0.0/8,::1", "::1", True),
        ("127.0.0.0/8", "::ffff:127.0.0.1", True),
        ("127.0.0.0/8,::1", "10.1.2.3", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "fe80::1", False),
        ("", "127.0.0.1", False),
        ("0.0.0.0/0", "no address", False),
        ("10.0.0.0/8", None, True),
    ],
)
def test_only_allowed_networks_see_metrics(
    monkeypatch: pytest.MonkeyPatch, networks: str, host: str | None, allowed: bool
):
    monkeypatch.setenv(metrics.ENVIRONMENT, networks)
    assert metrics.is_allowed(metrics.allowed_networks(), host) is allowed


def test_a_wrong_network_is_refused_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(metrics.ENVIRONMENT, "10.0.0.0/8, everybody")
    with pytest.raises(SettingsError, match=r"LOCKSTITCH_METRICS_FROM: 'everybody'.*\nhint: give networks"):
        Settings(tmp_path)


def test_this_machine_alone_sees_them_unless_the_operator_says_more(tmp_path: Path):
    networks = (ipaddress.ip_network("10.0.0.0/8"),)
    server = open_server(Settings(tmp_path, metrics_from=networks))
    with TestClient(make_app(server)) as client:  # its address is a name
        assert client.get("/metrics").status_code == 404
        assert client.get("/metrics").json() == client.get("/nothing").json()
    server.store.close()


def test_a_server_at_work_answers_without_a_token_and_without_its_name(tmp_path: Path):
    with serving(tmp_path / "home") as served:
        answer = httpx2.get(served.address + "/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        told = _parsed(answer.text)
        assert told["lockstitch_workers_alive "] == 1
        assert told["lockstitch_dispatcher_turn_seconds_count "] >= 1
        assert told['lockstitch_http_requests_total method="POST",route="/v4/sources",status="200"'] == 1
        for path in ("/metrics", "/nothing", "/v4/sources"):
            headers = httpx2.get(served.address + path).headers
            assert "server" not in headers
            assert "uvicorn" not in str(headers)
            assert "litestar" not in str(headers).lower()


def _told(server: Server) -> dict[str, float]:
    return _parsed(metrics.exposition(server.store, server.settings.home, NOW).decode())


def _parsed(text: str) -> dict[str, float]:
    """Return every sample by its name and labels."""
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    return {f"{one.name} {_labels(one.labels)}": one.value for one in samples}


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))


def _source(db: sa.Connection, name: str) -> int:
    account_id = accounts.insert(db, accounts.FIRST, NOW)
    values = {"account_id": account_id, "kind": "source", "type": "platform.heap", "name": name}
    return connections.insert(db, {**values, "properties": {}, "secrets": {}}, NOW)


def _run(db: sa.Connection, name: str, source_id: int, **values: Any) -> None:
    db.execute(sa.insert(run_table).values(name=name, account_id=1, source_id=source_id, created_at=NOW, **values))
