"""What the operator sets in the environment."""

from __future__ import annotations

import pytest

from lockstitch.control.notifications.settings import Outgoing, Smtp
from lockstitch.core.errors import SettingsError

MAIL = {"LOCKSTITCH_SMTP_HOST": "mail.example", "LOCKSTITCH_SMTP_FROM": "Lockstitch <l@example.com>"}


def test_without_settings_hooks_are_https_only_and_no_mail_is_sent():
    assert Outgoing.from_environment({}) == Outgoing()
    assert Outgoing().smtp is None
    assert not Outgoing().plain_hooks
    assert Outgoing().subject_prefix == "Lockstitch Notification - "


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_port_follows_the_encryption(security: str, port: int):
    smtp = Outgoing.from_environment({**MAIL, "LOCKSTITCH_SMTP_SECURITY": security}).smtp
    assert smtp is not None
    assert (smtp.port, smtp.security) == (port, security)


def test_all_settings():
    outgoing = Outgoing.from_environment(
        {
            **MAIL,
            "LOCKSTITCH_SMTP_PORT": "2525",
            "LOCKSTITCH_SMTP_USERNAME": "me",
            "LOCKSTITCH_SMTP_PASSWORD": "s3cret",
            "LOCKSTITCH_SUBJECT_PREFIX": "",
            "LOCKSTITCH_HOOKS": "off",
            "LOCKSTITCH_PLAIN_HOOKS": "on",
            "LOCKSTITCH_CUSTOM_EMAILS": "off",
            "LOCKSTITCH_ALLOW_NETWORKS": "10.0.0.0/8",
        }
    )
    assert outgoing.smtp == Smtp("mail.example", 2525, "starttls", MAIL["LOCKSTITCH_SMTP_FROM"], "me", "s3cret")
    assert (outgoing.hooks, outgoing.plain_hooks, outgoing.custom_emails) == (False, True, False)
    assert outgoing.subject_prefix == ""
    assert [str(one) for one in outgoing.allowed.networks] == ["10.0.0.0/8"]
    assert "s3cret" not in repr(outgoing)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"LOCKSTITCH_SMTP_HOST": "mail.example"}, "LOCKSTITCH_SMTP_FROM"),
        ({**MAIL, "LOCKSTITCH_SMTP_PORT": "none"}, "LOCKSTITCH_SMTP_PORT is 'none'"),
        ({**MAIL, "LOCKSTITCH_SMTP_PORT": "0"}, "LOCKSTITCH_SMTP_PORT is '0'"),
        ({**MAIL, "LOCKSTITCH_SMTP_SECURITY": "ssl"}, "LOCKSTITCH_SMTP_SECURITY is 'ssl'"),
        ({**MAIL, "LOCKSTITCH_SMTP_SECURITY": "none", "LOCKSTITCH_SMTP_USERNAME": "me"}, "for all to read"),
        ({**MAIL, "LOCKSTITCH_SMTP_FROM": "nobody"}, "LOCKSTITCH_SMTP_FROM is 'nobody'"),
        ({"LOCKSTITCH_HOOKS": "yes"}, "LOCKSTITCH_HOOKS is 'yes'"),
        ({"LOCKSTITCH_ALLOW_NETWORKS": "all"}, "LOCKSTITCH_ALLOW_NETWORKS"),
    ],
)
def test_what_cannot_be_used_is_named_with_what_mends_it(environment: dict[str, str], named: str):
    with pytest.raises(SettingsError) as caught:
        Outgoing.from_environment(environment)
    assert named in str(caught.value)
    assert caught.value.hint
