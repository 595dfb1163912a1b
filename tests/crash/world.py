"""What a server that is killed again and again was told, and what must hold of all that at the end."""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import sqlalchemy as sa
from tests.control.serving import Served, check_ended, extraction_of, until
from tests.control.things import ROWS_A_PAGE, begin, rows, things

from lockstitch.control.store.database import Store
from lockstitch.control.store.tables import connections, runs

BY_HAND = ("first", "second", "third")
BY_SCHEDULE = ("hourly", "daily")
CHOSEN = "chosen"


@dataclass
class World:
    """All that a server was told and has acknowledged."""

    served: Served
    store: Store
    warehouse: Path
    sources: dict[str, int] = field(default_factory=dict[str, int])
    pages: dict[str, int] = field(default_factory=dict[str, int])
    ticks: list[tuple[int, datetime]] = field(default_factory=list[tuple[int, datetime]])
    selections: set[bool] = field(default_factory=lambda: {True})
    pushed: int = 0
    push_source: int = 0
    push_token: str = ""
    faults: list[BaseException] = field(default_factory=list[BaseException])
    _quiet: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def set_up(self) -> None:
        for name in (*BY_HAND, *BY_SCHEDULE, CHOSEN):
            self.sources[name] = things(self.served, name, pause=0.02, checkpoints=5)
            self.pages[name] = 5
        for name in BY_SCHEDULE:
            self.served.call("PUT", f"/v4/sources/{self.sources[name]}", {"paused_at": None})
        made = self.served.call("POST", "/v4/sources", {"type": "import_api", "display_name": "pushes"})
        self.push_source = made["id"]
        self.push_token = self.served.call("POST", f"/v4/sources/{made['id']}/tokens")["access_token"]

    # --- the load --------------------------------------------------------------------------------------------------

    def begin_load(self) -> None:
        """Ask for things from now on, one after the other, until `end_load`."""
        self._quiet.clear()
        self._thread = threading.Thread(target=self._ask_on)
        self._thread.start()

    def end_load(self) -> None:
        self._quiet.set()
        assert self._thread is not None
        self._thread.join()
        if self.faults:
            raise self.faults[0]

    def _ask_on(self) -> None:
        deeds = (self._run, self._grow, self._tick, self._select, self._push)
        while not self._quiet.is_set():
            try:
                random.choice(deeds)()
            except httpx2.TransportError:
                time.sleep(0.05)  # the server is dead, so nothing was acknowledged
            except BaseException as error:
                self.faults.append(error)
                return

    def _run(self) -> None:
        self.served.call("POST", f"/v4/sources/{self.sources[random.choice(BY_HAND)]}/sync")

    def _grow(self) -> None:
        name = random.choice((*BY_HAND, *BY_SCHEDULE))
        wanted = self.pages[name] + 1
        body = {"properties": {"checkpoints": str(wanted)}}
        self.served.call("PUT", f"/v4/sources/{self.sources[name]}", body)
        self.pages[name] = wanted

    def _tick(self) -> None:
        """Let a source be due now, unless it has a run: then the tick would be skipped."""
        source_id = self.sources[random.choice(BY_SCHEDULE)]
        moment = datetime.now(UTC)
        with self.store.begin() as db:
            source = sa.select(connections).where(connections.c.id == source_id).with_for_update()
            row = db.execute(source).one()
            busy = db.execute(sa.select(runs.c.name).where(runs.c.active_source_id == source_id)).first()
            if busy is not None or row.next_fire_at is None or row.next_fire_at < moment:
                return
            db.execute(sa.update(connections).where(connections.c.id == source_id).values(next_fire_at=moment))
        self.ticks.append((source_id, moment))

    def _select(self) -> None:
        wanted = not min(self.selections)
        # Until it is answered, either may be stored.
        self.selections = {True, False}
        entry = {"breadcrumb": [], "metadata": {"selected": wanted}}
        body = {"streams": [{"tap_stream_id": "others", "metadata": [entry]}]}
        path = f"/v4/sources/{self.sources[CHOSEN]}/streams/metadata"
        assert self.served.call("PUT", path, body) == {"status": 200}
        self.selections = {wanted}

    def _push(self) -> None:
        number = self.pushed + 1
        record = {
            "client_id": self.served.account_id,
            "table_name": "pushed",
            "action": "upsert",
            "sequence": number,
            "key_names": ["id"],
            "data": {"id": number},
        }
        headers = {"Authorization": f"Bearer {self.push_token}", "Content-Type": "application/json"}
        address = f"{self.served.address}/v2/import/push"
        answer = self.served.client.post(address, content=json.dumps([record]), headers=headers)
        if answer.status_code not in (503, 504):
            assert answer.status_code in (200, 201, 202), answer.text
            self.pushed = number

    # --- what must hold --------------------------------------------------------------------------------------------

    def look_at_selection(self) -> None:
        """A choice that was answered is still there; one that was not may be."""
        found = self.served.call("GET", f"/v4/sources/{self.sources[CHOSEN]}/streams")
        (stored,) = [one["selected"] for one in found if one["tap_stream_id"] == "others"]
        assert stored in self.selections
        self.selections = {stored}

    def look_at_all(self) -> None:
        """Wait until all is at rest; then nothing is lost, doubled or stuck."""
        self.look_at_selection()
        until(lambda: not self.due(), "all ticks to fire", 90)
        until(lambda: not self.active(), "all runs to end", 90)
        with self.store.read() as db:
            for source_id, moment in self.ticks:
                query = sa.select(sa.func.count()).select_from(runs)
                fired = db.execute(query.where(runs.c.source_id == source_id, runs.c.tick == moment)).scalar_one()
                assert fired == 1, (source_id, moment, fired)
        for name in (*BY_HAND, *BY_SCHEDULE):
            check_ended(self.served, "source", self.sources[name])
            ended = extraction_of(self.served, begin(self.served, self.sources[name]))
            assert ended["tap_exit_status"] == ended["target_exit_status"] == 0, ended
            assert rows(self.warehouse, name) >= self.pages[name] * ROWS_A_PAGE
            stored = self.served.call("GET", f"/v4/sources/{self.sources[name]}")["properties"]["checkpoints"]
            assert rows(self.warehouse, name) == int(stored) * ROWS_A_PAGE, name
        if self.pushed:
            until(lambda: self.landed() >= self.pushed, f"{self.pushed} pushed records, {self.landed()} there", 90)

    def due(self) -> list[Any]:
        with self.store.read() as db:
            query = sa.select(connections.c.id).where(connections.c.next_fire_at <= datetime.now(UTC))
            return list(db.execute(query))

    def active(self) -> list[Any]:
        with self.store.read() as db:
            return list(db.execute(sa.select(runs.c.name).where(runs.c.active_source_id > 0)))

    def landed(self) -> int:
        with duckdb.connect(str(self.warehouse), read_only=True) as db:
            try:
                found = db.execute("select count(distinct id), max(id) from pushes.pushed").fetchone()
            except duckdb.CatalogException:
                return 0
        assert found is not None
        return int(found[0])
