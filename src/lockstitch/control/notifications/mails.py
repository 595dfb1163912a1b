"""Mails: one a notification, to the account's owner and its custom addresses (`spec/connect-api.md` section 15)."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import closing, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

import sqlalchemy as sa

from lockstitch.control import accounts
from lockstitch.control.connections import Row
from lockstitch.control.notifications import notices
from lockstitch.control.notifications.attempts import Undelivered, Unwanted
from lockstitch.control.notifications.deliveries import Claim
from lockstitch.control.notifications.emails import is_address
from lockstitch.control.notifications.events import EVENTS, Event
from lockstitch.control.notifications.settings import Outgoing, Smtp
from lockstitch.control.store.tables import accounts as account_table
from lockstitch.control.store.tables import connections, custom_emails, notifications
from lockstitch.control.times import told

#: Seconds for each step of the talk with the mail server.
TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail that is ready to be sent. Custom addresses get it without being named in it."""

    recipients: tuple[str, ...]
    message: EmailMessage = field(repr=False)


def prepare(db: sa.Connection, outgoing: Outgoing, claimed: Claim) -> Letter:
    """Return the mail for a claimed delivery, from what is true now. Raises Unwanted."""
    row = _notification(db, claimed)
    event, wishes = EVENTS[row.event], notices.wishes_of(db, claimed.account_id)
    if not wishes.wants(event):
        raise Unwanted("the account wants no mails about this")
    owner, others = _recipients(db, claimed.account_id)
    if owner is None and not others:
        raise Unwanted("the account has no address for mails")
    assert outgoing.smtp is not None
    message = EmailMessage()
    message["Subject"] = " ".join(f"{outgoing.subject_prefix}{row.subject}".split())
    message["From"] = outgoing.smtp.sender
    message["To"] = owner or "undisclosed-recipients:;"
    message["Date"] = format_datetime(row.raised_at)
    # The same for every attempt, so that mail servers and readers know one that came twice.
    message["Message-ID"] = _message_id(outgoing.smtp, claimed)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_text(row, event, hides_error=wishes.hides_errors))
    return Letter((*([owner] if owner else []), *others), message)


def _notification(db: sa.Connection, claimed: Claim) -> Row:
    query = (
        sa.select(notifications, connections.c.deleted_at.label("gone_at"))
        .outerjoin(connections, connections.c.id == notifications.c.connection_id)
        .where(notifications.c.id == claimed.notification_id)
    )
    row = db.execute(query).first()
    if row is None or row.open_topic is None or row.dismissed_at is not None or row.gone_at is not None:
        raise Unwanted("the trouble is over")
    return row


def _recipients(db: sa.Connection, account_id: int) -> tuple[str | None, list[str]]:
    """Return the owner's address, if there is a real one, and the enabled custom ones."""
    owner = db.execute(sa.select(account_table.c.email).where(account_table.c.id == account_id)).scalar()
    enabled = sa.select(custom_emails.c.email_address).where(
        custom_emails.c.account_id == account_id, custom_emails.c.disabled_at.is_(None)
    )
    others = [text for text in db.execute(enabled.order_by(custom_emails.c.id)).scalars() if is_address(text)]
    real = owner is not None and owner != accounts.FIRST["email"] and is_address(owner)
    return (owner if real else None), [text for text in dict.fromkeys(others) if text != owner]


def _message_id(smtp: Smtp, claimed: Claim) -> str:
    domain = parseaddr(smtp.sender)[1].rpartition("@")[2]
    return f"<lockstitch.{claimed.account_id}.{claimed.id}@{domain}>"


def _text(row: Row, event: Event, *, hides_error: bool) -> str:
    parts = [f"{row.subject}.", row.text]
    if event.shows_error and row.error and not hides_error:
        parts.append("The error:\n\n" + "\n".join(f"    {line}" for line in row.error.splitlines()))
    parts.append(f"Since {told(row.raised_at)} ({event.level}). You get no further mail about this until it is over.")
    return "\n\n".join(parts) + "\n"


# --- sending ----------------------------------------------------------------------------------------------------------


def send(letter: Letter, smtp: Smtp, *, seconds: float = TIMEOUT) -> str | None:
    """Hand a mail to the mail server; return a note where it refused some of the recipients.

    Raises Undelivered where it took the mail for none.
    """
    try:
        with closing(_connect(smtp, seconds)) as server:
            if smtp.username is not None:
                server.login(smtp.username, smtp.password or "")
            refused = server.send_message(letter.message, parseaddr(smtp.sender)[1], letter.recipients)
            with suppress(smtplib.SMTPException, OSError):
                server.quit()  # the mail is taken, however the talk ends
    except (smtplib.SMTPException, OSError) as error:
        raise Undelivered(f"{smtp.host}: {_said(error)}") from None
    return f"refused: {', '.join(sorted(refused))}" if refused else None


def _connect(smtp: Smtp, seconds: float) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if smtp.security == "tls":
        return smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=seconds, context=context)
    server = smtplib.SMTP(smtp.host, smtp.port, timeout=seconds)
    if smtp.security == "starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"it refused {', '.join(sorted(error.recipients))}"
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        return f"{error.smtp_code} {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}"
    return str(error) or type(error).__name__
