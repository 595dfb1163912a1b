"""A TCP proxy on loopback that spoils one connection in a way that can be told beforehand."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

#: Small, so that a cut comes close to the byte that was asked for.
_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens, once, when so many bytes have gone one way since the fault was set.

    reset   both ends get a reset, as from a firewall that has forgotten the connection
    close   both ends get a regular end
    stall   nothing passes any more, and nobody is told, as after a pulled cable
    """

    after: int
    direction: Literal["to server", "to client"] = "to server"
    how: Literal["reset", "close", "stall"] = "reset"


@dataclass(slots=True)
class TcpProxy:
    """Passes connections on to a server. `fault` is set at any time, and is None again once it has happened.

    `passed` counts the bytes that went each way; `delay` is waited before each piece is passed on.
    """

    server: tuple[str, int]
    listener: socket.socket
    delay: float = 0.0
    passed: dict[str, int] = field(default_factory=lambda: {"to server": 0, "to client": 0})
    _fault: Fault | None = None
    _base: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sockets: list[socket.socket] = field(default_factory=list[socket.socket])
    _stalled: set[socket.socket] = field(default_factory=set[socket.socket])

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    @property
    def fault(self) -> Fault | None:
        return self._fault

    @fault.setter
    def fault(self, fault: Fault | None) -> None:
        with self._lock:
            self._fault = fault
            self._base = self.passed[fault.direction] if fault is not None else 0

    def serve(self) -> None:
        """Accept connections until the listener is closed."""
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.server)
            except OSError:
                client.close()
                continue
            self._sockets += [client, server]
            threading.Thread(target=self._relay, args=(client, server), daemon=True).start()

    def close(self) -> None:
        for each in (self.listener, *self._sockets):
            _shut(each)

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        """Pass bytes both ways until one side ends or the fault comes.

        One thread for both, as a socket that another thread reads is not closed before that has got something.
        """
        ways = {client: (server, "to server"), server: (client, "to client")}
        try:
            while True:
                for source in select.select([client, server], [], [])[0]:
                    target, direction = ways[source]
                    data = source.recv(_CHUNK)
                    if not data:
                        return
                    if self.delay:
                        time.sleep(self.delay)
                    fault, allowed = self._take(direction, len(data))
                    target.sendall(data[:allowed])
                    if fault is not None:
                        self._spoil(fault, client, server)
                        return
        except (OSError, ValueError):
            return  # an end has gone, or the proxy is being closed
        finally:
            if client not in self._stalled:
                _shut(client)
                _shut(server)

    def _take(self, direction: str, size: int) -> tuple[Fault | None, int]:
        """Count the bytes; return the fault that is due now, and how many of them may still pass."""
        with self._lock:
            before = self.passed[direction] - self._base
            self.passed[direction] += size
            fault = self._fault
            if fault is None or fault.direction != direction or before + size < fault.after:
                return None, size
            self._fault = None
            return fault, max(0, fault.after - before)

    def _spoil(self, fault: Fault, client: socket.socket, server: socket.socket) -> None:
        if fault.how == "stall":
            self._stalled.add(client)
        elif fault.how == "reset":
            for each in (client, server):
                # With no time to linger, closing sends a reset.
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.close()


@contextmanager
def tcp_proxy(host: str, port: int) -> Generator[TcpProxy]:
    """Run a proxy before a server, without a fault yet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = TcpProxy((host, port), listener)
        threading.Thread(target=proxy.serve, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.close()


def _shut(each: socket.socket) -> None:
    with suppress(OSError):  # it is shut already
        each.shutdown(socket.SHUT_RDWR)
    each.close()
