"""Notifications and their mails: when they are raised, delayed, taken back and sent, by a real mail server."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.control.notifications.scene import START, Scene, make_scene
from tests.control.notifications.servers import MailServer, mail_server, make_certificate
from tests.planted import PASSWORD

from lockstitch.control import connections
from lockstitch.control.notifications import emails, notices
from lockstitch.control.notifications.events import EVENTS
from lockstitch.control.notifications.notices import Wishes
from lockstitch.control.notifications.settings import Outgoing, Smtp

FAILED = {"discovery_exit_status": 0, "tap_exit_status": 1, "tap_description": "401 for key abc", "verdict": "user"}
FINE = {"discovery_exit_status": 0, "tap_exit_status": 0, "target_exit_status": 0, "verdict": None}
DENIED = 'ERROR: permission denied for schema "shopify"'


@pytest.fixture
def mail() -> Generator[MailServer]:
    with mail_server() as one:
        yield one


@pytest.fixture
def scene(tmp_path: Path, mail: MailServer) -> Scene:
    return _scene(tmp_path, mail)


def _scene(tmp_path: Path, mail: MailServer, **more: Any) -> Scene:
    values: dict[str, Any] = {"host": "localhost", "port": mail.port, "security": "none", **more}
    return make_scene(tmp_path / "home", Outgoing(smtp=Smtp(sender="lockstitch@example.com", **values)))


def _unloaded(text: str, verdict: str = "user") -> dict[str, Any]:
    return {**FINE, "target_exit_status": 1, "target_description": text, "verdict": verdict}


# --- what is raised ---------------------------------------------------------------------------------------------------


def test_the_events_are_those_of_section_15():
    hours = {"platform.exit_status": 1, "loading-error": 2, "jammed-read-head": 2, "loader-tunnel-error": 2}
    hours |= {"loader-internal-error": 3, "no-schema-rights": 0, "undeliverable-post-load": 0}
    assert {event.id: event.delay for event in EVENTS.values()} == {
        name: timedelta(hours=number) for name, number in hours.items()
    }
    assert {event.id for event in EVENTS.values() if not event.may_opt_out} == {"loader-internal-error"}
    quoting = {"platform.exit_status", "loading-error", "jammed-read-head", "undeliverable-post-load"}
    assert {event.id for event in EVENTS.values() if event.shows_error} == quoting


@pytest.mark.parametrize(
    ("outcome", "event"),
    [
        (FAILED, "platform.exit_status"),
        ({"discovery_exit_status": 1, "discovery_description": "no rights"}, "platform.exit_status"),
        ({f"{phase}_description": "Terminated" for phase in ("discovery", "tap", "target")}, "platform.exit_status"),
        (_unloaded("ERROR: Disk Full", "retry"), "loading-error"),
        (_unloaded(DENIED), "no-schema-rights"),
        (_unloaded("ERROR: must be owner of relation orders"), "no-schema-rights"),
        (_unloaded("the SSH tunnel to db.example.com cannot be opened"), "loader-tunnel-error"),
        (_unloaded("ERROR: too large", "data"), "jammed-read-head"),
        (_unloaded("KeyError: 'x'", "bug"), "loader-internal-error"),
    ],
)
def test_a_runs_end_raises_what_fits(scene: Scene, outcome: dict[str, Any], event: str):
    scene.ends(**outcome)
    assert scene.open_events() == [event]
    scene.ends(**outcome)
    assert len(scene.raised()) == len(scene.outbox()) == 1
    scene.ends(**FINE)
    assert scene.open_events() == []
    assert scene.raised()[0].resolved_at == scene.moment


def test_a_run_says_nothing_of_what_it_did_not_try(scene: Scene):
    scene.ends(**_unloaded("ERROR: Disk Full"))
    scene.ends(**FAILED)
    assert scene.open_events() == ["platform.exit_status", "loading-error"]
    scene.ends(tap_exit_status=0)
    assert scene.open_events() == ["loading-error"]
    # Another trouble of the same phase takes the place of the one before.
    scene.ends(**_unloaded(DENIED))
    assert scene.open_events() == ["no-schema-rights"]


# --- when it is sent --------------------------------------------------------------------------------------------------


def test_one_mail_is_sent_after_the_delay_and_no_other_until_it_is_over(scene: Scene, mail: MailServer):
    with scene.server.write() as db:
        for address in ("ops@example.com", "off@example.com", "owner@example.com"):
            made = emails.create(db, scene.account_id, {"email_address": address}, START, permitted=True)
            if address.startswith("off"):
                emails.change(db, scene.account_id, made["id"], {"disabled_at": "2019-06-01T00:00:00Z"})
    deliverer = scene.deliverer()
    scene.ends(**FAILED)
    scene.later(minutes=30)
    scene.ends(**{**FAILED, "tap_description": "401 for key xyz"})
    scene.later(minutes=29, seconds=59)
    assert deliverer.turn() == 0
    scene.later(seconds=1)
    assert deliverer.turn() == 1
    (envelope,) = mail.envelopes
    assert envelope.sender == "lockstitch@example.com"
    assert envelope.recipients == ["owner@example.com", "ops@example.com"]
    message = envelope.message
    assert message["Subject"] == (
        "Lockstitch Notification - We're encountering some errors with your Shopify integration"
    )
    assert message["From"] == "lockstitch@example.com"
    assert message["To"] == "owner@example.com"
    assert "ops@example.com" not in message.as_string()
    text = message.get_content()
    assert "401 for key xyz" in text
    assert "Since 2026-03-01T12:00:00Z" in text
    for _ in range(5):
        scene.later(hours=1)
        scene.ends(**FAILED)
        assert deliverer.turn() == 0
    scene.ends(**FINE)
    scene.later(hours=1)
    scene.ends(**FAILED)
    scene.later(hours=1)
    assert deliverer.turn() == 1
    first, second = mail.envelopes
    assert first.message["Message-ID"] != second.message["Message-ID"]


def test_what_is_over_before_the_delay_sends_nothing(scene: Scene, mail: MailServer):
    scene.ends(**FAILED)
    scene.later(minutes=59)
    scene.ends(**FINE)
    scene.later(hours=2)
    assert scene.deliverer().turn() == 0
    assert mail.envelopes == []
    assert scene.outbox()[0].last_error == "no longer true"


def test_what_was_dismissed_is_neither_shown_nor_mailed_nor_raised_anew(scene: Scene, mail: MailServer):
    scene.ends(**FAILED)
    number = scene.raised()[0].id
    with scene.server.write() as db:
        assert not notices.dismiss(db, scene.account_id + 1, number, scene.moment)
        assert notices.dismiss(db, scene.account_id, number, scene.moment)
    scene.ends(**FAILED)
    scene.later(hours=2)
    assert scene.deliverer().turn() == 0
    assert mail.envelopes == []
    assert scene.open_events() == []
    assert len(scene.raised()) == 1


def test_the_trouble_of_a_deleted_source_is_no_trouble(scene: Scene, mail: MailServer):
    scene.ends(**FAILED)
    with scene.server.write() as db:
        connections.update(db, scene.source_id, {"deleted_at": scene.moment}, scene.moment)
    scene.later(hours=2)
    scene.deliverer().turn()
    assert mail.envelopes == []
    assert scene.open_events() == []
    assert scene.raised()[0].resolved_at == scene.moment


def test_an_account_opts_out_of_what_may_be_opted_out_of(scene: Scene, mail: MailServer):
    with scene.server.write() as db:
        opted_out = frozenset({"no-schema-rights", "loader-internal-error"})
        notices.keep_wishes(db, scene.server.store, scene.account_id, Wishes(opted_out=opted_out))
    scene.ends(**_unloaded(DENIED))
    scene.deliverer().turn()
    assert mail.envelopes == []
    assert scene.open_events() == ["no-schema-rights"]
    scene.ends(**_unloaded("KeyError: 'x'", "bug"))
    scene.later(hours=3)
    scene.deliverer().turn()
    assert [one.message["Subject"] for one in mail.envelopes] == ["Lockstitch Notification - Data delays"]


# --- what is in it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "hides", "shown"),
    [
        (_unloaded("ERROR: Disk Full"), False, True),
        (_unloaded("ERROR: Disk Full"), True, False),
        (_unloaded("ERROR: Disk Full: permission denied"), False, False),
    ],
)
def test_raw_errors_are_quoted_where_they_may_be(
    scene: Scene, mail: MailServer, outcome: dict[str, Any], hides: bool, shown: bool
):
    with scene.server.write() as db:
        notices.keep_wishes(db, scene.server.store, scene.account_id, Wishes(hides_errors=hides))
    scene.ends(**outcome)
    scene.later(hours=2)
    scene.deliverer().turn()
    (envelope,) = mail.envelopes
    assert ("Disk Full" in envelope.message.get_content()) is shown


def test_names_and_errors_cannot_add_headers(tmp_path: Path, mail: MailServer):
    scene = _scene(tmp_path, mail)
    with scene.server.write() as db:
        name = "Shop\r\nBcc: spy@example.com\r\n\r\nHello {name} {0} \u00fc"
        connections.update(db, scene.source_id, {"display_name": name}, scene.moment)
    scene.ends(**{**FAILED, "tap_description": "one\r\n.\r\nMAIL FROM:<spy@example.com>"})
    scene.later(hours=1)
    scene.deliverer().turn()
    (envelope,) = mail.envelopes
    assert envelope.recipients == ["owner@example.com"]
    assert envelope.message["Bcc"] is None
    assert envelope.message["Subject"].endswith("your Shop Bcc: spy@example.com Hello {name} {0} ü integration")
    assert "MAIL FROM:<spy@example.com>" in envelope.message.get_content()


def test_the_prefix_is_the_operators(tmp_path: Path, mail: MailServer):
    smtp = Smtp("localhost", mail.port, "none", "lockstitch@example.com")
    scene = make_scene(tmp_path / "home", Outgoing(smtp=smtp, subject_prefix="Stitch Notification - "))
    scene.ends(**_unloaded(DENIED))
    scene.deliverer().turn()
    assert mail.envelopes[0].message["Subject"] == "Stitch Notification - Data Warehouse Error"


# --- how it is sent ---------------------------------------------------------------------------------------------------


def test_without_a_mail_server_notifications_are_there_and_old_mail_is_never_sent(tmp_path: Path):
    scene = make_scene(tmp_path / "home", Outgoing())
    scene.ends(**_unloaded(DENIED))
    assert scene.deliverer().turn() == 0
    assert scene.open_events() == ["no-schema-rights"]
    scene.later(days=2)
    scene.deliverer().turn()
    assert scene.outbox()[0].given_up_at == scene.moment


def test_a_mail_that_was_taken_is_not_sent_again_however_the_talk_ends(scene: Scene, mail: MailServer):
    mail.is_rude = True
    scene.ends(**_unloaded(DENIED))
    scene.deliverer().turn()
    assert scene.outbox()[0].delivered_at == scene.moment
    assert len(mail.envelopes) == 1


def test_the_sender_may_have_a_name(tmp_path: Path, mail: MailServer):
    smtp = Smtp("localhost", mail.port, "none", "Löckstitch <l@example.com>")
    scene = make_scene(tmp_path / "home", Outgoing(smtp=smtp))
    scene.ends(**_unloaded(DENIED))
    scene.deliverer().turn()
    (envelope,) = mail.envelopes
    assert envelope.sender == "l@example.com"
    assert envelope.message["From"] == "Löckstitch <l@example.com>"
    assert envelope.message["Message-ID"].endswith("@example.com>")


def test_a_mail_server_that_is_away_is_tried_again(scene: Scene, mail: MailServer):
    scene.ends(**_unloaded(DENIED))
    mail.is_down = True
    deliverer = scene.deliverer()
    deliverer.turn()
    assert scene.outbox()[0].last_error == "localhost: 421 not now"
    mail.is_down = False
    scene.later(seconds=60)
    assert deliverer.turn() == 1
    assert len(mail.envelopes) == 1
    assert scene.outbox()[0].delivered_at == scene.moment


def test_a_refused_address_does_not_keep_the_mail_from_others(scene: Scene, mail: MailServer):
    with scene.server.write() as db:
        emails.create(db, scene.account_id, {"email_address": "gone@example.com"}, START, permitted=True)
    mail.refused = {"gone@example.com"}
    scene.ends(**_unloaded(DENIED))
    scene.deliverer().turn()
    assert mail.envelopes[0].recipients == ["owner@example.com"]
    assert scene.outbox()[0].last_error == "refused: gone@example.com"
    mail.refused.add("owner@example.com")
    scene.ends(**FINE)
    scene.ends(**_unloaded(DENIED))
    scene.deliverer().turn()
    assert scene.outbox()[1].last_error == "localhost: it refused gone@example.com, owner@example.com"


def test_mail_is_encrypted_and_its_sender_proves_who_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    certificate = make_certificate(tmp_path, "localhost")
    with mail_server(certificate=certificate, password=PASSWORD) as mail:
        scene = _scene(tmp_path, mail, security="starttls", username="lockstitch", password=PASSWORD)
        scene.ends(**_unloaded(DENIED))
        scene.deliverer().turn()
        assert mail.envelopes == []
        assert "certificate" in scene.outbox()[0].last_error.lower()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        scene.later(minutes=1)
        scene.deliverer().turn()
        (envelope,) = mail.envelopes
        assert (envelope.was_encrypted, envelope.user) == (True, "lockstitch")


def test_no_password_is_sent_where_the_server_offers_no_encryption(tmp_path: Path):
    with mail_server(password=PASSWORD) as mail:
        scene = _scene(tmp_path, mail, security="starttls", username="lockstitch", password=PASSWORD)
        scene.ends(**_unloaded(DENIED))
        scene.deliverer().turn()
        assert mail.envelopes == []
        assert "STARTTLS" in scene.outbox()[0].last_error


def test_a_wrong_password_is_told_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    certificate = make_certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with mail_server(certificate=certificate, password="right") as mail:
        scene = _scene(tmp_path, mail, security="starttls", username="lockstitch", password="s3cret")
        scene.ends(**_unloaded(DENIED))
        scene.deliverer().turn()
        assert scene.outbox()[0].last_error == "localhost: 535 wrong password"
        assert "s3cret" not in repr(scene.server.settings)
