"""The look-up of users keeps the promises of every source, and says what stands against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lockstitch.core.errors import LockstitchError, SettingsError
from lockstitch.core.model import Batch, Selected
from lockstitch.core.protocols import Source
from lockstitch.sources.heap_api import source
from lockstitch.sources.heap_api.spec import Properties, open_source
from lockstitch.testing.source_contract import OpenSource, SourceContract
from lockstitch.testing.vendors.faults import LASTING, TRANSIENT
from lockstitch.testing.vendors.heap_api import HeapServer
from lockstitch.toolkit.http.client import Patience

PROFILES: dict[str, dict[str, Any]] = {
    "ann@example.com": {"plan": "free", "age": 41},
    "ben@example.com": {"plan": "paid", "score": 1.5},
    "ä 🧵 & co": {"plan": "free", "age": "unknown"},
}


class Looked:
    """Heap with three users, and look-ups of them."""

    def __init__(self, home: Path, server: HeapServer) -> None:
        self.home = home
        self.server = server
        self.opened: list[Source] = []
        server.profiles.update(PROFILES)

    def open(self, **properties: Any) -> Source:
        client = {"client_id": "client", "client_secret": "test-secret"}
        settings: dict[str, Any] = {"identities": [*PROFILES], "base_url": self.server.url, **client, **properties}
        self.opened.append(open_source(Properties(**settings), spool=self.home / "spool"))
        return self.opened[-1]

    def users(self, **properties: Any) -> list[dict[str, Any]]:
        opened = self.open(**properties)
        [lane] = opened.lanes([Selected(stream) for stream in opened.discover()])
        return [row for one in opened.read(lane, None) if isinstance(one, Batch) for row in one.rows.to_pylist()]


@pytest.fixture
def looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Looked]:
    monkeypatch.setattr(source, "PATIENCE", Patience(tries=4, first=0.01, most=0.05, budget=2.5, unsaid=0.05))
    with HeapServer() as server:
        heap = Looked(tmp_path, server)
        yield heap
        for each in heap.opened:
            each.close()


class TestHeapApi(SourceContract):
    unknown_cursors = ({"unknown": "cursor"}, "unknown", 17, {"version": "1"})

    @pytest.fixture
    def open_source(self, looked: Looked) -> OpenSource:
        return looked.open


def holds(rows: list[dict[str, Any]]) -> None:
    found = {row["identity"]: {name: row[name] for name in row if row[name] is not None} for row in rows}
    assert found == {identity: {"identity": identity, **profile} for identity, profile in PROFILES.items()}


def test_profiles_come_as_they_are(looked: Looked) -> None:
    holds(looked.users())
    assert looked.server.count("/oauth/token") == 1


def test_whose_profiles_are_read_may_be_asked_of_a_database(
    looked: Looked, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as db:
        db.execute("create table customers (email varchar)")
        db.executemany("insert into customers values (?)", [[one] for one in [*PROFILES, *PROFILES, None, ""]])
    asked = {"identities": "select email from customers; ", "path": str(path)}
    holds(looked.users(**asked))
    assert looked.server.count("/user") == len(PROFILES)
    assert "2 of 8 rows have no identity to look up" in caplog.text
    looked.open(**asked).check()
    assert looked.users(**{**asked, "identities": "select email from customers where false"}) == []
    with pytest.raises(SettingsError, match="identities has 2 columns"):
        looked.users(**{**asked, "identities": "select email, email as again from customers"})
    with pytest.raises(SettingsError, match="cannot answer the query"):
        looked.users(**{**asked, "identities": "delete from customers"})


@pytest.mark.parametrize("name", TRANSIENT)
def test_all_profiles_come_through_each_fault(looked: Looked, name: str) -> None:
    if name == "new fields":
        pytest.skip("a profile has any fields: one more is one more column")
    looked.open().check()  # the token is there
    looked.server.faults.add(TRANSIENT[name])
    holds(looked.users())
    assert looked.server.faults.met


@pytest.mark.parametrize("name", LASTING)
def test_a_lasting_fault_is_told_with_the_path(looked: Looked, name: str) -> None:
    looked.open().check()
    looked.server.faults.add(LASTING[name])
    with pytest.raises(LockstitchError, match=r"GET /user|POST /oauth/token"):
        looked.users()
    looked.server.faults.clear()
    holds(looked.users())


def test_unknown_users_are_left_out_with_a_warning(looked: Looked, caplog: pytest.LogCaptureFixture) -> None:
    holds(looked.users(identities=["nobody", *PROFILES, "nobody"]))
    assert "1 of 4 identities are not known to Heap" in caplog.text


def test_where_nobody_is_known_the_address_is_in_doubt(looked: Looked) -> None:
    with pytest.raises(SettingsError, match="answers 404 to GET /user for every identity") as refused:
        looked.users(base_url=f"{looked.server.url}", identities=["nobody", "neither"])
    assert refused.value.hint


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"client_id": None}, "neither access_token nor client_id and client_secret"),
        ({"base_url": "heap"}, "base_url is 'heap'"),
        ({"identities": ["a", ""]}, "identities has an empty one"),
        ({"identities": "ann"}, "identities is 'ann', a query, and no database is named"),
        ({"identities": "select 1", "path": "x.duckdb", "host": "x"}, "names both of path and host"),
    ],
)
def test_settings_that_do_not_suffice_are_refused_with_a_hint(
    looked: Looked, properties: dict[str, Any], told: str
) -> None:
    with pytest.raises(SettingsError, match=told) as refused:
        looked.open(**properties)
    assert refused.value.hint
