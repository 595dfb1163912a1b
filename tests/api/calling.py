"""An application of its own for a test module, and the words to call it as one account."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litestar.testing import TestClient
from tests.planted import PASSWORD

from lockstitch.api.app import make_app
from lockstitch.control import accounts, checks, connections, selection, tokens
from lockstitch.control.server import Server, Settings, open_server
from lockstitch.core.model import Field, Stream

if TYPE_CHECKING:
    from httpx import Response

_NUMBERS = itertools.count(1)

HEAP = {
    "bucket": "heap-rs3-acme",
    "account_id": "123456789012",
    "external_id": "stitch_connection_1",
    "role_name": "stitch_heap",
    "start_date": "2026-01-01T00:00:00Z",
}
POSTGRES = {
    "host": "db.example.com",
    "port": "5432",
    "username": "stitch",
    "database": "demni2mf59dt10",
    "password": PASSWORD,
    "ssl": False,
}
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
JOB = r"[0-9a-f]{8}-[0-9a-f]{4}-[15][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Served:
    """An application that only answers: checks and jobs are asked for, and a test itself says how they end."""

    server: Server
    client: TestClient[Any]

    def account(self) -> Account:
        """Make an account with a token."""
        values = {**accounts.FIRST, "email": f"owner{next(_NUMBERS)}@example.com"}
        with self.server.write() as db:
            account_id = accounts.insert(db, values, now())
            return Account(self, account_id, tokens.make_api_token(db, account_id, "test", now()).text)


@contextmanager
def serving(home: Path, origins: Sequence[str] = (), **settings: Any) -> Generator[Served]:
    server = open_server(Settings(home, **settings))
    try:
        # A bug is to be seen as the 500 that it is for a client.
        with TestClient(make_app(server, origins), raise_server_exceptions=False) as client:
            yield Served(server, client)
    finally:
        server.store.close()


@dataclass(frozen=True)
class Account:
    """One account and its token."""

    served: Served
    id: int
    token: str = field(repr=False)

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Response:
        """Send a request as the documentation shows it."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        more["headers"] = {**headers, **more.get("headers", {})}
        if body is not None:
            more["json"] = body
        return self.served.client.request(method, path, follow_redirects=False, **more)

    def call(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """Send a request and return the answer's JSON."""
        answer = self.ask(method, path, body)
        assert answer.status_code == status, (answer.status_code, answer.text)
        assert answer.headers["content-type"].startswith("application/json"), answer.headers
        return answer.json()

    def text(self, method: str, path: str, body: Any = None) -> str:
        """Send a request that is refused with bare text, and return that."""
        answer = self.ask(method, path, body)
        assert answer.status_code == 400, (answer.status_code, answer.text)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        return answer.text

    # --- what most tests need ---------------------------------------------------------------------------------------

    def destination(self, **more: Any) -> dict[str, Any]:
        return self.call("POST", "/v4/destinations", {"type": "postgres", "properties": POSTGRES, **more})

    def source(self, display_name: str = "Heap", **more: Any) -> dict[str, Any]:
        body = {"type": "platform.heap", "display_name": display_name, "properties": HEAP, **more}
        return self.call("POST", "/v4/sources", body)

    def import_source(self, display_name: str = "Import API") -> dict[str, Any]:
        return self.call("POST", "/v4/sources", {"type": "import_api", "display_name": display_name})

    def discovered(self, source: dict[str, Any], *streams: Stream) -> None:
        """Let the source's check succeed, as if a worker had found these streams, or two others."""
        server = self.served.server
        with server.write() as db:
            selection.store_discovered(db, server.store.insert_new, source["id"], streams or STREAMS, now())
            if "check_job_name" in source:
                checks.finish(db, source["check_job_name"], check=0, discovery=0, message=None, now=now())

    def selected(self, source: dict[str, Any], *names: str) -> None:
        """Select these streams with one field."""
        entries = [_selecting("users" if not names else name) for name in names or ("users",)]
        assert self.choose(source["id"], *entries) == {"status": 200}

    def choose(self, source_id: int, *streams: Any, status: int = 200) -> Any:
        return self.call("PUT", f"/v4/sources/{source_id}/streams/metadata", {"streams": list(streams)}, status=status)

    def ready_source(self, display_name: str = "Heap") -> dict[str, Any]:
        """Make a source that only waits for its first job."""
        source = self.source(display_name)
        self.discovered(source)
        self.selected(source)
        return self.call("GET", f"/v4/sources/{source['id']}")

    def row(self, connection_id: int) -> Any:
        with self.served.server.read() as db:
            for kind in ("source", "destination"):
                row = connections.one(db, self.id, kind, connection_id)
                if row is not None:
                    return row
        return None


STREAMS = (
    Stream(
        "users",
        fields=(
            Field("user_id", "integer"),
            Field("email", "string"),
            Field("time", "string", "date-time"),
            Field("blob", "string", inclusion="unsupported"),
        ),
        key=("user_id",),
        replication_method="INCREMENTAL",
        replication_key="time",
    ),
    Stream("sessions", fields=(Field("session_id", "integer"), Field("event_id", "string")), key=("session_id",)),
)


def _selecting(name: str) -> dict[str, Any]:
    field_name = {"users": "email", "sessions": "event_id"}[name]
    return {
        "tap_stream_id": name,
        "metadata": [
            {"breadcrumb": [], "metadata": {"selected": True}},
            {"breadcrumb": ["properties", field_name], "metadata": {"selected": True}},
        ],
    }
