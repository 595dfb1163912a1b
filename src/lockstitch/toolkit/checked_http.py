"""HTTP to addresses that users name: the connection is made to the very address that was judged (`addresses`)."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

from lockstitch.toolkit.addresses import Allowed


class CheckedTransport(httpx2.HTTPTransport):
    """An httpx2 transport that connects to allowed addresses only. Give it to `httpx2.Client(transport=...)`.

    Host and certificate are still those of the name. It uses no proxy, as a proxy would resolve the name again.
    `seconds` is the most that a connection may take from its beginning to its end, however it is spread.
    """

    def __init__(self, allowed: Allowed, *, tls: ssl.SSLContext | None = None, seconds: float | None = None) -> None:
        context = tls or httpx2.create_ssl_context()
        super().__init__(verify=context)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=context,
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=_CheckedBackend(allowed, seconds),
        )


class _CheckedBackend(httpcore2.SyncBackend):
    def __init__(self, allowed: Allowed, seconds: float | None) -> None:
        self._allowed = allowed
        self._seconds = seconds

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        deadline = None if self._seconds is None else time.monotonic() + self._seconds
        try:
            addresses = self._allowed.addresses(host, port)
        except OSError as error:
            raise httpcore2.ConnectError(f"{host} cannot be resolved: {error}") from error
        for left, address in zip(range(len(addresses) - 1, -1, -1), addresses, strict=True):
            try:
                stream = super().connect_tcp(
                    address, port, _within(deadline, timeout), local_address, socket_options or ()
                )
                return stream if deadline is None else _TimedStream(stream, deadline)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if not left:
                    raise
        raise AssertionError("a host always has an address here")


class _TimedStream(httpcore2.NetworkStream):
    """A stream whose every wait ends at one deadline: so a peer that sends a byte now and then holds nobody up."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _within(self._deadline, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _within(self._deadline, timeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, _within(self._deadline, timeout))
        return _TimedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()


def _within(deadline: float | None, timeout: float | None) -> float | None:
    """Return the shorter of a timeout and what is left until the deadline, in seconds."""
    if deadline is None:
        return timeout
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("the time for this request is over")
    return left if timeout is None else min(left, timeout)
