"""Turns a lead's custom fields, which are fields of its own in every organisation, into one list.

`custom.lcf_1: "blue"` becomes an element `{"id": "lcf_1", "value": "blue"}` of `custom_fields`
(`spec/source-closeio.md` section 3). Works on columns, so that no lead becomes a Python object.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc

PREFIX = "custom."
FIELD = "custom_fields"


@dataclass(frozen=True, slots=True)
class _Values:
    """Values of one custom field that have one type, with the rows they belong to."""

    field_id: str
    values: pa.Array
    rows: pa.Array


def is_custom(name: str) -> bool:
    return name.startswith(PREFIX)


def gathered(leads: pa.RecordBatch) -> pa.RecordBatch:
    """Return the leads with their custom fields as a list by id; one without any has an empty list."""
    names = sorted(name for name in leads.schema.names if is_custom(name))
    pieces = [piece for name in names for piece in _pieces(name, leads.column(name))]
    rest = leads.select([name for name in leads.schema.names if not is_custom(name) and name != "custom"])
    rows = pa.concat_arrays([piece.rows for piece in pieces]) if pieces else pa.array([], pa.int64())
    counts = Counter(rows.to_pylist())
    offsets = pa.array(accumulate((counts[row] for row in range(leads.num_rows)), initial=0), pa.int32())
    elements = _elements(pieces, pc.sort_indices(rows)) if pieces else pa.array([], _EMPTY)
    return rest.append_column(FIELD, pa.ListArray.from_arrays(offsets, elements))


_EMPTY = pa.struct([("id", pa.string()), ("value", pa.null())])


def _pieces(name: str, column: pa.Array) -> list[_Values]:
    """Take a column apart by the types of its values; those that are null are none."""
    field_id = name.removeprefix(PREFIX).partition(".")[0]
    if not pa.types.is_union(column.type):
        rows = pc.indices_nonzero(column.is_valid()).cast(pa.int64())
        return [_Values(field_id, column.take(rows), rows)] if len(rows) else []
    found: list[_Values] = []
    for index, code in enumerate(column.type.type_codes):
        rows = pc.indices_nonzero(pc.equal(column.type_codes, pa.scalar(code, pa.int8()))).cast(pa.int64())
        values = column.field(index).take(column.offsets.take(rows))
        kept = pc.indices_nonzero(values.is_valid())
        if len(kept):
            found.append(_Values(field_id, values.take(kept), rows.take(kept)))
    return found


def _elements(pieces: list[_Values], order: pa.Array) -> pa.Array:
    """Return the objects with id and value, in the order given; values of several types are a union."""
    ids = pa.concat_arrays([pa.repeat(pa.scalar(piece.field_id), len(piece.values)) for piece in pieces])
    kinds = list(dict.fromkeys(piece.values.type for piece in pieces))
    if len(kinds) == 1:
        values = pa.concat_arrays([piece.values for piece in pieces]).take(order)
    else:
        values = _union(pieces, kinds, order)
    return pa.StructArray.from_arrays([ids.take(order), values], ["id", "value"])


def _union(pieces: list[_Values], kinds: list[pa.DataType], order: pa.Array) -> pa.Array:
    """Return the values in the order given; within a branch they come in that order, too, as Arrow wants them."""
    codes = pa.concat_arrays(
        [pa.repeat(pa.scalar(kinds.index(piece.values.type), pa.int8()), len(piece.values)) for piece in pieces]
    )
    branches: list[pa.Array] = []
    for code, kind in enumerate(kinds):
        # Each value's place is its own in its branch, and anything elsewhere.
        places = pc.cumulative_sum(pc.equal(codes, code).cast(pa.int64()))
        branch = pa.concat_arrays([piece.values for piece in pieces if piece.values.type == kind])
        wanted = order.filter(pc.equal(codes.take(order), code))
        branches.append(branch.take(pc.subtract(places.take(wanted), 1)))
    filled = [0] * len(kinds)
    offsets: list[int] = []
    for code in codes.take(order).to_pylist():
        offsets.append(filled[code])
        filled[code] += 1
    names = [str(number) for number in range(len(kinds))]
    return pa.UnionArray.from_dense(codes.take(order), pa.array(offsets, pa.int32()), branches, names)
