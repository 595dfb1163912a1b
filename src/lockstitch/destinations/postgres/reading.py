"""Reads tables back as Arrow. The driver gives numerics as text; they become decimals as wide as the column needs."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lockstitch.core.errors import LockstitchError, SettingsError
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


def query_rows(session: Session, schema: str, sql: str) -> Iterator[pa.RecordBatch]:
    """Yield the answer to a statement that only reads, all of one schema.

    An answer with numerics is held as a whole before it is given: only then is known how wide they are.
    """
    import pyarrow as pa

    session.run("SET TRANSACTION READ ONLY")
    path = "concat_ws(', ', $1, nullif(current_setting('search_path'), ''))"
    session.rows(f"SELECT set_config('search_path', {path}, true)", quoted(schema))
    with _queries_refused():
        # The driver puts the statement in parentheses: no semicolon at its end, and no comment that swallows them.
        batches = session.stream(f"{sql.rstrip().rstrip(';')}\n")
        first = next(batches)
        numerics = [at for at, field in enumerate(first.schema) if _is_numeric(field.type)]
        if not numerics:
            yield _storages(first)
            yield from map(_storages, batches)
            return
        answer = pa.Table.from_batches([_storages(first), *map(_storages, batches)])
    for at in numerics:
        column = answer.column(at)
        kind = _decimal_type(column)
        answer = answer if kind is None else answer.set_column(at, answer.field(at).name, column.cast(kind))
    yield from answer.to_batches() or [_storages(pa.RecordBatch.from_pylist([], answer.schema))]


@contextmanager
def _queries_refused() -> Generator[None]:
    """Raise what the server has against a statement as the user's error that it is."""
    from adbc_driver_manager import Error

    from lockstitch.destinations.postgres.errors import told

    try:
        yield
    except (LockstitchError, Error) as error:
        said = error if isinstance(error, Error) else error.__cause__
        if isinstance(said, Error) and (said.sqlstate or "")[:2] in _STATEMENTS_FAULTS:
            raise SettingsError(
                f"PostgreSQL cannot answer the query: {told(said)}",
                hint="correct the SQL; it can read, and change nothing",
            ) from error
        raise


#: Classes of SQLSTATE: unsupported, cardinality, data, read-only, syntax or names or rights.
_STATEMENTS_FAULTS = frozenset({"0A", "21", "22", "25", "42"})


def _is_numeric(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return isinstance(kind, pa.OpaqueType) and kind.type_name == "numeric"


def _storages(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([_plain(array, None) for array in batch.columns], names=batch.schema.names)


def _decimal_type(texts: pa.ChunkedArray) -> pa.DataType | None:
    """Return the narrowest decimal that holds numerics written as text, or None where there is none."""
    import pyarrow.compute as pc

    if pc.any(pc.match_substring_regex(texts, "[^0-9.-]")).as_py():
        return None
    point = pc.find_substring(texts, ".")
    length = pc.utf8_length(texts)
    has_point = pc.greater_equal(point, 0)
    scale = pc.max(pc.if_else(has_point, pc.subtract(pc.subtract(length, point), 1), 0)).as_py() or 0
    whole = pc.max(pc.if_else(has_point, point, length)).as_py() or 0
    return _decimal(whole, scale)


def _decimal(whole: int, scale: int) -> pa.DataType | None:
    import pyarrow as pa

    if whole + scale > _DIGITS:
        return None
    return pa.decimal128(38, scale) if whole + scale <= 38 else pa.decimal256(_DIGITS, scale)


def _plain(array: pa.Array, decimal: pa.DataType | None) -> pa.Array:
    import pyarrow as pa

    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    return array if decimal is None else array.cast(decimal)


def _decimal_types(session: Session, relation: Relation, columns: Sequence[str] | None) -> Mapping[str, pa.DataType]:
    """Return the narrowest decimal for each numeric column; one that has NaN, or more digits, stays text."""
    rows = session.rows(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND atttypid = 'numeric'::regtype"
        " AND attnum > 0 AND NOT attisdropped",
        str(relation),
    )
    names = [name for (name,) in rows if columns is None or name in columns]
    types: dict[str, pa.DataType] = {}
    for name in names:
        ((whole, scale, special),) = session.rows(_WIDTH.format(column=quoted(name), relation=relation))
        kind = None if special else _decimal(whole, scale)
        if kind is not None:
            types[name] = kind
    return types


_WIDTH = """
SELECT coalesce(max(length(trunc(abs({column}))::text)) FILTER (WHERE scale({column}) IS NOT NULL), 1)::bigint,
    coalesce(max(scale({column})), 0)::bigint,
    coalesce(bool_or(scale({column}) IS NULL) FILTER (WHERE {column} IS NOT NULL), false)
FROM {relation}
"""
