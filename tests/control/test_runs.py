"""Runs on a real server: started, stopped, paused, killed, and what is told of each."""

from __future__ import annotations

import signal
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest
from tests.control.serving import Served, extraction_of, serving, start, until
from tests.control.things import (
    ROWS_A_PAGE,
    begin,
    change,
    children_of,
    filled_things,
    log_of,
    make_destination,
    reading,
    rows,
    things,
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / "home"


@pytest.fixture(scope="module")
def served(home: Path, acme_site: Path) -> Generator[Served]:
    del acme_site
    with serving(home) as made:
        yield made


@pytest.fixture(scope="module")
def warehouse(served: Served, home: Path) -> Path:
    path = home.parent / "warehouse.duckdb"
    make_destination(served, path)
    return path


def test_a_stopped_run_loads_what_it_has_read_and_the_next_one_goes_on(served: Served, warehouse: Path):
    source = filled_things(served, "stopped", pause=0.1, checkpoints=100)
    job = begin(served, source)
    reading(served, job)
    assert served.call("POST", f"/v4/sources/{source}/sync")["error"]["type"] == "already_running"
    assert served.call("DELETE", f"/v4/sources/{source}/sync") == {"status": 200}

    ended = extraction_of(served, job)
    assert (ended["tap_exit_status"], ended["target_exit_status"]) == (0, 0), ended
    assert "nothing more was read, and what had been read is loaded" in log_of(served, job)
    found = rows(warehouse, "stopped")
    assert ROWS_A_PAGE < found < 100 * ROWS_A_PAGE

    change(served, source, pause=0)
    assert extraction_of(served, begin(served, source))["tap_exit_status"] == 0
    assert rows(warehouse, "stopped") == 100 * ROWS_A_PAGE


def test_a_stop_of_nothing_is_no_error_and_stops_nothing_later(served: Served, warehouse: Path):
    source = things(served, "idle")
    assert served.call("DELETE", f"/v4/sources/{source}/sync") == {"status": 200}
    extraction_of(served, begin(served, source))
    assert rows(warehouse, "idle") == 3 * ROWS_A_PAGE


def test_a_killed_child_ends_its_run_and_the_next_one_reads_all(served: Served, warehouse: Path):
    source = things(served, "killed", pause=0.1, checkpoints=20)
    job = begin(served, source)
    reading(served, job)
    (child,) = children_of(served.process.pid)
    child.kill()

    ended = extraction_of(served, job)
    assert [ended[f"{phase}_exit_status"] for phase in ("discovery", "tap", "target")] == [None] * 3
    assert [ended[f"{phase}_description"] for phase in ("discovery", "tap", "target")] == ["Terminated"] * 3
    assert "Tap failed with code -9." in log_of(served, job)
    assert rows(warehouse, "killed") == 0

    change(served, source, pause=0)
    ended = extraction_of(served, begin(served, source))
    assert ended["tap_exit_status"] == 0, ended
    assert rows(warehouse, "killed") == 20 * ROWS_A_PAGE


def test_runs_go_on_although_the_process_that_forks_them_is_killed(served: Served, warehouse: Path):
    source = things(served, "unforked")
    (forker,) = [
        one for one in psutil.Process(served.process.pid).children() if "forkserver" in " ".join(one.cmdline())
    ]
    forker.kill()
    until(lambda: forker.status() == psutil.STATUS_ZOMBIE, "the fork server to be dead")
    assert extraction_of(served, begin(served, source))["tap_exit_status"] == 0
    assert rows(warehouse, "unforked") == 3 * ROWS_A_PAGE


def test_a_deleted_source_stops_reading_and_what_it_read_is_loaded(served: Served, warehouse: Path):
    source = filled_things(served, "dropped", pause=0.1, checkpoints=100)
    job = begin(served, source)
    reading(served, job)
    served.call("DELETE", f"/v4/sources/{source}")
    ended = extraction_of(served, job)
    assert ended["tap_exit_status"] == 0, ended
    assert ROWS_A_PAGE < rows(warehouse, "dropped") < 100 * ROWS_A_PAGE
    assert served.call("POST", f"/v4/sources/{source}/sync", status=400)["error"]["type"] == "invalid_source"


def test_a_paused_source_runs_by_hand_alone_and_an_unpaused_one_by_its_schedule(served: Served, warehouse: Path):
    source = things(served, "paused")
    assert served.call("GET", f"/v4/sources/{source}")["schedule"] is None
    job = begin(served, source)
    extraction_of(served, job)
    told = served.call("GET", f"/v4/sources/{source}")
    assert told["paused_at"] is not None
    assert told["schedule"] is None
    told = served.call("PUT", f"/v4/sources/{source}", {"paused_at": None})
    assert told["schedule"]["next_fire_time"] is not None
    assert rows(warehouse, "paused") == 3 * ROWS_A_PAGE


@pytest.mark.parametrize(
    ("properties", "phase", "text"),
    [
        ({"fails_at": 1}, "tap", "page 1 is cut"),
        ({"host": "refused"}, "discovery", "is refused"),
        ({"host": "broken"}, "discovery", "RuntimeError"),
    ],
)
def test_an_error_of_the_source_is_told_in_its_phase_without_the_secret(
    served: Served, warehouse: Path, properties: dict[str, object], phase: str, text: str
):
    del warehouse
    source = things(served, f"{phase}_{text.split(maxsplit=1)[0].lower()}")
    change(served, source, **properties)
    job = begin(served, source)
    ended, log = extraction_of(served, job), log_of(served, job)
    assert ended[f"{phase}_exit_status"] == 1
    assert text in ended[f"{phase}_description"]
    line = f"{phase.capitalize()} failed with code 1 and error message: "
    assert f"Exit status is: {'' if phase == 'discovery' else 'Discovery succeeded. '}{line}" in log
    assert (ended["tap_exit_status"] is None) == (phase == "discovery")
    assert "s3cret" not in log + str(ended)


def test_an_error_of_the_destination_is_told_of_the_target_and_the_loads(served: Served, home: Path):
    path = home.parent / "gone" / "warehouse.duckdb"
    path.parent.mkdir()
    source = things(served, "refused_load", make_destination(served, path))
    path.unlink(missing_ok=True)
    path.mkdir()  # no database can be opened here
    job = begin(served, source)
    ended, log = extraction_of(served, job), log_of(served, job)
    assert (ended["discovery_exit_status"], ended["tap_exit_status"], ended["target_exit_status"]) == (0, 0, 1), ended
    assert "Tap succeeded. Target failed with code 1 and error message: " in log
    loads = served.call("GET", f"/v4/{served.account_id}/loads")["data"]
    (load,) = [one for one in loads if one["source_name"] == "refused_load"]
    assert load["error_state"]["notification_data"]["message"] == ended["target_description"]


def test_a_graceful_stop_hands_a_run_over_and_it_goes_on_under_its_name(tmp_path: Path, acme_site: Path):
    del acme_site
    home, warehouse = tmp_path / "home", tmp_path / "warehouse.duckdb"
    with serving(home) as served:
        make_destination(served, warehouse)
        source = filled_things(served, "handed", pause=0.1, checkpoints=60)
        job = begin(served, source)
        reading(served, job)
        assert served.stop() == 0
        assert ROWS_A_PAGE < rows(warehouse, "handed") < 60 * ROWS_A_PAGE
        token, account = served.token, served.account_id
    again = start(home)
    try:
        again.token, again.account_id = token, account
        assert again.call("POST", f"/v4/sources/{source}/sync")["error"]["type"] == "already_running"
        assert extraction_of(again, job)["tap_exit_status"] == 0
        assert rows(warehouse, "handed") == 60 * ROWS_A_PAGE
        assert again.stop() == 0
    finally:
        again.close()


def test_a_killed_server_leaves_no_child_and_its_run_is_done_once_after_a_restart(tmp_path: Path, acme_site: Path):
    del acme_site
    home, warehouse = tmp_path / "home", tmp_path / "warehouse.duckdb"
    with serving(home) as served:
        make_destination(served, warehouse)
        source = things(served, "crashed", pause=0.1, checkpoints=30)
        job = begin(served, source)
        reading(served, job)
        (child,) = children_of(served.process.pid)
        served.process.send_signal(signal.SIGKILL)
        until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "the child to end", 10)
        token, account = served.token, served.account_id
    again = start(home)
    try:
        again.token, again.account_id = token, account
        assert extraction_of(again, job)["tap_exit_status"] == 0
        assert rows(warehouse, "crashed") == 30 * ROWS_A_PAGE
    finally:
        again.close()
