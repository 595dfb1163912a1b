"""What an entry of the Import API's inbox holds: the records of one request, table by table, as MessagePack."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from lockstitch.toolkit.exact import Exact

#: MessagePack's extension types of ours: numbers that its own cannot hold, as text.
_DECIMAL = 1
_BIG_INTEGER = 2


class Records(msgspec.Struct, array_like=True):
    """Records of one table that came one after another, with one key and one table version.

    `key` is () where the table has none, and None where the client did not say (only without rows). `rows` are the
    records' `data`: None, bool, int, float, `Exact`, str, bytes, aware datetimes, lists and dicts with text as keys.
    `publish`: after these rows, the version is complete.
    """

    table: str
    key: tuple[str, ...] | None
    version: int | None = None
    extracted_at: datetime | None = None
    sequences: list[int] = []
    rows: list[dict[str, Any]] = []
    publish: bool = False


class Waiting(msgspec.Struct, array_like=True):
    """`Records` as they lie in the inbox; the rows are decoded only when they are asked for."""

    table: str
    key: tuple[str, ...] | None
    version: int | None
    extracted_at: datetime | None
    sequences: msgspec.Raw
    rows: msgspec.Raw
    publish: bool

    def decoded(self) -> tuple[list[int], list[dict[str, Any]]]:
        """Return the sequences and the rows."""
        return _SEQUENCES.decode(self.sequences), _ROWS.decode(self.rows)


def entries_of(records: Sequence[Records]) -> list[bytes]:
    """Return the payloads of a request: one, unless a table changes its key or version on the way.

    Within an entry each table has one of both, so that reading can pause wherever they change.
    """
    entries: list[list[Records]] = [[]]
    keys: dict[str, tuple[str, ...]] = {}
    versions: dict[str, int | None] = {}
    for one in records:
        has_new_key = one.key is not None and keys.get(one.table, one.key) != one.key
        if has_new_key or versions.get(one.table, one.version) != one.version:
            entries.append([])
            keys, versions = {}, {}
        if one.key is not None:
            keys[one.table] = one.key
        versions[one.table] = one.version
        entries[-1].append(one)
    return [_encoded(entry) for entry in entries]


def _encoded(records: list[Records]) -> bytes:
    try:
        return _ENCODER.encode(records)
    except OverflowError:  # an integer beyond 64 bits, which is rare
        for one in records:
            one.rows = [_with_big_integers(row) for row in one.rows]
        return _ENCODER.encode(records)


def _with_big_integers(value: Any) -> Any:
    if type(value) is int and not -(2**63) <= value < 2**64:
        return msgspec.msgpack.Ext(_BIG_INTEGER, str(value).encode())
    if type(value) is dict:
        return {name: _with_big_integers(one) for name, one in value.items()}
    return [_with_big_integers(one) for one in value] if type(value) is list else value


def read_entry(payload: bytes) -> list[Waiting]:
    """Return what an entry holds, in its order."""
    return _ENTRY.decode(payload)


def _to_extension(value: Any) -> msgspec.msgpack.Ext:
    if isinstance(value, Exact):
        return msgspec.msgpack.Ext(_DECIMAL, str(value).encode())
    raise TypeError(f"a record cannot hold {type(value).__name__}")


def _from_extension(code: int, data: memoryview) -> Any:
    text = bytes(data).decode()
    return Exact(text) if code == _DECIMAL else int(text)


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_to_extension)
_ENTRY = msgspec.msgpack.Decoder(list[Waiting])
_SEQUENCES = msgspec.msgpack.Decoder(list[int])
_ROWS = msgspec.msgpack.Decoder(list[dict[str, Any]], ext_hook=_from_extension)
