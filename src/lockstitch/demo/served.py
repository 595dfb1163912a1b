"""A server for the demo, spoken to as any client of the Connect API would: nothing here reaches behind the API."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from lockstitch.core.errors import LockstitchError

#: Seconds to wait for anything that the server does in the demo.
PATIENCE = 300.0


class Client:
    """One account of a server."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address
        self._http = httpx2.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return self._answered(method, path, **({} if body is None else {"json": body})).json()

    def _answered(self, method: str, path: str, **more: Any) -> httpx2.Response:
        answer = self._http.request(method, path, **more)
        if answer.status_code != 200:
            raise LockstitchError(f"{method} {path} answered {answer.status_code}: {answer.text}")
        return answer

    def download(self, path: str) -> bytes:
        """Return the body of an answer, wherever it leads."""
        return self._answered("GET", path, follow_redirects=True).content

    def close(self) -> None:
        self._http.close()

    def create_destination(self, path: Path) -> int:
        made = self.call("POST", "/v4/destinations", {"type": "duckdb", "properties": {"path": str(path)}})
        self._checked("destination", made["id"])
        return made["id"]

    def create_source(self, name: str, bucket: str) -> int:
        """Make a source that only runs when it is told to, until `follow_schedule`."""
        body = {"type": "platform.heap", "display_name": name, "properties": {"bucket_url": bucket}}
        made = self.call("POST", "/v4/sources", body)
        self.call("PUT", f"/v4/sources/{made['id']}", {"paused_at": "2026-01-01T00:00:00Z"})
        self._checked("source", made["id"])
        return made["id"]

    def follow_schedule(self, source_id: int) -> None:
        self.call("PUT", f"/v4/sources/{source_id}", {"paused_at": None})

    def discover(self, source_id: int) -> None:
        """Let the server look for new streams: a change of properties, also an empty one, has it check anew."""
        self.call("PUT", f"/v4/sources/{source_id}", {"properties": {}})
        self._checked("source", source_id)

    def select_all(self, source_id: int) -> None:
        """Select every stream with every field."""
        chosen: list[dict[str, Any]] = []
        for stream in self.call("GET", f"/v4/sources/{source_id}/streams"):
            schema = self.call("GET", f"/v4/sources/{source_id}/streams/{stream['stream_id']}")
            entries = [{"breadcrumb": one["breadcrumb"], "metadata": {"selected": True}} for one in schema["metadata"]]
            chosen.append({"tap_stream_id": stream["tap_stream_id"], "metadata": entries})
        self.call("PUT", f"/v4/sources/{source_id}/streams/metadata", {"streams": chosen})

    def replicate(self, source_id: int) -> str:
        """Start a job, wait for its end and return its log; raise what stopped it."""
        name = self.call("POST", f"/v4/sources/{source_id}/sync")["job_name"]
        client_id = name.partition(".")[0]

        def ended() -> Mapping[str, Any] | None:
            page = self.call("GET", f"/v4/{client_id}/extractions")
            return next((one for one in page["data"] if one["job_name"] == name), None)

        told = wait_for(ended, f"job {name}")
        for phase in ("discovery", "tap", "target"):
            if told[f"{phase}_exit_status"] != 0:
                raise LockstitchError(f"job {name}: {told[f'{phase}_description']}")
        return self.download(f"/v4/{client_id}/extractions/{name}").decode()

    def _checked(self, kind: str, connection_id: int) -> None:
        def ended() -> Mapping[str, Any] | None:
            check = self.call("GET", f"/v4/{kind}s/{connection_id}/last-connection-check")
            return None if check["status"] == "running" else check

        check = wait_for(ended, f"the check of {kind} {connection_id}")
        if check["error"]:
            raise LockstitchError(f"the check of {kind} {connection_id} failed: {check['discovery_error_message']}")


def wait_for(attempt: Callable[[], Any], what: str) -> Any:
    """Return the first answer that says something."""
    ends = time.monotonic() + PATIENCE
    while (found := attempt()) is None:
        if time.monotonic() > ends:
            raise LockstitchError(f"waited {PATIENCE:.0f} s for {what}")
        time.sleep(0.05)
    return found


@contextmanager
def started(
    home: Path, port: int, folder: Path, database_url: str | None = None
) -> Generator[tuple[str, subprocess.Popen[bytes]]]:
    """Start `lockstitch up`, whose accounts may use files below `folder`; yield its address. It ends with the block."""
    log = home.parent / f"{home.name}.log"
    with log.open("wb") as output:
        up = [*_COMMAND, "up", "--home", str(home), "--port", str(port)]
        allowed = {**_environment(database_url), "LOCKSTITCH_ALLOW_FOLDERS": str(folder.resolve())}
        process = subprocess.Popen(up, stdout=output, stderr=subprocess.STDOUT, env=allowed)
    try:
        yield wait_for(lambda: _address(log, process), "the server"), process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def serving(
    home: Path, port: int, folder: Path, database_url: str | None = None
) -> Generator[tuple[Client, subprocess.Popen[bytes]]]:
    """Start a server like `started`, and yield a client with a token of its first account."""
    with started(home, port, folder, database_url) as (address, process):
        client = Client(address, make_token(home, database_url))
        try:
            yield client, process
        finally:
            client.close()


_COMMAND = [sys.executable, "-m", "lockstitch"]


def make_token(home: Path, database_url: str | None = None) -> str:
    """Make a token of the first account."""
    create = [*_COMMAND, "tokens", "create", "--home", str(home)]
    made = subprocess.run(create, check=True, capture_output=True, text=True, env=_environment(database_url))
    return made.stdout.splitlines()[-1]


def _environment(database_url: str | None) -> dict[str, str]:
    return {**os.environ, **({} if database_url is None else {"LOCKSTITCH_DATABASE_URL": database_url})}


def _address(log: Path, process: subprocess.Popen[bytes]) -> str | None:
    text = log.read_text()
    if process.poll() is not None:
        raise LockstitchError(f"the server did not start:\n{text}")
    told = [line for line in text.splitlines() if line.startswith("Lockstitch listens on ")]
    return told[0].rpartition(" ")[2] if told else None
