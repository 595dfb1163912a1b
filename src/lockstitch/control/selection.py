"""Streams, their metadata and what of them is replicated (`spec/connect-api.md` section 10)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from lockstitch.control.connections import is_id
from lockstitch.control.refusals import Refusal
from lockstitch.control.store.database import Row
from lockstitch.control.store.tables import connections, streams
from lockstitch.core.model import Field, Stream, StreamChoice

#: What a user may set, and to what; all else is discovered.
_ALLOWED: Mapping[str, Callable[[Any], bool]] = {
    "selected": lambda value: isinstance(value, bool),
    "replication-method": lambda value: value in ("FULL_TABLE", "INCREMENTAL", "LOG_BASED"),
    "replication-key": lambda value: isinstance(value, str),
    "view-key-properties": lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
}
WRITABLE = tuple(_ALLOWED)
_NO_LIST = "body must contain a 'streams' property with a list of metadatas by tap_stream_id"

#: Metadata of a stream as stored: by field name, "" for the stream itself.
Metadata = Mapping[str, Mapping[str, Any]]


def replicated(discovered: Mapping[str, Any], chosen: Mapping[str, Any]) -> bool:
    """Tell whether a field is replicated: the table of section 10.5, whose fifth row is no slip."""
    inclusion = discovered.get("inclusion", "available")
    if inclusion != "available":
        return inclusion == "automatic"
    return chosen.get("selected") is True or discovered.get("selected-by-default") is True


# --- discovery --------------------------------------------------------------------------------------------------------


def store_discovered(
    db: sa.Connection, insert_new: Any, source_id: int, found: Sequence[Stream], now: datetime
) -> None:
    """Take note of what a discovery found; choices stay, and streams that are gone are hidden until they come back."""
    stored = {row.tap_stream_id: row for row in _rows(db, source_id, gone=True)}
    for stream in found:
        values = {
            "source_id": source_id,
            "tap_stream_id": stream.name,
            "stream_name": stream.name,
            "schema": _schema(stream),
            "metadata": _metadata(stream),
            "gone_at": None,
        }
        row = stored.pop(stream.name, None)
        if row is None:
            db.execute(insert_new(streams).values({**values, "chosen": {}}))
        elif (row.schema, row.metadata, row.gone_at) != (values["schema"], values["metadata"], None):
            db.execute(sa.update(streams).where(streams.c.id == row.id).values(values))
    for row in stored.values():
        if row.gone_at is None:
            db.execute(sa.update(streams).where(streams.c.id == row.id).values(gone_at=now))
    _note_selection(db, source_id, discovered_at=now)


def _schema(stream: Stream) -> dict[str, Any]:
    return {"type": "object", "properties": {field.name: _field_schema(field) for field in stream.fields}}


def _field_schema(field: Field) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": ["null", field.type]}
    return {**schema, "format": field.format} if field.format is not None else schema


def _metadata(stream: Stream) -> dict[str, dict[str, Any]]:
    own: dict[str, Any] = {"table-key-properties": list(stream.key)}
    if stream.replication_method is not None:
        own["forced-replication-method"] = stream.replication_method
    if stream.replication_key is not None:
        own["valid-replication-keys"] = [stream.replication_key]
    automatic = {*stream.key, stream.replication_key}
    fields = {
        field.name: {"inclusion": "automatic" if field.name in automatic else field.inclusion}
        for field in stream.fields
    }
    return {"": own, **fields}


# --- reading ----------------------------------------------------------------------------------------------------------


def _rows(db: sa.Connection, source_id: int, *, gone: bool = False) -> Sequence[Row]:
    query = sa.select(streams).where(streams.c.source_id == source_id).order_by(streams.c.id)
    return db.execute(query if gone else query.where(streams.c.gone_at.is_(None))).all()


def listed(db: sa.Connection, source_id: int) -> list[dict[str, Any]]:
    """Return the stream objects of section 10.1."""
    return [
        {
            "selected": row.chosen.get("", {}).get("selected"),
            "stream_id": row.id,
            "tap_stream_id": row.tap_stream_id,
            "stream_name": row.stream_name,
            "metadata": _of_stream(row),
        }
        for row in _rows(db, source_id)
    ]


def read(db: sa.Connection, source_id: int, stream_id: int) -> dict[str, Any]:
    """Return the stream schema of section 10.2."""
    own = (streams.c.source_id == source_id, streams.c.id == stream_id, streams.c.gone_at.is_(None))
    row = db.execute(sa.select(streams).where(*own)).first() if is_id(stream_id) else None
    if row is None:
        raise Refusal(400, JsonText(f"invalid stream-id: {stream_id}"))
    is_selected = row.chosen.get("", {}).get("selected") is True
    fields = [
        {"breadcrumb": ["properties", name], "metadata": _of_field(row, name, shown=is_selected)}
        for name in row.metadata
        if name
    ]
    return {
        "schema": json.dumps(row.schema, separators=(",", ":")),
        "metadata": [{"breadcrumb": [], "metadata": _of_stream(row)}, *fields],
        "non-discoverable-metadata-keys": list(WRITABLE),
    }


class JsonText(str):
    """A body that is a JSON string, quotes included, where other bare texts go out without."""

    __slots__ = ()


def _of_stream(row: Row) -> dict[str, Any]:
    return {**row.metadata[""], "selected": None, **row.chosen.get("", {})}


def _of_field(row: Row, name: str, *, shown: bool) -> dict[str, Any]:
    selected = {"selected": row.chosen.get(name, {}).get("selected", False)} if shown else {}
    return {**row.metadata[name], **selected}


def _note_selection(db: sa.Connection, source_id: int, **more: Any) -> None:
    """Write down whether the source has a selected stream in which a field is replicated."""
    query = sa.select(streams.c.metadata, streams.c.chosen)
    rows = db.execute(query.where(streams.c.source_id == source_id, streams.c.gone_at.is_(None)))
    found = any(_chosen_fields(row) is not None for row in rows)
    db.execute(sa.update(connections).where(connections.c.id == source_id).values(has_selection=found, **more))


def _chosen_fields(row: Row) -> frozenset[str] | None:
    """Return a stream's replicated fields, None where the stream is not selected or has none."""
    if row.chosen.get("", {}).get("selected") is not True:
        return None
    fields = {name for name in row.metadata if name and replicated(row.metadata[name], row.chosen.get(name, {}))}
    return frozenset(fields) or None


