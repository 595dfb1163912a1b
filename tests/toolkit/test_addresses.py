"""Which addresses may be reached, whatever their spelling, and that a connection goes to the one that was judged."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address, ip_network
from typing import Any

import httpx2
import pytest

from lockstitch.core.errors import SettingsError
from lockstitch.toolkit.addresses import AddressRefused, Allowed, is_public
from lockstitch.toolkit.checked_http import CheckedTransport

LOOPBACK = Allowed((ip_network("127.0.0.0/8"),))
PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%lo",
        "fec0::1",
        "ff02::1",
    ],
)
def test_addresses_near_the_server_are_not_public(text: str):
    assert not is_public(ip_address(text))
    assert not Allowed().allows(ip_address(text))


@pytest.mark.parametrize(
    "text",
    ["1.1.1.1", "9.255.255.255", "11.0.0.0", "172.32.0.1", "223.255.255.255", "2606:4700::1111", "::ffff:8.8.8.8"],
)
def test_addresses_on_the_internet_are_public(text: str):
    assert is_public(ip_address(text))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "0",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "localhost",
    ],
)
def test_spellings_of_this_machine_are_refused(host: str):
    with pytest.raises(AddressRefused, match="not a public address"):
        Allowed().addresses(host, 80)


def test_only_the_good_ones_of_several_addresses_are_used(monkeypatch: pytest.MonkeyPatch):
    _resolve(monkeypatch, {"mixed.example": ["10.0.0.1", PUBLIC, "fe80::1"], "bad.example": ["10.0.0.1", "fd00::1"]})
    assert Allowed().addresses("mixed.example", 443) == [PUBLIC]
    with pytest.raises(AddressRefused, match=r"bad\.example is at 10\.0\.0\.1, fd00::1") as caught:
        Allowed().addresses("bad.example", 443)
    assert "LOCKSTITCH_ALLOW_NETWORKS" in (caught.value.hint or "")


def test_the_operator_allows_networks():
    allowed = Allowed.from_environment({"LOCKSTITCH_ALLOW_NETWORKS": "10.0.0.0/8, ::1/128"})
    assert allowed.allows(ip_address("10.9.9.9"))
    assert allowed.allows(ip_address("::ffff:10.9.9.9"))
    assert allowed.addresses("::1", 80) == ["::1"]
    assert not allowed.allows(ip_address("127.0.0.1"))
    assert Allowed.from_environment({}) == Allowed()


@pytest.mark.parametrize("text", ["10.0.0.1/8", "ten", "10.0.0.0/40"])
def test_what_is_no_network_is_refused(text: str):
    with pytest.raises(SettingsError, match="LOCKSTITCH_ALLOW_NETWORKS"):
        Allowed.from_environment({"LOCKSTITCH_ALLOW_NETWORKS": text})


# --- connections ------------------------------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Host"]))
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://metadata.example/")
        else:
            self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Generator[tuple[int, list[tuple[str, str | None]]]]:
    handler = type("Handler", (_Handler,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one.server_port, handler.__dict__["seen"]
        one.shutdown()
        thread.join()


def _client(allowed: Allowed, **more: Any) -> httpx2.Client:
    return httpx2.Client(transport=CheckedTransport(allowed, **more), trust_env=False, timeout=5)


def _resolve(monkeypatch: pytest.MonkeyPatch, names: Mapping[str, list[str]]) -> list[str]:
    """Let these names have these addresses; return the list of what was asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        return [one for address in names.get(host, [host]) for one in real(address, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_a_request_keeps_its_name_and_goes_to_the_address(
    server: tuple[int, list[tuple[str, str | None]]], monkeypatch: pytest.MonkeyPatch
):
    port, seen = server
    _resolve(monkeypatch, {"hooks.example": ["127.0.0.1"]})
    with _client(LOOPBACK) as client:
        assert client.get(f"http://hooks.example:{port}/a").text == "ok"
    assert seen == [("/a", f"hooks.example:{port}")]


def test_a_name_that_means_this_machine_is_not_called(
    server: tuple[int, list[tuple[str, str | None]]], monkeypatch: pytest.MonkeyPatch
):
    port, seen = server
    _resolve(monkeypatch, {"innocent.example": ["127.0.0.1"]})
    with _client(Allowed()) as client, pytest.raises(AddressRefused):
        client.get(f"http://innocent.example:{port}/")
    for host in ("2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "127.1"):
        with _client(Allowed()) as client, pytest.raises(AddressRefused):
            client.get(f"http://{host}:{port}/")
    assert seen == []


def test_a_name_is_resolved_once_and_the_judged_address_is_used(
    server: tuple[int, list[tuple[str, str | None]]], monkeypatch: pytest.MonkeyPatch
):
    """The first answer of a rebinding name is allowed, the second is not: it must never be asked for."""
    port, seen = server
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        address = next(answers)[0] if host == "rebinding.example" else host
        return real(address, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with _client(Allowed((ip_network("127.0.0.1/32"),))) as client:
        assert client.get(f"http://rebinding.example:{port}/").text == "ok"
    assert seen == [("/", f"rebinding.example:{port}")]
    assert next(answers) == ["127.0.0.2"]


def test_the_next_address_is_tried_where_one_does_not_answer(
    server: tuple[int, list[tuple[str, str | None]]], monkeypatch: pytest.MonkeyPatch
):
    port, _ = server
    _resolve(monkeypatch, {"two.example": ["127.0.0.77", "127.0.0.1"]})
    with _client(LOOPBACK) as client:
        assert client.get(f"http://two.example:{port}/").text == "ok"
    _resolve(monkeypatch, {"none.example": ["127.0.0.77", "127.0.0.78"]})
    with _client(LOOPBACK) as client, pytest.raises(httpx2.ConnectError):
        client.get(f"http://none.example:{port}/")


def test_a_redirect_is_judged_like_any_other_request(
    server: tuple[int, list[tuple[str, str | None]]], monkeypatch: pytest.MonkeyPatch
):
    port, seen = server
    _resolve(monkeypatch, {"metadata.example": ["169.254.169.254"]})
    with _client(LOOPBACK) as client:
        with pytest.raises(AddressRefused):
            client.get(f"http://127.0.0.1:{port}/away", follow_redirects=True)
        assert client.get(f"http://127.0.0.1:{port}/away").status_code == 302
    assert [path for path, _ in seen] == ["/away", "/away"]


def test_a_name_that_does_not_exist_cannot_be_connected_to():
    for host in ("no-such-name.invalid", "x" * 70 + ".example"):
        with _client(Allowed()) as client, pytest.raises(httpx2.ConnectError, match="cannot be resolved"):
            client.get(f"http://{host}/")


def test_a_proxy_of_the_environment_is_not_used(
    server: tuple[int, list[tuple[str, str | None]]], monkeypatch: pytest.MonkeyPatch
):
    port, seen = server
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with _client(LOOPBACK) as client:
        assert client.get(f"http://127.0.0.1:{port}/").text == "ok"
    assert len(seen) == 1


def test_a_peer_that_sends_a_byte_now_and_then_is_left_at_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        begun = time.monotonic()
        with _client(LOOPBACK, seconds=0.4) as client, pytest.raises(httpx2.TimeoutException):
            client.get(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        assert 0.3 < time.monotonic() - begun < 3
        stop.set()
        thread.join()
