"""The ways in which users carry a connection: the command `lockstitch run`, and a server that is told over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from tests.control.serving import Served, check_ended, selected, until

from lockstitch.core.model import Json

#: How the command ends where a user must act, and where trying later is enough.
USER, RETRY = 2, 75


@dataclass(frozen=True)
class Connection:
    """What is to be carried: the streams named, or where nothing is chosen all. The source's name is the schema."""

    source_type: str
    name: str
    source_properties: Mapping[str, Json]
    destination_type: str
    destination_properties: Mapping[str, Json]
    streams: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Ended:
    """How a run ended: `error` is empty where all went well, `text` is all that was told of it."""

    error: str
    text: str


class Way(Protocol):
    """Carries one connection again and again."""

    def run(self) -> Ended:
        """Carry what is new."""
        ...

    def change(self, **properties: Json) -> None:
        """Change properties of the source."""
        ...


@dataclass
class ByCommand:
    """`lockstitch run` as a process, with a pipeline file in `folder`."""

    connection: Connection
    folder: Path
    changed: dict[str, Json] = field(default_factory=dict[str, Json])

    def run(self) -> Ended:
        (self.folder / "pipeline.toml").write_text(self._file(), encoding="utf-8")
        command = [sys.executable, "-m", "lockstitch", "run", "pipeline.toml"]
        environment = {**os.environ, "LOCKSTITCH_HOME": str(self.folder / "home")}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        text = done.stdout + done.stderr
        assert done.returncode in (0, USER, RETRY), text
        return Ended(done.stderr if done.returncode else "", text)

    def change(self, **properties: Json) -> None:
        self.changed |= properties

    def _file(self) -> str:
        one = self.connection
        source = {**one.source_properties, **self.changed}
        return "\n".join(
            [
                "[source]",
                f'type = "{one.source_type}"',
                f'name = "{one.name}"',
                *_chosen(one.streams),
                "[source.properties]",
                *_lines(source),
                "[destination]",
                f'type = "{one.destination_type}"',
                "[destination.properties]",
                *_lines(one.destination_properties),
            ]
        )


def _chosen(streams: tuple[str, ...] | None) -> list[str]:
    return ['streams = "*"'] if streams is None else ["[source.streams]", *(f'{name} = "*"' for name in streams)]


def _lines(values: Mapping[str, Json]) -> list[str]:
    """Return settings in TOML, in which text, numbers and truth values are written as in JSON."""
    return [f"{name} = {json.dumps(value)}" for name, value in values.items()]


class ByServer:
    """A source of a server: made, checked, discovered and chosen of over HTTP, and paused until its first run."""

    def __init__(self, served: Served, connection: Connection, *, minutes: int = 30) -> None:
        self.served = served
        to = {"type": connection.destination_type, "properties": connection.destination_properties}
        self.destination_id: int = served.call("POST", "/v4/destinations", to)["id"]
        made = {
            "type": connection.source_type,
            "display_name": connection.name,
            "destination_id": self.destination_id,
        }
        self.id: int = served.call("POST", "/v4/sources", made)["id"]
        # Before it has its properties, as some types are complete with them, and begin at once.
        self._pause("2026-01-01T00:00:00Z")
        self.change(**connection.source_properties, frequency_in_minutes=str(minutes))
        if connection.streams is not None:
            selected(served, self.id, *connection.streams)
        self._known: set[str] = set()

    def run(self) -> Ended:
        """Carry what is new: the first time the schedule starts the run, later ones are asked for."""
        if self._known:
            self.served.call("POST", f"/v4/sources/{self.id}/sync")
            return self.ended()
        self._pause(None)
        return self.run_by_schedule()

    def run_by_schedule(self) -> Ended:
        """Wait for a run that nobody asks for."""
        ended = self.ended()
        assert uuid.UUID(self.last.rpartition(".")[2]).version == 5, self.last
        return ended

    def ended(self) -> Ended:
        """Wait for the next run's end."""
        told = until(self._told, "the run's end", 180)
        self._known.add(told["job_name"])
        self.last: str = told["job_name"]
        errors = [told[f"{phase}_description"] for phase in ("discovery", "tap", "target")]
        statuses = [told[f"{phase}_exit_status"] for phase in ("discovery", "tap", "target")]
        error = next(filter(None, errors), "")
        assert bool(error) == (statuses != [0, 0, 0]), told
        moved = self.served.ask("GET", f"/v4/{self.served.account_id}/extractions/{self.last}")
        return Ended(error, self.served.client.get(self.served.address + moved.headers["location"]).text)

    def change(self, **properties: Json) -> None:
        self.served.call("PUT", f"/v4/sources/{self.id}", {"properties": properties})
        self._check()

    def remove(self) -> None:
        """Delete the source, so that another one may have its name, and the destination, as there may be few."""
        self.served.call("DELETE", f"/v4/sources/{self.id}")
        self.served.call("DELETE", f"/v4/destinations/{self.destination_id}")

    def listed(self, what: str) -> Iterator[dict[str, Any]]:
        """Yield the account's extractions, or loads, of all pages: those of other and of deleted sources, too."""
        for number in count(1):
            page = self.served.call("GET", f"/v4/{self.served.account_id}/{what}?page={number}")["data"]
            if not page:
                return
            yield from page

    def _told(self) -> dict[str, Any] | None:
        """Look for a new run."""
        mine = (one for one in self.listed("extractions") if one["source_id"] == self.id)
        return next((one for one in mine if one["job_name"] not in self._known), None)

    def _pause(self, at: str | None) -> None:
        self.served.call("PUT", f"/v4/sources/{self.id}", {"paused_at": at})

    def _check(self) -> None:
        check = check_ended(self.served, "source", self.id)
        assert check["status"] == "succeeded", check
