"""A vendor that answers what a test lays ready, then a list for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lockstitch.testing.vendors.messages import Reply, Request, json_reply
from lockstitch.testing.vendors.server import VendorServer
from lockstitch.toolkit.http.client import Api, Patience

FINE = {"data": [1, 2, 3]}


class Vendor(VendorServer):
    """`ready` are the next answers, or what makes one of a request; after them every request is answered `FINE`."""

    def __init__(self) -> None:
        super().__init__()
        self.ready: list[Reply | Callable[[Request], Reply]] = []
        self.clients: list[Api] = []

    def __exit__(self, *error: object) -> None:
        for client in self.clients:
            client.close()
        super().__exit__(*error)

    def answer(self, request: Request) -> Reply:
        reply = self.ready.pop(0) if self.ready else json_reply(FINE)
        return reply if isinstance(reply, Reply) else reply(request)

    def statuses(self) -> list[int | None]:
        """Return what was answered, in order."""
        return [each.status for each in self.requests]


class Sleeps(list[float]):
    """Notes how long somebody wanted to sleep, and lets him go on."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def api_of(vendor: Vendor, sleep: Callable[[float], None], **settings: Any) -> Api:
    """Return a client that waits in short steps where it is not told for how long; it is closed with the vendor."""
    usual: dict[str, Any] = {"patience": Patience(first=0.01), "timeout": 5.0}
    api = Api(vendor.url, sleep=sleep, **{**usual, **settings})
    vendor.clients.append(api)
    return api
