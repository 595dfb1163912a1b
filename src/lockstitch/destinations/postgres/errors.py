"""PostgreSQL's errors -> ours, as tables: SQLSTATE codes and, as no code comes then, the texts of refused connections.

Texts in Stitch's words are those of `spec/replication.md` section 14. Codes: PostgreSQL's documentation, appendix A.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from lockstitch.core.errors import AccessError, LockstitchError, TransientError

if TYPE_CHECKING:
    from adbc_driver_manager import Error


class Meaning(NamedTuple):
    """What an error is for us, the hint that mends it and, where Stitch has its own words, the text."""

    error: type[LockstitchError]
    hint: str
    text: str | None = None


_GRANTS = "grant what is missing: the user needs CREATE ON DATABASE, and must own the schemas and tables that it loads"
_DROPPED = "it is tried again; if it goes on, look at the server's log and at the network between"
_MENDED = "it is tried again by itself"
_CHANGED = "someone has altered the tables meanwhile: the next run looks at them anew"
_SPACE = "free some space on the server's disk: nothing of this load has landed, and it is tried again"
_VALUE = "a value does not fit its column, which the layout should have found first: please report it"
_OBJECT = "rename or drop what has the name; if another run of this connection made it, run again"
_DEPENDS = "drop what depends on it, or reset the stream"
_SETTINGS = "correct host, port, username, password, database in [destination.properties]"
_TLS = "set ssl and sslrootcert in [destination.properties] as the server demands"
_CERTIFICATE = "sslrootcert must hold the authority that signed the server's certificate, and host its name"
_CLIENT_CERTIFICATE = "let the server accept this user without a client certificate"

#: By SQLSTATE: the whole code first, then its class (two characters).
CODES: dict[str, Meaning] = {
    "08": Meaning(TransientError, _DROPPED, "An I/O error occurred while sending to the backend."),
    "22": Meaning(LockstitchError, _VALUE),
    "22P05": Meaning(AccessError, "text does not fit the database's encoding: make the database with ENCODING 'UTF8'"),
    "23": Meaning(AccessError, "a constraint of the table refuses the rows: drop the constraints that are not its key"),
    "25006": Meaning(AccessError, "the server or the user is read-only: connect to the primary server"),
    "25P03": Meaning(TransientError, _MENDED),
    "26": Meaning(AccessError, "connect to the server itself, or to a pooler that keeps sessions"),
    "28": Meaning(AccessError, _SETTINGS),
    "2BP01": Meaning(AccessError, _DEPENDS),
    "3D000": Meaning(AccessError, _SETTINGS),
    "3F000": Meaning(TransientError, _CHANGED),
    "40": Meaning(TransientError, _MENDED),
    "42501": Meaning(AccessError, _GRANTS),
    "42701": Meaning(TransientError, _CHANGED),
    "42703": Meaning(TransientError, _CHANGED),
    "42704": Meaning(TransientError, _CHANGED),
    "42804": Meaning(TransientError, _CHANGED),
    "42P01": Meaning(TransientError, _CHANGED),
    "42P07": Meaning(AccessError, _OBJECT),
    "42P10": Meaning(TransientError, _CHANGED),
    "42P16": Meaning(AccessError, "the table has another primary key by now: drop it, or reset the stream"),
    "53": Meaning(TransientError, "the server lacks memory or other resources: it is tried again"),
    "53100": Meaning(TransientError, _SPACE),
    "53300": Meaning(TransientError, "raise max_connections, or end connections that are not needed"),
    "54": Meaning(
        AccessError, "a row, key or statement is larger than PostgreSQL allows: deselect the field that makes it so"
    ),
    "54011": Meaning(
        AccessError, "deselect fields; dropped columns count until the table is made anew", "ERROR: too many columns"
    ),
    "55000": Meaning(AccessError, _DEPENDS),
    "55006": Meaning(TransientError, _MENDED),
    "55P03": Meaning(
        TransientError,
        "another session holds the lock (see pg_locks and pg_stat_activity): it is tried again; end it if it hangs",
    ),
    "57014": Meaning(TransientError, "someone cancelled the statement: it is tried again"),
    "57P": Meaning(TransientError, "the server was stopped or restarted: it is tried again"),
    "58": Meaning(TransientError, "the server's system failed it: look at the server's log"),
    "XX": Meaning(TransientError, "the server failed inside: look at the server's log"),
}

#: By the text of a connection that could not be made, first match wins. Named groups fill the text.
REFUSALS: tuple[tuple[str, Meaning], ...] = (
    (
        r'password authentication failed for user "(?P<user>.*?)"',
        Meaning(AccessError, _SETTINGS, "FATAL: Password authentication failed for user {user}"),
    ),
    (
        r"no password supplied|password must be provided",
        Meaning(AccessError, "set password in [destination.properties]"),
    ),
    (
        r'database "(?P<database>.*?)" does not exist',
        Meaning(AccessError, _SETTINGS, 'FATAL: database "{database}" does not exist'),
    ),
    (r'role ".*?" does not exist|is not permitted to log in', Meaning(AccessError, _SETTINGS)),
    (r"permission denied for database", Meaning(AccessError, "grant CONNECT and CREATE ON DATABASE to the user")),
    (r"requires a valid client certificate", Meaning(AccessError, _CLIENT_CERTIFICATE)),
    (
        r"no pg_hba\.conf entry|pg_hba\.conf rejects",
        Meaning(AccessError, f"let the server accept this address and user, or {_TLS}"),
    ),
    (r"server does not support SSL|SSL was required", Meaning(AccessError, _TLS)),
    (r"certificate verify failed|root certificate|does not match host name", Meaning(AccessError, _CERTIFICATE)),
    (r"could not translate host name.*(not known|No address)", Meaning(AccessError, _SETTINGS)),
    (
        r"too many clients already|remaining connection slots|too many connections",
        Meaning(TransientError, CODES["53300"].hint),
    ),
    (
        r"database system is|not yet accepting connections|shutting down",
        Meaning(TransientError, "the server is starting or stopping"),
    ),
    (
        r"Connection refused",
        Meaning(
            TransientError,
            "check that the server runs, and that no firewall is between",
            "Connection refused. Check that the hostname and port are correct and that the postmaster is accepting "
            "TCP/IP connections.",
        ),
    ),
    (
        r"timeout expired|timed out|No route to host|Network is unreachable",
        Meaning(TransientError, "check host and port, and that no firewall is between", "Connection timed out."),
    ),
    (
        r"server closed the connection|Connection reset|could not (send|receive)|SSL SYSCALL",
        Meaning(TransientError, _DROPPED),
    ),
    (
        r"Temporary failure in name resolution",
        Meaning(TransientError, "the name server does not answer: it is tried again"),
    ),
)

_LOST = CODES["08"]
_ADBC_IO = 10
_ADBC_NOT_FOUND = 3


def refusal(error: Error, place: str) -> LockstitchError:
    """Return our error for a connection that could not be made; `place` tells server and database."""
    if error.sqlstate is not None and (meant := translated(error, place)) is not None:
        return meant  # the driver's first statements, in a connection that was made
    said = " ".join(str(error).split())
    said = re.sub(r"^IO: \[libpq\] Failed to connect: ", "", said)
    for pattern, meaning in REFUSALS:
        if found := re.search(pattern, said):
            text = meaning.text.format(**found.groupdict()) if meaning.text else said
            return meaning.error(f"PostgreSQL {place}: {text}", hint=meaning.hint)
    return AccessError(f"PostgreSQL {place}: {said}", hint=_SETTINGS)


def translated(error: Error, place: str) -> LockstitchError | None:
    """Return our error for what the server said, or None where it has no meaning but a bug."""
    code = error.sqlstate
    if code is None:
        if is_connection_lost(error):
            return _LOST.error(f"PostgreSQL {place}: {_LOST.text} ({_first_line(str(error))})", hint=_LOST.hint)
        if error.status_code == _ADBC_NOT_FOUND:
            # COPY's own look at its table, whose code the driver drops: another run has moved the table meanwhile.
            return TransientError(f"PostgreSQL {place}: {_last_words(error)}", hint=_CHANGED)
        return None
    meaning = next((CODES[part] for part in (code, code[:3], code[:2]) if part in CODES), None)
    if meaning is None:
        return None
    return meaning.error(f"PostgreSQL {place}: {meaning.text or told(error)} (SQLSTATE {code})", hint=meaning.hint)


def is_connection_lost(error: Error) -> bool:
    """Tell whether the server has gone away; the driver then has no code, and calls it an I/O error."""
    return error.sqlstate is None and (error.status_code == _ADBC_IO or str(error).startswith("IO: "))


def told(error: Error) -> str:
    """Return the server's own message, without the statement and the row's values that the driver adds."""
    details = {_text(name): _text(value) for name, value in error.details}
    message = details.get("PG_DIAG_MESSAGE_PRIMARY")
    if message is None:
        return _first_line(str(error))
    place = ".".join(details[name] for name in _RELATION if name in details)
    return f"ERROR: {message}" + (f" ({place})" if place else "")


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")


_RELATION = ("PG_DIAG_SCHEMA_NAME", "PG_DIAG_TABLE_NAME", "PG_DIAG_COLUMN_NAME")


def _last_words(error: Error) -> str:
    """Return what the server said, without the driver's statement before it."""
    return re.sub(r"^.*?(?=ERROR: )", "", _first_line(str(error)))


def _first_line(text: str) -> str:
    return re.sub(r"^IO: (\[libpq\] )?", "", text.strip().splitlines()[0])
