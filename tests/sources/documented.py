"""What Stitch documents of a source's tables: a file `documented.txt`, a line a column with stream, path and type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from lockstitch.toolkit.shapes import Fields, Shape

#: A value of each documented type.
VALUES: dict[str, Any] = {
    "string": "☃",
    "integer": 2**53 + 1,
    "number": 0.5,
    "boolean": True,
    "date-time": "2026-06-15T12:00:45.123456+00:00",
    "object": {"a": 1},
    "array": [1, "a"],
}


def documented(test: str) -> dict[str, dict[str, str]]:
    """Return, by stream, path and type of each column, out of the file that lies beside a test."""
    found: dict[str, dict[str, str]] = {}
    for line in Path(test).with_name("documented.txt").read_text(encoding="utf-8").splitlines():
        stream, path, kind = line.split()
        found.setdefault(stream, {})[path] = kind
    return found


def flat(fields: Fields) -> dict[str, str]:
    """Return our shapes in the same form."""
    return dict(pair for name, shape in fields.items() for pair in _flat(name, shape))


def _flat(path: str, shape: Shape) -> Iterator[tuple[str, str]]:
    if isinstance(shape, str):
        yield path, shape
    elif isinstance(shape, list):
        yield from _flat(f"{path}[]", shape[0])
    elif not shape:
        yield path, "object"
    else:
        for name, below in shape.items():
            yield from _flat(f"{path}.{name}", below)


def record_of(columns: Mapping[str, str], alternative: int = 0) -> dict[str, Any]:
    """Return a record that has a value in every documented column; of several types, one of them."""
    record: dict[str, Any] = {}
    for path, kind in columns.items():
        kinds = kind.split("|")
        value = VALUES[kinds[alternative % len(kinds)]]
        place = record
        *above, last = path.split(".")
        for name in above:
            if name.endswith("[]"):
                place = cast("list[dict[str, Any]]", place.setdefault(name[:-2], [{}]))[0]
            else:
                place = place.setdefault(name, {})
        if last.endswith("[]"):
            place[last[:-2]] = [value]
        else:
            place[last] = value
    return record
