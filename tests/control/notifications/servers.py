"""Servers that take what is sent: a hook's, over HTTP or HTTPS, and a mail server. Real ones, in threads."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@contextmanager
def _serving(server: socketserver.BaseServer) -> Generator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    with server:
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def make_certificate(folder: Path, name: str) -> Path:
    """Write a certificate for a name with its key into one file; it is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{name}.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


# --- hooks ------------------------------------------------------------------------------------------------------------


@dataclass
class HookServer:
    """Answers with `status`; `hold` makes answers wait until it is set."""

    port: int = 0
    status: int = 200
    location: str | None = None
    hold: threading.Event | None = None
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list[tuple[str, dict[str, str], bytes]])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


@contextmanager
def hook_server(certificate: Path | None = None) -> Generator[HookServer]:
    told = HookServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.requests.append((self.path, dict(self.headers.items()), body))
            if told.hold is not None:
                told.hold.wait(10)
            try:
                self.send_response(told.status)
                if told.location is not None:
                    self.send_header("Location", told.location)
                self.end_headers()
                self.wfile.write(b"x" * 10_000_000)  # nobody reads this
            except OSError:
                pass

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    told.port = server.server_port
    with _serving(server):
        yield told


# --- mail -------------------------------------------------------------------------------------------------------------


@dataclass
class Envelope:
    sender: str
    recipients: list[str]
    message: EmailMessage
    was_encrypted: bool
    user: str | None


@dataclass
class MailServer:
    """Keeps what it is sent. `refused` recipients get 550; with `is_down` every talk begins with 421.

    With `is_rude` a talk is broken off as soon as a mail was taken.
    """

    port: int = 0
    certificate: Path | None = None
    password: str | None = None
    is_down: bool = False
    is_rude: bool = False
    refused: set[str] = field(default_factory=set[str])
    envelopes: list[Envelope] = field(default_factory=list[Envelope])


class _Talk(socketserver.StreamRequestHandler):
    told: MailServer
    encrypted = False
    user: str | None = None
    sender = ""
    recipients: list[str]

    def handle(self) -> None:
        if self.told.is_down:
            self._say("421 not now")
            return
        self._say("220 mail.example ready")
        words: dict[str, Callable[[str], None]] = {
            "EHLO": self._greet,
            "STARTTLS": self._encrypt,
            "AUTH": self._authenticate,
            "MAIL": self._begin,
            "RCPT": self._add,
            "DATA": self._take,
        }
        while line := self.rfile.readline().decode().strip():
            word, _, rest = line.partition(" ")
            if word.upper() == "QUIT":
                self._say("221 bye")
                return
            words.get(word.upper(), lambda _: self._say("250 ok"))(rest)
            if self.told.is_rude and self.told.envelopes:
                return

    def _begin(self, rest: str) -> None:
        self.sender, self.recipients = _address(rest), []
        self._say("250 ok")

    def _add(self, rest: str) -> None:
        address = _address(rest)
        if address in self.told.refused:
            self._say("550 unknown")
            return
        self.recipients.append(address)
        self._say("250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def _greet(self, _: str) -> None:
        more = ["STARTTLS"] if self.told.certificate is not None and not self.encrypted else []
        more += ["AUTH PLAIN"] if self.told.password is not None else []
        lines = ["mail.example", *more]
        for line in lines[:-1]:
            self._say(f"250-{line}")
        self._say(f"250 {lines[-1]}")

    def _encrypt(self, _: str) -> None:
        self._say("220 go on")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cast("Path", self.told.certificate))
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = cast("Any", socketserver)._SocketWriter(self.connection)
        self.encrypted = True

    def _authenticate(self, text: str) -> None:
        _, user, password = base64.b64decode(text.split()[1]).decode().split("\0")
        if password != self.told.password:
            self._say("535 wrong password")
            return
        self.user = user
        self._say("235 welcome")

    def _take(self, _: str) -> None:
        self._say("354 go on")
        lines = list[bytes]()
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        message = message_from_bytes(b"".join(lines), policy=policy.default)
        self.told.envelopes.append(Envelope(self.sender, self.recipients, message, self.encrypted, self.user))
        self._say("250 taken")

    def finish(self) -> None:
        super().finish()
        self.connection.close()


def _address(text: str) -> str:
    return text.partition("<")[2].partition(">")[0]


@contextmanager
def mail_server(**given: Any) -> Generator[MailServer]:
    told = MailServer(**given)
    handler = type("Talk", (_Talk,), {"told": told})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        told.port = server.server_address[1]
        with _serving(server):
            yield told
