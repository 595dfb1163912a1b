"""The proxy does what it says, so that the fault tests test something."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from lockstitch.testing.tcp_proxy import Fault, TcpProxy, tcp_proxy


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    """A proxy before a server that sends back what it gets."""

    def echo(client: socket.socket) -> None:
        with client:
            try:
                while data := client.recv(65536):
                    client.sendall(data)
            except OSError:
                return

    def accept(listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        with tcp_proxy("127.0.0.1", listener.getsockname()[1]) as proxy:
            yield proxy
        listener.shutdown(socket.SHUT_RDWR)


def _connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def _read(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := client.recv(size - len(data))):
        data += more
    return data


def test_without_a_fault_all_passes_and_is_counted(proxy: TcpProxy) -> None:
    sent = bytes(range(256)) * 400
    with _connect(proxy) as client:
        threading.Thread(target=client.sendall, args=(sent,)).start()
        assert _read(client, len(sent)) == sent
    assert proxy.passed == {"to server": len(sent), "to client": len(sent)}


def test_a_close_comes_after_exactly_so_many_bytes_and_only_once(proxy: TcpProxy) -> None:
    proxy.fault = Fault(7, "to client", "close")
    with _connect(proxy) as client:
        client.sendall(b"0123456789")
        assert _read(client, 10) == b"0123456"
    assert proxy.fault is None
    with _connect(proxy) as client:
        client.sendall(b"0123456789")
        assert _read(client, 10) == b"0123456789"


def test_a_reset_is_told_to_both_ends(proxy: TcpProxy) -> None:
    proxy.fault = Fault(5, "to server", "reset")
    with _connect(proxy) as client:
        client.sendall(b"0123456789")
        with pytest.raises(ConnectionResetError):
            _read(client, 10)


def test_a_stall_is_told_to_nobody(proxy: TcpProxy) -> None:
    proxy.fault = Fault(5, "to client", "stall")
    with _connect(proxy) as client:
        client.settimeout(0.3)
        client.sendall(b"0123456789")
        assert _read(client, 5) == b"01234"
        with pytest.raises(TimeoutError):
            _read(client, 1)


def test_a_fault_counts_from_when_it_was_set(proxy: TcpProxy) -> None:
    with _connect(proxy) as client:
        client.sendall(b"0123456789")
        assert _read(client, 10) == b"0123456789"
        proxy.fault = Fault(3, "to client", "close")
        client.sendall(b"0123456789")
        assert _read(client, 10) == b"012"
