"""Takes nested rows apart: objects become leaves named by their path, arrays become tables of their own.

The rule is that of the flattening destinations (`spec/loading.md` section 8). Nothing here knows a destination.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

#: What the elements of an array of scalars, or of arrays, are called.
ELEMENT = "value"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value per row of one table, under the path of source names that leads to it."""

    path: tuple[str, ...]
    array: pa.Array


@dataclass(slots=True)
class FlatRows:
    """The rows of one table: the top table (path ()) or the subtable of the arrays at `path`.

    `top_row` is the position of each row's record in the batch (None: the row is the record); `levels` are the
    0-based positions in the arrays on the way down, outermost first.
    """

    path: tuple[str, ...]
    count: int
    leaves: list[Leaf] = field(default_factory=list[Leaf])
    top_row: pa.Array | None = None
    levels: tuple[pa.Array, ...] = ()


def flatten(rows: pa.RecordBatch) -> list[FlatRows]:
    """Return the batch's top table and, after it, a table for each array in it; parents before children."""
    top = FlatRows((), rows.num_rows)
    tables = [top]
    for index, name in enumerate(rows.schema.names):
        _walk(top, (name,), rows.column(index), tables)
    return tables


def _walk(table: FlatRows, path: tuple[str, ...], array: pa.Array, tables: list[FlatRows]) -> None:
    """Put the array's values below `path` of the table; an empty path is an element of an array (R44)."""
    array = _plain(array)
    kind = array.type
    if pa.types.is_null(kind):
        return
    if pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            _walk_field(table, path, array, index, tables)
    elif pa.types.is_union(kind):
        _walk_union(table, path, array, None, tables)
    elif pa.types.is_map(kind):
        for key in pc.unique(array.keys):
            _walk(table, (*path, str(key.as_py())), pc.map_lookup(array, key, "last"), tables)
    elif _is_list(kind):
        _walk_list(table, path or (ELEMENT,), array, tables)
    else:
        table.leaves.append(Leaf(path or (ELEMENT,), array))


def _walk_field(table: FlatRows, path: tuple[str, ...], objects: pa.Array, index: int, tables: list[FlatRows]) -> None:
    """Walk one field of objects, null where its object is: Arrow's own ways end the process for unions and slices."""
    below, values = (*path, objects.type.field(index).name), objects.field(index)
    if pa.types.is_union(values.type):
        _walk_union(table, below, values, objects.is_valid(), tables)
    elif objects.null_count:
        places = pc.if_else(objects.is_valid(), pa.arange(0, len(objects)), pa.scalar(None, pa.int64()))
        _walk(table, below, values.take(places), tables)
    else:
        _walk(table, below, values, tables)


def _walk_union(
    table: FlatRows, path: tuple[str, ...], union: pa.UnionArray, valid: pa.BooleanArray | None, tables: list[FlatRows]
) -> None:
    for index, code in enumerate(union.type.type_codes):
        _walk(table, path, _branch(union, code, index, valid), tables)


def _plain(array: pa.Array) -> pa.Array:
    """Take off what is only another way to write the same values."""
    if isinstance(array.type, pa.UuidType):
        return _uuid_text(array.storage)
    if isinstance(array.type, pa.BaseExtensionType):
        return _plain(array.storage)
    if pa.types.is_dictionary(array.type):
        return _plain(array.dictionary_decode())
    return _plain(pc.run_end_decode(array)) if pa.types.is_run_end_encoded(array.type) else array


def _uuid_text(storage: pa.FixedSizeBinaryArray) -> pa.StringArray:
    values: list[bytes | None] = storage.to_pylist()
    return pa.array([None if value is None else str(UUID(bytes=value)) for value in values], pa.string())


def _branch(union: pa.UnionArray, code: int, index: int, valid: pa.BooleanArray | None) -> pa.Array:
    """Return one branch of a union as an array as long as the union, null where another branch holds the value."""
    codes, positions = union_parts(union)
    chosen = pc.equal(codes, pa.scalar(code, pa.int8()))
    chosen = chosen if valid is None else pc.and_(chosen, valid)
    return union.field(index).take(pc.if_else(chosen, positions, pa.scalar(None, pa.int32())))


def union_parts(union: pa.UnionArray) -> tuple[pa.Array, pa.Array]:
    """Return each row's branch code, and the position of its value in the branch.

    Read off the buffers, as PyArrow's own `type_codes` and `offsets` are those of another slice of the union.
    """
    count, start, buffers = len(union), union.offset, union.buffers()
    codes = pa.Array.from_buffers(pa.int8(), count, [None, buffers[1]], offset=start)
    if union.type.mode == "sparse":
        return codes, pa.arange(0, count).cast(pa.int32())
    return codes, pa.Array.from_buffers(pa.int32(), count, [None, buffers[2]], offset=start)


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


def _walk_list(table: FlatRows, path: tuple[str, ...], array: pa.Array, tables: list[FlatRows]) -> None:
    lengths = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())
    elements = pc.list_flatten(array)
    if len(elements) == 0:
        return
    parents = pc.list_parent_indices(array)
    if len(parents) != len(elements):  # a null list that still spans elements: copying leaves them out
        array = array.take(pa.arange(0, len(array)))
        elements, parents = pc.list_flatten(array), pc.list_parent_indices(array)
    starts = pc.subtract(pc.cumulative_sum(lengths), lengths)
    position = pc.subtract(pa.arange(0, len(elements)), starts.take(parents))
    child = FlatRows(
        path=(*table.path, *path),
        count=len(elements),
        top_row=parents if table.top_row is None else table.top_row.take(parents),
        levels=(*(level.take(parents) for level in table.levels), position),
    )
    tables.append(child)
    _walk(child, (), elements, tables)
