"""Puts records together again from the tables and subtables that a destination has of them (docs/layout.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from lockstitch.toolkit.shapes import Fields, Shape

Record = dict[str, Any]

#: What a column that was split by type is called (R32, R34).
_SUFFIX = re.compile(r"__(bi|bo|de|do|it|st|ti)$")
_LEVEL = re.compile(r"_sdc_level_(\d+)_id$")
_OURS = ("_sdc_", "__sdc_")


#: Rows by table; names in lower case.
Tables = Mapping[str, list[Record]]


def reassembled(tables: Tables, stream: str, key: str = "id") -> tuple[dict[Any, Record], set[Any]]:
    """Return a stream's records by their key, and the keys of those that are marked as deleted.

    Nulls, empty objects and empty arrays are left out everywhere, as tables cannot tell them from absent fields, and an
    element of an array that is no object is one with the field `value` (R44).
    """
    records, deleted = _tops(tables.get(stream, []), key)
    below = {name: rows for name, rows in tables.items() if name.startswith(f"{stream}__")}
    levels = {name: len(_places(rows[0])) for name, rows in below.items() if rows}
    elements: dict[tuple[str, Any, tuple[int, ...]], Record] = {
        (stream, name, ()): record for name, record in records.items()
    }
    for name in sorted(levels, key=lambda name: levels[name]):
        parent = _parent(name, levels, stream)
        path = name.removeprefix(f"{parent}__").split("__")
        for row in sorted(tables[name], key=_places):
            owner, places = row[f"_sdc_source_key_{key}"], _places(row)
            element = _nested(row)
            _list_at(elements[(parent, owner, places[:-1])], path, places[-1]).append(element)
            elements[(name, owner, places)] = element
    return records, deleted


def appended(tables: Tables, stream: str) -> list[Record]:
    """Return the records of a stream that has no key and no lists, in any order."""
    return [_nested(row) for row in tables[stream]]


def _tops(rows: Iterable[Record], key: str) -> tuple[dict[Any, Record], set[Any]]:
    records: dict[Any, Record] = {}
    deleted: set[Any] = set()
    for row in rows:
        assert row[key] not in records
        assert row[key] not in deleted
        if row.get("_sdc_deleted_at") is not None:
            assert {name for name, value in row.items() if value is not None and not name.startswith(_OURS)} == {key}
            deleted.add(row[key])
        else:
            records[row[key]] = _nested(row)
    return records, deleted


def _plain(column: str) -> str:
    """Return the name of a column's field; nothing for a column of ours."""
    return "" if column.startswith(_OURS) else _SUFFIX.sub("", column)


def _nested(row: Mapping[str, Any]) -> Record:
    """Return the record that a row was made of, objects nested; of columns that were split, the one with a value."""
    record: Record = {}
    for column, value in row.items():
        if value is None or not _plain(column):
            continue
        *path, last = _plain(column).split("__")
        place = record
        for name in path:
            place = place.setdefault(name, {})
        assert last not in place, f"two values of {column} in {row}"
        place[last] = value.astimezone(UTC) if isinstance(value, datetime) else value
    return record


def _places(row: Mapping[str, Any]) -> tuple[int, ...]:
    numbers = {int(found[1]): value for name, value in row.items() if (found := _LEVEL.fullmatch(name))}
    return tuple(numbers[level] for level in sorted(numbers))


def _parent(name: str, levels: Mapping[str, int], stream: str) -> str:
    """Return the table of the rows that a subtable's rows belong to: the longest name with one level less."""
    above = [one for one in levels if name.startswith(f"{one}__") and levels[one] == levels[name] - 1]
    return max(above, key=len) if levels[name] > 1 else stream


def _list_at(element: Record, path: Sequence[str], place: int) -> list[Any]:
    *objects, last = path
    for name in objects:
        element = element.setdefault(name, {})
    found = element.setdefault(last, [])
    assert len(found) == place, f"element {place} of {path} follows {len(found)}"
    return found


# --- what they should be ----------------------------------------------------------------------------------------------


def expected(record: Mapping[str, Any], fields: Fields, keeps: Callable[[str], bool] = lambda _: False) -> Record:
    """Return what `reassembled` should find of a record: its documented fields, in their documented types.

    `keeps` tells which others are delivered too, at any depth.
    """
    typed = {
        name.lower(): _typed(value, fields.get(name), keeps)
        for name, value in record.items()
        if name in fields or keeps(name)
    }
    return {name: value for name, value in typed.items() if not _is_nothing(value)}


def _typed(value: Any, shape: Shape | None, keeps: Callable[[str], bool]) -> Any:
    if isinstance(value, dict):
        fields = cast("Record", value)
        known = shape if isinstance(shape, Mapping) else dict.fromkeys(fields, "any")
        return expected(fields, known, keeps)
    if isinstance(value, list):
        one = shape[0] if isinstance(shape, list) else None
        elements = [_typed(element, one, keeps) for element in cast("list[Any]", value)]
        return [
            element if isinstance(element, dict) else {} if _is_nothing(element) else {"value": element}
            for element in elements
        ]
    if shape == "date-time" and isinstance(value, str):
        return moment(value)
    if shape == "string" and isinstance(value, int | float):
        return str(value)
    return value


def moment(text: str) -> datetime | str:
    """Return the moment that a text names, UTC where it names no zone; the text where it names none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)


def _is_nothing(value: Any) -> bool:
    return value is None or value == {} or value == []
