"""Another author's connector, as an installed package: files for an entry point, made in a folder on the path."""

from __future__ import annotations

from pathlib import Path

SPEC = """
from typing import Annotated, Literal

import msgspec

TYPES = ("acme.things", "acme.old")
TITLE = "Acme"
EXTRA = "acme"
CREDENTIALS = frozenset({"token"})


class Properties(msgspec.Struct, frozen=True):
    host: str
    token: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65535, description="of the server")] = 443
    mode: Literal["fast", "slow"] = "fast"
    secure: bool = True
    tables: list[str] = []
    checkpoints: int = 3
    pause: float = 0.0
    fails_at: int | None = None

    def __post_init__(self):
        if self.mode == "slow" and not self.secure:
            raise ValueError("a slow way must be secure")


def open_source(properties, *, spool=None):
    if properties.host == "no-driver":
        import acme_driver_that_nobody_installed
    if properties.host == "refused":
        from lockstitch.core.errors import AccessError
        raise AccessError(f"token {properties.token} is refused", hint=f"not {properties.token}")
    if properties.host == "broken":
        raise RuntimeError(f"sent {properties.token}")
    from acme_things.source import Things
    return Things(properties)
"""

SOURCE = """
import time

import pyarrow as pa

from lockstitch.core.errors import SourceDataError
from lockstitch.core.model import Batch, Checkpoint, Field, Lane, Remaining, Stream

THINGS = Stream("things", (Field("id", "integer"), Field("at", "string", "date-time")), ("id",))
OTHERS = Stream("others", (Field("name"),))


class Things:
    new_fields = "add"

    def __init__(self, properties):
        self.properties = properties

    def check(self):
        if self.properties.host == "late":
            import acme_driver_that_nobody_installed

    def discover(self):
        return [THINGS, OTHERS]

    def lanes(self, wanted):
        self.wanted = {each.stream.name: each for each in wanted}
        return [Lane(name, (name,)) for name in self.wanted]

    def parts(self, lane, cursor):
        return ()

    def read(self, lane, cursor):
        begin, end = cursor or 0, self.properties.checkpoints
        yield Checkpoint(begin, Remaining(end - begin, (end - begin) * 1000))
        for at in range(begin, end):
            time.sleep(self.properties.pause)
            if at == self.properties.fails_at:
                raise SourceDataError(f"page {at} is cut, said {self.properties.token}", hint="mend the page")
            rows, wanted = self.rows(lane.name, at), self.wanted[lane.name]
            yield Batch(lane.name, rows.select([name for name in rows.schema.names if wanted.wants(name)]))
            yield Checkpoint(at + 1, Remaining(end - at - 1, (end - at - 1) * 1000))

    def rows(self, stream, at):
        if stream == "others":
            return pa.record_batch({"name": ["one", "two"]})
        return pa.record_batch({"id": pa.array([at, at + 1]), "at": ["2026-01-01T00:00:00Z", None]})

    def cursors(self, state):
        return {name: bookmark["page"] for name, bookmark in state["bookmarks"].items()}

    def versions(self, lane, cursor):
        return {}

    def committed(self, lane, cursor):
        pass

    def close(self):
        pass
"""


def install(folder: Path) -> Path:
    """Lay the package out in a folder, ready to be put on the path."""
    package = folder / "acme_things"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "spec.py").write_text(SPEC)
    (package / "source.py").write_text(SOURCE)
    metadata = folder / "acme_things-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-things\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[lockstitch.connectors]\nacme = acme_things.spec\n")
    return folder
