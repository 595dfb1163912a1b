"""The socket that `lockstitch up` listens on."""

from __future__ import annotations

import socket

import pytest

from lockstitch.cli.server import listening_on
from lockstitch.core.errors import SettingsError


def test_no_answer_on_a_kept_connection_waits_for_an_acknowledgement():
    with (
        listening_on("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_is_taken_is_told():
    with listening_on("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{port}"):
            listening_on("127.0.0.1", port)
