"""Settings of a Close source, and a tap's state: what is wrong is told in words that help."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lockstitch.connectors import find_connector, parse_properties
from lockstitch.core.errors import SettingsError
from lockstitch.sources.closeio.spec import Properties, open_source
from sources.alone import read_alone
from sources.closeio.account import Account, ago

LEAST: dict[str, Any] = {"api_key": "api_1.secret", "start_date": "2026-01-01T00:00:00Z"}


def test_a_key_and_a_day_are_enough(tmp_path: Path) -> None:
    connector = find_connector("source", "platform.closeio")
    properties = parse_properties(connector, {**LEAST, "frequency_in_minutes": "30", "image_version": "1.latest"})
    open_source(properties, spool=tmp_path / "spool").close()
    assert connector.secrets(LEAST) == {"api_1.secret"}


@pytest.mark.parametrize("text", ["2026-05-31T23:30:00Z", "2026-06-01T01:30:00+02:00", "2026-05-31"])
def test_the_start_is_midnight_of_a_day_in_utc(account: Account, text: str) -> None:
    account.activity(1, datetime(2026, 5, 30, 23, 59, 59, tzinfo=UTC))
    account.activity(2, datetime(2026, 5, 31, tzinfo=UTC))
    assert account.read(start_date=text, activities_window_seconds=0).ids("activities") == ["acti_00002"]


def test_a_start_that_is_to_come_is_told_and_can_be_corrected(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    account.lead(1, ago(days=1))
    account.activity(1, ago(days=1))
    account.event(1, ago(days=1))
    early = account.read(start_date="2027-01-01")
    assert early.streams() == set()
    assert "leads: nothing comes before start_date, 2027-01-01T00:00:00+00:00, which is to come" in caplog.messages
    later = account.read(early.cursor, start_date="2026-06-01")
    assert later.streams() == {"leads", "activities", "event_log"}


def test_a_start_that_was_to_come_comes(account: Account) -> None:
    early = account.read(start_date="2026-06-20")
    account.data.clock.advance(timedelta(days=6))
    account.lead(1, ago(days=-4))
    account.lead(2, ago(days=-5.5))
    assert account.read(early.cursor, start_date="2026-06-20").ids("leads") == ["lead_00002"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", ""),
        ("api_key", "  "),
        ("api_key", "clé"),
        ("start_date", "yesterday"),
        ("start_date", ""),
        ("start_date", "0001-01-01"),
        ("start_date", "2026-13-01"),
        ("base_url", "api.close.com"),
        ("base_url", "ftp://api.close.com"),
        ("date_window", 0),
        ("date_window", 10**12),
        ("activities_window_seconds", -1),
        ("activities_window_seconds", 10**12),
        ("user_agent", "we\nand you"),
        ("user_agent", "wé"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=f"source.properties.{name}") as raised:
        open_source(Properties(**{**LEAST, name: value}))
    assert raised.value.hint
    if name == "api_key" and value.strip():
        assert value not in str(raised.value)


def test_a_state_is_taken_over_without_its_offsets(account: Account) -> None:
    account.lead(1, ago(days=2))
    account.lead(2, ago(days=1))
    account.task(1, ago(days=2))
    state = {
        "currently_syncing": "leads",
        "bookmarks": {
            "leads": {"date_updated": ago(days=1).isoformat(), "offset": {"skip": 300}},
            "tasks": {},
            "users": None,
            "contacts": {"date_updated": "2026-06-01T00:00:00Z"},
        },
    }
    cursor: Any = account.source().cursors(state)["closeio"]
    assert list(cursor["streams"]) == ["leads"]
    read = account.read(cursor)
    assert read.ids("leads") == ["lead_00002"]
    assert read.ids("tasks") == ["task_00001"]


@pytest.mark.parametrize("state", [{}, {"bookmarks": None}, {"bookmarks": []}, {"bookmarks": {"leads": {}}}], ids=repr)
def test_a_state_without_bookmarks_gives_no_cursor(account: Account, state: dict[str, Any]) -> None:
    assert account.source().cursors(state) == {}


@pytest.mark.parametrize("text", ["soon", 17, True])
def test_a_bookmark_that_is_no_moment_is_named(account: Account, text: Any) -> None:
    with pytest.raises(SettingsError, match="the state's bookmark of tasks is") as raised:
        account.source().cursors({"bookmarks": {"tasks": {"date_updated": text}}})
    assert raised.value.hint


def test_a_cursor_that_was_never_given_is_refused(account: Account) -> None:
    with pytest.raises(SettingsError, match="no position in a Close account"):
        account.read({"leads": "2026-01-01"})


def test_a_key_of_another_organisation_is_refused_and_another_key_of_the_same_one_is_not(account: Account) -> None:
    account.lead(1, ago(days=1), organization_id="orga_1")
    first = account.read()
    account.key = "api_new.key"
    account.lead(2, ago(hours=2), organization_id="orga_1")
    second = account.read(first.cursor)
    assert second.ids("leads") == ["lead_00002"]
    account.lead(3, ago(hours=1), organization_id="orga_2")
    with pytest.raises(SettingsError, match="reads the organisation orga_2, and all before is of orga_1") as told:
        account.read(second.cursor)
    assert told.value.hint


def test_nothing_is_asked_before_it_is_needed(tmp_path: Path) -> None:
    source = open_source(Properties(**LEAST), spool=tmp_path / "spool")
    source.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("has_spool", [True, False])
def test_the_limit_is_shared_below_the_home_folder(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_spool: bool
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("LOCKSTITCH_HOME", str(tmp_path / "another" if has_spool else home))
    properties = Properties(api_key=account.key, start_date="2026-05-01", base_url=f"{account.url}/api/v1")
    source = open_source(properties, spool=home / "spool" if has_spool else None)
    source.check()
    source.close()
    assert len(list((home / "quotas").iterdir())) == 1


def test_arrow_is_loaded_with_the_first_record_only(account: Account, tmp_path: Path) -> None:
    # No activities: those of the last day before the newest one are read again each time.
    account.lead(1, ago(days=10))
    account.task(1, ago(days=10))
    account.user(1, ago(days=10))
    account.event(1, ago(days=10))
    properties = {"api_key": account.key, "start_date": "2026-05-01", "base_url": f"{account.url}/api/v1"}
    cursor = account.read().cursor
    alone = read_alone("platform.closeio", properties, {"closeio": cursor}, tmp_path / "home")
    assert (alone.messages, alone.heavy) == ({"Checkpoint"}, [])
    account.lead(2, ago(days=1))
    alone = read_alone("platform.closeio", properties, {"closeio": cursor}, tmp_path / "home")
    assert alone.messages == {"Checkpoint", "Batch"}
    assert "pyarrow" in alone.heavy
