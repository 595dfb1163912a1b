"""An Import API source of one account, and requests to it, byte by byte."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.api.calling import Account
from tests.importing.bodies import pushed

from lockstitch.toolkit.inbox.inbox import Inbox
from lockstitch.toolkit.inbox.records import read_entry

if TYPE_CHECKING:
    from httpx import Response

JSON, TRANSIT = "application/json", "application/transit+json"
STORED = (201, {"status": "OK", "message": "Batch Accepted!"})


@dataclass(frozen=True)
class Pushing:
    """A source with its token."""

    account: Account
    source_id: int
    token: str

    def send(
        self, body: bytes, kind: str = "push", *, media: str | None = JSON, method: str = "POST", **headers: str | None
    ) -> Response:
        """Send a request with these headers and no other; one that is None is left out."""
        given = {"Authorization": f"Bearer {self.token}", "Content-Type": media}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        shown = {name: value for name, value in given.items() if value is not None}
        return self.account.served.client.request(method, f"/v2/import/{kind}", content=body, headers=shown)

    def ask(self, body: Any, kind: str = "push", **more: Any) -> tuple[int, Any]:
        """Send a body as JSON, and return the answer's status and parsed body."""
        answer = self.send(json.dumps(body).encode(), kind, **more)
        assert answer.headers["content-type"] == JSON, answer.headers
        return answer.status_code, answer.json()

    def record(self, **changes: Any) -> dict[str, Any]:
        return pushed(**{"client_id": self.account.id, **changes})

    def waiting(self) -> list[tuple[str, list[int], list[dict[str, Any]]]]:
        """Return table, sequences and rows of all that is in the inbox, in its order."""
        folder = self.account.served.server.settings.home / "inbox" / str(self.source_id)
        entries = [read_entry(payload) for _, payload in Inbox(folder).read()]
        return [(one.table, *one.decoded()) for entry in entries for one in entry]


def pushing(account: Account, name: str = "Import API") -> Pushing:
    source = account.import_source(name)
    token = account.call("POST", f"/v4/sources/{source['id']}/tokens")
    return Pushing(account, source["id"], token["access_token"])


def zipped(body: Any) -> bytes:
    return gzip.compress(json.dumps(body).encode())
