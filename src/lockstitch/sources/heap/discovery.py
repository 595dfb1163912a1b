"""What a table looks like: columns from all manifests, types from a data file (`spec/source-heap.md` section 7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lockstitch.core.errors import SourceDataError
from lockstitch.core.model import Field, Stream
from lockstitch.sources.heap.selection import Delivery
from lockstitch.sources.heap.types import field_of
from lockstitch.toolkit.objects import ObjectStore, StoreError

#: The tables whose key is not `event_id`.
KEYS = {"users": "user_id", "user_migrations": "from_user_id"}
EVENT_KEY = "event_id"

#: Bytes that nearly always hold a whole header; more are asked for where they do not.
HEADER_BYTES = 64 << 10
MOST_HEADER_BYTES = 16 << 20


def stream_of(table: str, deliveries: Sequence[Delivery], store: ObjectStore) -> Stream:
    """Return a table as a stream. `deliveries` are its dumps, oldest first."""
    types: dict[str, Any] = {}
    newest = next((delivery for delivery in reversed(deliveries) if delivery.files), None)
    columns: dict[str, None] = {}
    for delivery in deliveries:
        if delivery is newest or (delivery.columns is None and delivery.files):
            types |= _header_types(store, delivery.files[0])
        columns |= dict.fromkeys(delivery.columns if delivery.columns is not None else types)
    key = KEYS.get(table, EVENT_KEY)
    fields = (_field(name, types.get(name, "string"), is_key=name == key) for name in columns)
    method = "INCREMENTAL" if any(delivery.incremental for delivery in deliveries) else "FULL_TABLE"
    # Without its key column, a table would be upserted by nothing: it is appended to instead.
    return Stream(table, tuple(fields), (key,) if key in columns else (), method)


def _field(name: str, type_: Any, *, is_key: bool) -> Field:
    return field_of(name, type_, "automatic" if is_key else "available")


def _header_types(store: ObjectStore, key: str) -> dict[str, Any]:
    """Return the Avro type of each column of a file; nothing where the file cannot tell, which reading will report."""
    from lockstitch.toolkit.avro_container import read_header

    size = HEADER_BYTES
    while size <= MOST_HEADER_BYTES:
        try:
            data = store.read(key, size)
            header = read_header(data, key)
        except SourceDataError:
            return {}
        except StoreError as error:
            if error.code in ("NoSuchKey", "InvalidRange"):
                return {}
            raise
        if header is not None:
            return {field["name"]: field["type"] for field in header.fields}
        if len(data) < size:
            return {}
        size *= 8
    return {}