def selection(db: sa.Connection, source_id: int) -> dict[str, StreamChoice]:
    """Return what a run of the source is to replicate, in the engine's words."""
    choices: dict[str, StreamChoice] = {}
    for row in _rows(db, source_id):
        fields, own = _chosen_fields(row), row.chosen.get("", {})
        if fields is None:
            continue
        if "forced-replication-method" in row.metadata[""]:
            choices[row.tap_stream_id] = StreamChoice(fields)
        else:
            choices[row.tap_stream_id] = StreamChoice(fields, own.get("replication-method"), own.get("replication-key"))
    return choices


# --- choosing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    field: str
    metadata: Mapping[str, Any]


def choose(db: sa.Connection, source_id: int, body: Any) -> None:
    """Change what is selected (section 10.6): all of the body, or nothing."""
    wanted = _parsed(body)
    stored = {row.tap_stream_id: row for row in _rows(db, source_id)}
    unknown = [_clojure(name) for name, _ in wanted if not isinstance(name, str) or name not in stored]
    if unknown:
        raise _invalid(f"invalid tap-stream-ids:  [{' '.join(unknown)}]")
    chosen: dict[str, dict[str, dict[str, Any]]] = {}
    for name, entries in wanted:
        assert isinstance(name, str)
        row = stored[name]
        own = chosen.setdefault(name, {field: dict(known) for field, known in row.chosen.items()})
        for entry in entries:
            _refuse_entry(row, entry)
            own.setdefault(entry.field, {}).update(entry.metadata)
    for name, own in chosen.items():
        db.execute(sa.update(streams).where(streams.c.id == stored[name].id).values(chosen=own))
    _note_selection(db, source_id)


def _parsed(body: Any) -> list[tuple[Any, list[_Entry]]]:
    listed_streams = body.get("streams") if isinstance(body, dict) else None
    if not isinstance(listed_streams, list) or not all(isinstance(one, dict) for one in listed_streams):
        raise Refusal(400, JsonText(_NO_LIST))
    return [(one.get("tap_stream_id"), _entries(one.get("metadata"))) for one in listed_streams]


def _entries(metadata: Any) -> list[_Entry]:
    if not isinstance(metadata, list):
        raise Refusal(400, JsonText(_NO_LIST))
    entries: list[_Entry] = []
    for one in metadata:
        if not isinstance(one, dict) or not isinstance(one.get("metadata"), dict):
            raise Refusal(400, JsonText(_NO_LIST))
        match one.get("breadcrumb"):
            case []:
                entries.append(_Entry("", one["metadata"]))
            case ["properties", str(name)] if name:
                entries.append(_Entry(name, one["metadata"]))
            case list(other):
                raise _invalid(f"invalid breadcrumb: [{' '.join(_clojure(part, quote=True) for part in other)}]")
            case _:
                raise Refusal(400, JsonText(_NO_LIST))
    return entries


def _refuse_entry(row: Row, entry: _Entry) -> None:
    if entry.field not in row.metadata:
        raise _invalid(f'invalid breadcrumb: ["properties" {json.dumps(entry.field)}]')
    read_only = [name for name in entry.metadata if name not in WRITABLE]
    if read_only:
        names = " ".join(json.dumps(name) for name in read_only)
        raise _invalid(f"only non-discoverable metadata can be produced by the UI: #{{{names}}}")
    for name, value in entry.metadata.items():
        if value is not None and not _ALLOWED[name](value):
            raise _invalid(f"invalid {name}: {value if isinstance(value, str) else json.dumps(value)}")
    if entry.metadata.get("selected") and row.metadata[entry.field].get("inclusion") == "unsupported":
        raise _invalid("Unsupported fields cannot be selected by default")


def _invalid(text: str) -> Refusal:
    return Refusal(400, {"invalid_fields": text})


def _clojure(value: Any, *, quote: bool = False) -> str:
    """Write a value as the original's own language would print it."""
    if value is None:
        return "nil"
    return value if isinstance(value, str) and not quote else json.dumps(value)
