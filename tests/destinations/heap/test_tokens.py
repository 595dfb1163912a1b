"""The variant behind a token: a bearer's, or one that client credentials give."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from tests.destinations.heap.sending import CONNECTION, ORDERS, SCHEMA, Sender, batch, event, in_order, order

from lockstitch.core.errors import AccessError, LockstitchError, SettingsError
from lockstitch.core.model import Checkpoint, Field, Stream
from lockstitch.destinations.heap.spec import Properties, open_destination
from lockstitch.engine.run import Job, run_pipeline
from lockstitch.testing.playback import Playback

SEND: Any = {"orders": [ORDERS, {"as": "add_user_properties", "identity": "email", "properties": ["sku"]}]}


def carry(sender: Sender, rows: list[dict[str, Any]], **properties: Any) -> None:
    """Run once with these properties; raise what went wrong."""
    script = [one for at, row in enumerate(rows) for one in (batch([row]), Checkpoint(at))]
    source = Playback([Stream("orders", (Field("id", "integer"),), ("id",))], script)
    destination = open_destination(Properties(send=SEND, base_url=sender.server.url, **properties))
    try:
        for lane in run_pipeline(source, destination, Job(CONNECTION, SCHEMA, None, sender.folder)).lanes:
            if lane.error is not None:
                raise lane.error
    finally:
        destination.close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTITCH_HOME", str(tmp_path / "home"))


CLIENT: dict[str, Any] = {"auth": "client_credentials", "client_id": "client", "client_secret": "test-secret"}


def test_client_credentials_get_tokens_and_new_ones_after_a_401(sender: Sender) -> None:
    rows = [order(n) for n in range(4)]
    carry(sender, rows[:2], **CLIENT)
    sender.server.expire_tokens()
    carry(sender, rows, **CLIENT)
    tracked = [one for one in sender.tracked() if one["call"] == "track"]
    assert in_order(tracked) == in_order([event(row) for row in rows])
    assert sender.server.count("/oauth/token") == 2
    assert sender.server.count("/api/") == 0


def test_wrong_credentials_are_told_by_check(sender: Sender) -> None:
    wrong: dict[str, Any] = {**CLIENT, "client_secret": "not-the-secret"}
    properties = Properties(send=SEND, base_url=sender.server.url, **wrong)
    with pytest.raises(AccessError, match="gives no token") as refused:
        open_destination(properties).check()
    assert "not-the-secret" not in str(refused.value)


def test_a_bearer_that_is_refused_is_told(sender: Sender) -> None:
    with pytest.raises(AccessError, match="Heap refuses the token: invalid_token"):
        carry(sender, [order(1)], auth="bearer", access_token="a-token-of-another")


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({}, "lacks app_id"),
        ({"auth": "bearer"}, "lacks access_token"),
        ({"auth": "client_credentials", "client_id": "c"}, "lacks client_secret"),
        ({"app_id": "1", "base_url": "heap.example"}, "base_url is 'heap.example'"),
        ({"app_id": "1", "send": {}}, "send is empty"),
    ],
)
def test_settings_that_do_not_suffice_are_refused_with_a_hint(properties: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told) as refused:
        open_destination(Properties(**{"send": SEND, **properties}))
    assert refused.value.hint


def test_the_home_of_each_environment_is_its_own(sender: Sender, tmp_path: Path) -> None:
    for app_id in ("1234567890", "another"):
        with pytest.raises(LockstitchError) if app_id == "another" else nullcontext():
            carry(sender, [order(1)], app_id=app_id)
    assert len(list((tmp_path / "home" / "heap").iterdir())) == 2
