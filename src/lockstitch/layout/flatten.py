"""Takes nested rows apart: objects become leaves named by their path, arrays become tables of their own.

The rule is that of the flattening destinations (`spec/loading.md` section 8). Nothing here knows a destination.
"""

from __future__ import annotations

from dataclasses import dataclass, field

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
    array = _plain(array)
    kind = array.type
    if pa.types.is_null(kind):
        return
    if pa.types.is_struct(kind):
        for index, child in enumerate(array.flatten()):
            _walk(table, (*path, kind.field(index).name), child, tables)
    elif pa.types.is_union(kind):
        for index, code in enumerate(kind.type_codes):
            _walk(table, path, _branch(array, code, index), tables)
    elif pa.types.is_map(kind):
        for key in pc.unique(array.keys):
            _walk(table, (*path, str(key.as_py())), pc.map_lookup(array, key, "last"), tables)
    elif _is_list(kind):
        _walk_list(table, path, array, tables)
    else:
        table.leaves.append(Leaf(path, array))


def _plain(array: pa.Array) -> pa.Array:
    """Take off what is only another way to write the same values."""
    if isinstance(array.type, pa.BaseExtensionType):
        return _plain(array.storage)
    if pa.types.is_dictionary(array.type):
        return _plain(array.dictionary_decode())
    return _plain(pc.run_end_decode(array)) if pa.types.is_run_end_encoded(array.type) else array


def _branch(union: pa.UnionArray, code: int, index: int) -> pa.Array:
    """Return one branch of a union as an array as long as the union, null where another branch holds the value."""
    chosen = pc.equal(union.type_codes, pa.scalar(code, pa.int8()))
    positions = union.offsets if union.type.mode == "dense" else pa.arange(0, len(union)).cast(pa.int32())
    return union.field(index).take(pc.if_else(chosen, positions, pa.scalar(None, pa.int32())))


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


def _walk_list(table: FlatRows, path: tuple[str, ...], array: pa.Array, tables: list[FlatRows]) -> None:
    array = array.cast(pa.large_list(array.type.value_type))
    lengths = pc.fill_null(pc.list_value_length(array), 0)
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
    if pa.types.is_struct(elements.type):
        for index, values in enumerate(elements.flatten()):
            _walk(child, (elements.type.field(index).name,), values, tables)
    else:
        _walk(child, (ELEMENT,), elements, tables)
