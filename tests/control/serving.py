"""A server of its own for a test: the command as users start it, and a client that shows its token."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from lockstitch.demo.shop import dumps
from lockstitch.testing.heap_bucket import write_dump

T = TypeVar("T")


@dataclass
class Served:
    """A running server, and the words to speak with it."""

    home: Path
    process: subprocess.Popen[str]
    address: str
    token: str = ""
    account_id: int = 0
    client: httpx2.Client = field(default_factory=lambda: httpx2.Client(timeout=60))

    def call(self, method: str, path: str, body: Any = None, *, token: str | None = None, status: int = 200) -> Any:
        """Send a request as the documentation shows it, and return the answer's JSON."""
        answer = self.ask(method, path, body, token=token)
        assert answer.status_code == status, (answer.status_code, answer.text)
        return answer.json()

    def ask(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"}
        more = {} if body is None else {"json": body}
        return self.client.request(method, self.address + path, headers=headers, **more)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        self.kill()
        self.client.close()

    def stop(self) -> int:
        """Stop the server as an operator would, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=90)


def start(home: Path, *arguments: str) -> Served:
    """Start `lockstitch up` and wait until it answers."""
    command = [sys.executable, "-m", "lockstitch", "up", "--home", str(home), "--port", "0", *arguments]
    output = (home.parent / f"{home.name}.log").open("a+")
    begun = output.tell()
    process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True, env=environment(home))
    try:
        address = until(lambda: _address(output.name, begun, process), "the server to listen")
        served = Served(home, process, address)
        until(lambda: _is_ready(served), "the server to be ready")
    except BaseException:
        process.kill()
        raise
    finally:
        output.close()
    return served


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a server: files may lie beside its home folder."""
    return {**os.environ, "LOCKSTITCH_HOME": str(home / "unused"), "LOCKSTITCH_ALLOW_FOLDERS": str(home.parent)}


def _address(log: str, begun: int, process: subprocess.Popen[str]) -> str | None:
    text = Path(log).read_text()[begun:]
    assert process.poll() is None, text
    lines = [line for line in text.splitlines() if line.startswith("Lockstitch listens on ")]
    return lines[0].rpartition(" ")[2] if lines else None


def _is_ready(served: Served) -> bool:
    try:
        return served.client.get(served.address + "/ready").status_code == 200
    except httpx2.TransportError:
        return False


def until(attempt: Callable[[], T | None], what: str, seconds: float = 60) -> T:
    """Return the attempt's first answer that says something."""
    ends = time.monotonic() + seconds
    while True:
        found = attempt()
        if found:
            return found
        assert time.monotonic() < ends, f"waited {seconds} s for {what}"
        time.sleep(0.1)


@contextmanager
def serving(home: Path, *arguments: str) -> Generator[Served]:
    """Yield a server with a first account and its token; it is gone afterwards."""
    served = start(home, *arguments)
    try:
        served.token = make_token(home)
        served.account_id = account_of(served)
        yield served
    finally:
        served.close()


def make_token(home: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "lockstitch", "tokens", "create", "--home", str(home), *arguments]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(home))
    return told.stdout.splitlines()[-1]


def account_of(served: Served) -> int:
    """Return the id of the token's account: a source is told with it."""
    made = served.call("POST", "/v4/sources", {"type": "import_api", "display_name": "whose"})
    served.call("DELETE", f"/v4/sources/{made['id']}")
    return made["stitch_client_id"]


# --- what most tests need ---------------------------------------------------------------------------------------------


def write_bucket(folder: Path, count: int = 3) -> str:
    """Write the first dumps of the demo's shop and return the bucket's address."""
    for _, dump in zip(range(count), dumps(), strict=False):
        write_dump(folder, dump.number, dump.tables)
    return folder.as_uri()


def heap_properties(bucket_url: str) -> dict[str, str]:
    return {
        "bucket": "heap-rs3-acme",
        "account_id": "123456789012",
        "external_id": "stitch_connection_1",
        "role_name": "stitch_heap",
        "start_date": "2026-01-01T00:00:00Z",
        "bucket_url": bucket_url,
    }


def selected(served: Served, source_id: int, *names: str) -> None:
    """Select the streams of these names, or all, with all of their fields."""
    found = served.call("GET", f"/v4/sources/{source_id}/streams")
    wanted = [one for one in found if not names or one["stream_name"] in names]
    body: list[dict[str, Any]] = []
    for one in wanted:
        schema = served.call("GET", f"/v4/sources/{source_id}/streams/{one['stream_id']}")
        fields = [entry["breadcrumb"] for entry in schema["metadata"]]
        entries = [{"breadcrumb": breadcrumb, "metadata": {"selected": True}} for breadcrumb in fields]
        body.append({"tap_stream_id": one["tap_stream_id"], "metadata": entries})
    assert served.call("PUT", f"/v4/sources/{source_id}/streams/metadata", {"streams": body}) == {"status": 200}


def check_ended(served: Served, kind: str, connection_id: int) -> dict[str, Any]:
    """Wait for the last connection check of a source or destination."""

    def ended() -> dict[str, Any] | None:
        check = served.call("GET", f"/v4/{kind}s/{connection_id}/last-connection-check")
        return check if check["status"] != "running" else None

    return until(ended, f"the check of {kind} {connection_id}")


def job_of(served: Served, source_id: int) -> str:
    """Start a job by hand, or find the one that the schedule has begun meanwhile; return its name."""
    answer = served.call("POST", f"/v4/sources/{source_id}/sync")
    if "job_name" in answer:
        return answer["job_name"]

    def told() -> str | None:
        page = served.call("GET", f"/v4/{served.account_id}/extractions")
        return next((one["job_name"] for one in page["data"] if one["source_id"] == source_id), None)

    return until(told, "the scheduled job")


def extraction_of(served: Served, job_name: str) -> dict[str, Any]:
    """Wait until a job is told among the extractions."""

    def told() -> dict[str, Any] | None:
        page = served.call("GET", f"/v4/{served.account_id}/extractions")
        return next((one for one in page["data"] if one["job_name"] == job_name), None)

    return until(told, f"job {job_name}")
