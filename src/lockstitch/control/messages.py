"""What a worker and the child process of one job say to each other, as data on a pipe."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from lockstitch.core.errors import Verdict
from lockstitch.core.loads import LedgerRow
from lockstitch.core.model import Stream, StreamChoice
from lockstitch.engine.events import LoadedStream

Phase = Literal["discovery", "tap", "target"]


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """All that a child needs; properties with their credentials, so it is never written anywhere.

    `check` looks at the ends that are given and discovers; `run` replicates the `selection`, None being all streams.
    `home` is the folder for what waits.
    """

    kind: Literal["check", "run"]
    home: str
    connection: str = ""
    schema: str = ""
    source_type: str | None = None
    source_properties: Mapping[str, Any] = {}
    destination_type: str | None = None
    destination_properties: Mapping[str, Any] = {}
    selection: Mapping[str, StreamChoice] | None = None

    def __repr__(self) -> str:
        return f"Assignment({self.kind}, {self.source_type}, {self.destination_type})"


class Logged(msgspec.Struct, frozen=True, tag=True):
    """One entry of the extraction log."""

    place: Literal["main", "tap", "target"]
    level: Literal["INFO", "WARNING", "ERROR", "CRITICAL"]
    text: str


class Discovered(msgspec.Struct, frozen=True, tag=True):
    streams: tuple[Stream, ...]


class Ended(msgspec.Struct, frozen=True, tag=True):
    """How a phase ended: `message` is None where it went well."""

    phase: Phase
    message: str | None = None


class Committed(msgspec.Struct, frozen=True, tag=True):
    """A load has landed: the accounts of its tables, and what it brought of each stream."""

    tables: tuple[LedgerRow, ...]
    streams: tuple[LoadedStream, ...] = ()
    batched_at: datetime | None = None


class NotLoaded(msgspec.Struct, frozen=True, tag=True):
    """The destination refused: none of these streams' last rows landed."""

    streams: tuple[str, ...]
    message: str


class Done(msgspec.Struct, frozen=True, tag=True):
    """The job is over; `verdict` says who must act, or None where all went well."""

    verdict: Verdict | None = None


Message = Logged | Discovered | Ended | Committed | NotLoaded | Done

encode = msgspec.msgpack.encode
read_message = msgspec.msgpack.Decoder(Message).decode
read_assignment = msgspec.msgpack.Decoder(Assignment).decode
STOP = b"stop"
