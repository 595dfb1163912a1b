"""A threaded HTTP/1.1 server on loopback that plays a vendor's API: keeps connections, notes requests, meets faults."""

from __future__ import annotations

import math
import socket
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from lockstitch.testing.vendors.faults import FaultDial, http_date
from lockstitch.testing.vendors.messages import Clock, Reply, Request, json_reply

#: Makes a 429 that names the seconds to wait, given the vendor's now.
LimitForm = Callable[[float, datetime], Reply]

#: The forms of Retry-After that HTTP itself knows.
RETRY_AFTER: Mapping[str, Callable[[float, datetime], str]] = {
    "seconds": lambda seconds, _: f"{seconds:g}",
    # A date has whole seconds: rounded up, so that whoever waits for it has waited long enough.
    "date": lambda seconds, now: http_date(now + timedelta(seconds=math.ceil(seconds) + 1)),
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that the server got, and the status it gave; None where the connection ended without an answer."""

    request: Request
    status: int | None


class VendorServer:
    """What all fakes share; a vendor's adds `answer`, its data, and its ways to word errors.

    A context manager: within it the server listens on a free port of 127.0.0.1. Requests are answered one at a time,
    so a fake needs no locks; their bytes go out side by side. An error in the fake itself is raised on leaving.
    """

    #: The vendor's own forms of a 429, beside the standard ones.
    limit_forms: Mapping[str, LimitForm] = {}

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.faults = FaultDial()
        self.requests: list[Exchange] = []
        self._http = _HttpServer(self)
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def answer(self, request: Request) -> Reply:
        """Answer as the vendor would, by `request.at` as now."""
        raise NotImplementedError

    def failure(self, status: int, message: str) -> Reply:
        """Return an error in the vendor's form."""
        return json_reply({"error": message}, status)

    def limited(self, form: str, seconds: float, now: datetime) -> Reply:
        """Return a 429 in one of the vendor's own forms, with Retry-After in seconds or as a date, or with no hint."""
        if form in self.limit_forms:
            return self.limit_forms[form](seconds, now)
        if form == "none":
            return Reply(429, b"too many requests", {"Content-Type": "text/plain"})
        reply = self.failure(429, "too many requests")
        reply.headers["Retry-After"] = RETRY_AFTER[form](seconds, now)
        return reply

    def count(self, on: str = "", method: str | None = None) -> int:
        """Return how many requests went to paths that contain `on`."""
        return sum(on in each.request.path and method in {None, each.request.method} for each in self.requests)

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.stop()
        if self._http.errors:
            raise self._http.errors[0]

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request through the faults, and note it."""
        parts = urlsplit(target)
        with self._lock:
            request = Request(
                method,
                unquote(parts.path),
                tuple(parse_qsl(parts.query, keep_blank_values=True)),
                headers,
                body,
                len(self.requests) + 1,
                self.clock.now(),
            )
            reply = self.faults.answer(request, self.answer, self)
            reply.headers.setdefault("Date", http_date(request.at))
            self.requests.append(Exchange(request, reply.status if reply.delivery.answered else None))
        return reply


class _HttpServer(ThreadingHTTPServer):
    """Listens from its making on, and ends its connections with itself."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, vendor: VendorServer) -> None:
        self.vendor = vendor
        self.errors: list[BaseException] = []
        self.stopped = threading.Event()
        self.resets: set[socket.socket] = set()
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def stop(self) -> None:
        self.stopped.set()
        self.shutdown()
        for each in list(self._open):
            with suppress(OSError):  # the client has left already
                each.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        if request in self.resets:
            self.resets.discard(request)
            self.close_request(request)  # without the shutdown, which would tell the client of a regular end
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):  # those say that a client has left
            self.errors.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _HttpServer  # pyright: ignore[reportIncompatibleVariableOverride] - it is made for no other

    def _do(self) -> None:
        if "Transfer-Encoding" in self.headers:
            raise NotImplementedError("this server reads only bodies of a given length")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            reply = self.server.vendor.handle(self.command, self.path, headers, body)
        except Exception as error:
            self.server.errors.append(error)
            reply = Reply(500, f"the fake server has a bug: {error!r}".encode())
        self._deliver(reply)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _do  # noqa: N815 - the standard library's names

    def _deliver(self, reply: Reply) -> None:
        how = reply.delivery
        self.server.stopped.wait(how.delay)
        if not how.answered:
            self._end(how.end)
            return
        sent = reply.body if how.cut is None else reply.body[: how.cut]
        size = how.piece or max(len(sent), 1)
        first, *rest = [sent[at : at + size] for at in range(0, len(sent), size)] or [b""]
        # The head and the first piece in one write, so that no small packet waits for an acknowledgement.
        self.wfile.write(self._head(reply) + self._framed(first, how.chunked))
        for piece in rest:
            self.server.stopped.wait(how.pause)
            self.wfile.write(self._framed(piece, how.chunked))
        if how.cut is not None:
            self._end(how.end)
        elif how.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _head(self, reply: Reply) -> bytes:
        framing = {"Transfer-Encoding": "chunked"} if reply.delivery.chunked else {"Content-Length": len(reply.body)}
        lines = [f"HTTP/1.1 {reply.status} {_phrase(reply.status)}"]
        lines += [f"{name}: {value}" for name, value in {**reply.headers, **framing}.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _framed(self, piece: bytes, chunked: bool) -> bytes:
        return b"%x\r\n%b\r\n" % (len(piece), piece) if chunked and piece else piece

    def _end(self, how: str) -> None:
        self.close_connection = True
        if how == "reset":
            # With no time to linger, closing sends a reset.
            self.server.resets.add(self.connection)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, format: str, *args: Any) -> None: ...


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
