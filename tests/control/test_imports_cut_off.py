"""Requests that never come to their end, on a real server: nothing of them is kept, and it goes on answering."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

from tests.control.pushes import keyed_push, post
from tests.control.serving import serving, until

from lockstitch.toolkit.inbox.inbox import Inbox


def test_a_request_that_is_cut_off(tmp_path: Path):
    home = tmp_path / "home"
    with serving(home) as served:
        source = served.call("POST", "/v4/sources", {"type": "import_api", "display_name": "Import API"})
        token = served.call("POST", f"/v4/sources/{source['id']}/tokens")["access_token"]
        body = json.dumps(keyed_push(served.account_id, [(1, {"id": 1})])).encode()
        head = f"POST /v2/import/push HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n"
        head += "Content-Type: application/json\r\n"
        address = urlsplit(served.address)
        pieces = [
            (f"{head}Content-Length: {len(body) + 10}\r\n\r\n").encode() + body,
            (f"{head}Content-Length: {len(body)}\r\n\r\n").encode() + body[:-1],
            (f"{head}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n").encode() + body + b"\r\n",
            head.encode(),
        ]
        for piece in pieces:
            with socket.create_connection((address.hostname, address.port or 80)) as sent:
                sent.sendall(piece)
                sent.shutdown(socket.SHUT_WR)
                sent.settimeout(20)
                answer = sent.recv(1_000)
                assert not answer.startswith(b"HTTP/1.1 2"), answer
        inbox = Inbox(home / "inbox" / str(source["id"]))
        assert list(inbox.read()) == []
        # The same, whole; and the next request on another connection.
        whole = (f"{head}Content-Length: {len(body)}\r\n\r\n").encode() + body
        with socket.create_connection((address.hostname, address.port or 80)) as sent:
            sent.sendall(whole)
            assert sent.recv(1_000).startswith(b"HTTP/1.1 201")
        rows = keyed_push(served.account_id, [(2, {"id": 2})])
        assert post(served.client, served.address, token, "push", rows) == 201
        until(lambda: len(list(inbox.read())) == 2, "both")
        log = (tmp_path / "home.log").read_text()
        assert "Traceback" not in log, log
