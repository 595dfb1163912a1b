"""A real S3 protocol to test against: moto's server, and a proxy before it that records requests and injects faults."""

from __future__ import annotations

import contextlib
import http.client
import logging
import re
import socket
import struct
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, cast
from urllib.request import Request, urlopen

import boto3
from moto.backends import get_backend
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
#: Seconds that a stalled answer takes: longer than anybody waits.
STALL = 10

#: Status, headers and body.
Answer = tuple[int, list[tuple[str, str]], bytes]


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running server of S3, STS and IAM."""

    url: str

    def client(self, service: str, key: str = "test", secret: str = "test") -> Any:
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION, aws_access_key_id=key, aws_secret_access_key=secret
        )

    def fill(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        """Make a bucket with these objects; past the protocol, because thousands of requests take long."""
        backend = get_backend("s3")["123456789012"]["aws"]
        backend.create_bucket(bucket, REGION)
        for key, body in objects.items():
            backend.put_object(bucket, key, body)

    def upload(self, folder: Path, bucket: str) -> None:
        """Make a bucket out of a folder."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        self.fill(bucket, {str(path.relative_to(folder)): path.read_bytes() for path in paths})


@contextmanager
def s3_server() -> Generator[S3Server]:
    """Run an empty server on a free port; one at a time."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    # moto keeps what it holds in the process, whatever server it came by.
    urlopen(Request(f"{url}/moto-api/reset", method="POST")).close()
    try:
        yield S3Server(url)
    finally:
        server.stop()


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came by."""

    method: str
    path: str
    body: bytes
    token: str | None

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.body.decode()}"


@dataclass(slots=True)
class Fault:
    """What happens to requests that match, `times` times: an S3 error, or a connection that breaks or stands still.

    `cut` sends half of the answer's body and resets the connection.
    """

    matches: str
    kind: Literal["error", "reset", "stall", "cut"] = "error"
    times: int = 1
    status: int = 500
    code: str = "InternalError"
    token: str | None = None

    def hits(self, seen: Seen) -> bool:
        return (
            self.times > 0
            and re.search(self.matches, str(seen)) is not None
            and (self.token is None or self.token == seen.token)
        )


@dataclass(slots=True)
class FaultProxy:
    """Stands before a server. Add to `faults` at any time."""

    url: str
    seen: list[Seen] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def count(self, pattern: str) -> int:
        return sum(re.search(pattern, str(seen)) is not None for seen in self.seen)

    def fault_for(self, seen: Seen) -> Fault | None:
        for fault in self.faults:
            if fault.hits(seen):
                fault.times -= 1
                return fault
        return None


@contextmanager
def fault_proxy(server: S3Server) -> Generator[FaultProxy]:
    """Run a proxy before the server on a free port."""
    listener = _Listener(server.url.removeprefix("http://"))
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield listener.proxy
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.proxy = FaultProxy(f"http://127.0.0.1:{self.server_port}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def listener(self) -> _Listener:
        return cast("_Listener", self.server)

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = Seen(self.command, self.path, body, self.headers.get("x-amz-security-token"))
        self.listener.proxy.seen.append(seen)
        fault = self.listener.proxy.fault_for(seen)
        kind = fault.kind if fault is not None else None
        if kind == "stall":
            time.sleep(STALL)
        if kind == "reset":
            self.reset()
            return
        answer = self.made_up(fault) if fault is not None and kind == "error" else self.forward(body)
        self.answer(answer, whole=kind != "cut")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.handle_any
        raise AttributeError(name)

    def made_up(self, fault: Fault) -> Answer:
        text = f"<Error><Code>{fault.code}</Code><Message>made up by the test</Message></Error>"
        if self.command == "POST":  # STS wraps its errors
            text = f"<ErrorResponse>{text}</ErrorResponse>"
        return fault.status, [("Content-Type", "application/xml")], text.encode()

    def forward(self, body: bytes) -> Answer:
        connection = http.client.HTTPConnection(self.listener.target)
        try:
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def answer(self, answer: Answer, *, whole: bool) -> None:
        status, headers, body = answer
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if whole else body[: len(body) // 2])
        if not whole:
            self.wfile.flush()
            self.reset()

    def reset(self) -> None:
        """Close so that the other side sees a reset, not an end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def handle(self) -> None:
        # Connections break here on purpose, on either side.
        with contextlib.suppress(OSError, ValueError):
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        del format, args
