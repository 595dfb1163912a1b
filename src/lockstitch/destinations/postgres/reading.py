"""Reads tables back as Arrow. The driver gives numerics as text; they become decimals as wide as the column needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lockstitch.destinations.postgres import sql
from lockstitch.destinations.postgres.session import Session
from lockstitch.destinations.postgres.sql import Relation, quoted

if TYPE_CHECKING:
    import pyarrow as pa

#: Arrow's widest decimals.
_DIGITS = 76


def read_rows(session: Session, relation: Relation, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    """Yield all rows, all of one schema."""
    import pyarrow as pa

    decimals = _decimal_types(session, relation, columns)
    selected = "*" if columns is None else sql.listed(columns)
    for batch in session.stream(f"SELECT {selected} FROM {relation}"):
        names: list[str] = batch.schema.names
        arrays = [_plain(batch.column(at), decimals.get(name)) for at, name in enumerate(names)]
        yield pa.RecordBatch.from_arrays(arrays, names=names)


def _plain(array: pa.Array, decimal: pa.DataType | None) -> pa.Array:
    import pyarrow as pa

    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    return array if decimal is None else array.cast(decimal)


def _decimal_types(session: Session, relation: Relation, columns: Sequence[str] | None) -> Mapping[str, pa.DataType]:
    """Return the narrowest decimal for each numeric column; one that has NaN, or more digits, stays text."""
    import pyarrow as pa

    rows = session.rows(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND atttypid = 'numeric'::regtype"
        " AND attnum > 0 AND NOT attisdropped",
        str(relation),
    )
    names = [name for (name,) in rows if columns is None or name in columns]
    types: dict[str, pa.DataType] = {}
    for name in names:
        ((whole, scale, special),) = session.rows(_WIDTH.format(column=quoted(name), relation=relation))
        if special or whole + scale > _DIGITS:
            continue
        types[name] = pa.decimal128(38, scale) if whole + scale <= 38 else pa.decimal256(_DIGITS, scale)
    return types


_WIDTH = """
SELECT coalesce(max(length(trunc(abs({column}))::text)) FILTER (WHERE scale({column}) IS NOT NULL), 1)::bigint,
    coalesce(max(scale({column})), 0)::bigint,
    coalesce(bool_or(scale({column}) IS NULL) FILTER (WHERE {column} IS NOT NULL), false)
FROM {relation}
"""
