"""A fast local server of JSON pages: `python -m bench.pages FOLDER` prints its port and serves until it is ended.

It answers `GET /N` with the file of page N, out of the page cache and without looking at it.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

from bench.leads import page_name


def main(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_serve, args=(connection, folder), daemon=True).start()


def _serve(connection: socket.socket, folder: Path) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("rb") as requests:
        while line := requests.readline():
            while requests.readline().strip():
                pass
            _answer(connection, folder / page_name(int(line.split()[1].strip(b"/"))))


def _answer(connection: socket.socket, path: Path) -> None:
    if not path.exists():
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        return
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode())
        sent = 0
        while sent < size:
            sent += os.sendfile(connection.fileno(), file.fileno(), sent, size - sent)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
