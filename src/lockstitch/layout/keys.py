"""A key's values: never null, never split, never adjusted (docs/layout.md, R61 to R64)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lockstitch.core.model import StitchType
from lockstitch.core.rules import Rules
from lockstitch.layout.typed import TypedLeaf, TypedRows, positions, present

#: Longest text of a key, in bytes of UTF-8: the Import API's bound.
LONGEST_TEXT = 1_024


def key_type(leaves: Sequence[TypedLeaf]) -> StitchType | None:
    """Return the type that a key takes from its first values: the first of a union's, text last."""
    found: list[StitchType] = [leaf.values.stitch for leaf in leaves if leaf.carried]
    typed: list[StitchType] = [stitch for stitch in found if stitch != "string"]
    return typed[0] if typed else found[0] if found else None


def bad_keys(
    name: str, top: TypedRows, field: pa.Array | None, wanted: StitchType | None, rules: Rules
) -> Iterator[tuple[int, str]]:
    """Yield the position of each record whose key cannot identify it, and why. `field` is the key as it came."""
    leaves = top.named(name, rules)
    right = [leaf for leaf in leaves if leaf.values.stitch == wanted]
    for leaf in right:
        if wanted == "string":
            for index in _unstorable(leaf):
                yield index, f"Key cannot be stored on {name}"
    missing = positions(pc.invert(present(right, top.rows.count)))
    others = [(leaf.values.stitch, present([leaf])) for leaf in leaves if leaf.values.stitch != wanted]
    for index in missing:
        other = next((stitch for stitch, mask in others if mask[index].as_py()), None)
        if other is not None:
            told = f"Key of another type on {name}: {other}, the table has {wanted}"
            yield index, f"{told}; reset the stream to change it"
        elif field is not None and _is_nested(field[index]):
            yield index, f"Key is no single value on {name}"
        else:
            yield index, f"Key is null on {name}"


def _unstorable(leaf: TypedLeaf) -> list[int]:
    array = leaf.values.array
    bad = pc.greater(pc.binary_length(array), LONGEST_TEXT)
    for _, adjusted in leaf.values.adjusted:
        bad = pc.or_(pc.fill_null(bad, False), adjusted)
    return positions(pc.fill_null(bad, False)) if pc.any(bad, min_count=0).as_py() else []


def _is_nested(value: pa.Scalar) -> bool:
    value = value.value if isinstance(value, pa.UnionScalar) else value
    return isinstance(value, pa.ListScalar | pa.StructScalar | pa.MapScalar) and value.is_valid
